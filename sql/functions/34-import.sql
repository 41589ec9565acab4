-- Import.

-- Metadata of a tracker's bead without what its export renews: times, and a status that shares one of ours with another.
create or replace function swarm.lasting(m jsonb) returns jsonb language sql immutable parallel safe
begin atomic
  select m - (array['created_at', 'updated_at', 'closed_at']
    || case when m ->> 'status' in ('pinned', 'hooked') then array['status'] else '{}' end);
end;

-- Import: beads from a tracker, then their links. A bead that is there already keeps its status and progress; what
-- describes it is brought up to date. Links whose other bead is unknown are kept and
-- count once it arrives. Whole sets at a time, by hash: plans made for the table as it was before, row by row, would
-- take a time that grows with the square of the import.
create or replace function swarm.do_import(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile
set enable_nestloop = off set enable_seqscan = off as $$
declare
  b           jsonb;
  v_ids       text[] := array(select x ->> 'bead_id' from jsonb_array_elements(a -> 'beads') x);
  v_named     text[] := array(select x ->> 'bead_id' from jsonb_array_elements(a -> 'links') x
                union select x ->> 'other_id' from jsonb_array_elements(a -> 'links') x);
  v_old       swarm.bead_backlog;
  v_stage     text;
  v_now       timestamptz;
  v_new       text[];
  v_differ    jsonb;
  v_links     jsonb;
  v_edges     jsonb;
  v_cycle     text[];
  v_closing   jsonb;
  v_problems  jsonb := coalesce(a -> 'problems', '[]');
  v_updated   integer := 0;
  v_reopened  integer := 0;
  v_linked    integer;
begin
  perform swarm.lock_links(p_repo);
  perform swarm.ensure_repo(p_repo);
  v_stage := swarm.first_stage(p_repo, 'default');
  v_now := clock_timestamp();
  select coalesce(array_agg(x.b ->> 'bead_id') filter (where o.id is null), '{}'),
      coalesce(jsonb_agg(x.b order by o.id) filter (where o.id is not null), '[]')
    into v_new, v_differ
    from jsonb_array_elements(a -> 'beads') x(b)
    left join (select * from swarm.bead_backlog where repo_id = p_repo and bead_id = any(v_ids)) o
      on o.bead_id = x.b ->> 'bead_id'
    where o.id is null or ((a ->> 'reopen')::boolean and o.status = 'completed' and x.b ->> 'status' = 'pending')
      or (o.title, o.description, o.priority, o.bead_type, o.labels, swarm.lasting(o.metadata)) is distinct from
        (x.b ->> 'title', x.b ->> 'description', x.b ->> 'priority', x.b ->> 'bead_type', swarm.texts(x.b -> 'labels'),
          swarm.lasting(x.b -> 'metadata'));

  insert into swarm.bead_backlog (repo_id, bead_id, title, description, priority, status, bead_type, labels, metadata,
      workflow, stage, verification_status, created_at, updated_at, finished_at)
    select p_repo, x.b ->> 'bead_id', x.b ->> 'title', x.b ->> 'description', x.b ->> 'priority', x.b ->> 'status',
      x.b ->> 'bead_type', swarm.texts(x.b -> 'labels'), x.b -> 'metadata',
      'default', case when x.b ->> 'status' = 'completed' then 'done' else v_stage end,
      -- That it is done is what the file says: nothing here has seen it.
      case when x.b ->> 'status' = 'completed' then 'claimed' else 'unverified' end,
      coalesce((x.b ->> 'created_at')::timestamptz, v_now), coalesce((x.b ->> 'updated_at')::timestamptz, v_now),
      case when not swarm.is_open(x.b ->> 'status') then coalesce((x.b ->> 'finished_at')::timestamptz, v_now) end
    from jsonb_array_elements(a -> 'beads') with ordinality x(b, n) join unnest(v_new) i on i = x.b ->> 'bead_id' order by n;
  insert into swarm.execution_events (event_type, entity_id, repo_id, bead_id, payload)
    select 'bead_enqueued', x.b ->> 'bead_id', p_repo, x.b ->> 'bead_id',
      jsonb_build_object('priority', x.b -> 'priority', 'status', x.b -> 'status')
    from jsonb_array_elements(a -> 'beads') with ordinality x(b, n) join unnest(v_new) i on i = x.b ->> 'bead_id' order by n;
  for b in select * from jsonb_array_elements(v_differ) loop
    select * into v_old from swarm.bead_backlog where repo_id = p_repo and bead_id = b ->> 'bead_id' for no key update;
    if (a ->> 'reopen')::boolean and v_old.status = 'completed' and b ->> 'status' = 'pending' then
      perform swarm.reopen_bead(v_old, coalesce(swarm.first_stage(p_repo, v_old.workflow), v_stage), null);
      v_reopened := v_reopened + 1;
    end if;
    update swarm.bead_backlog set title = b ->> 'title', description = b ->> 'description', priority = b ->> 'priority',
        bead_type = b ->> 'bead_type', labels = swarm.texts(b -> 'labels'), metadata = b -> 'metadata', updated_at = clock_timestamp()
      where id = v_old.id and (title, description, priority, bead_type, labels, swarm.lasting(metadata)) is distinct from
        (b ->> 'title', b ->> 'description', b ->> 'priority', b ->> 'bead_type', swarm.texts(b -> 'labels'), swarm.lasting(b -> 'metadata'));
    if found then
      perform swarm.emit(p_repo, 'bead_updated', v_old.bead_id, v_old.bead_id, null, null, '{"by": "import"}');
      v_updated := v_updated + 1;
    end if;
  end loop;

  -- Of a cycle, the link that stands last is left out, until there is none.
  select coalesce(jsonb_agg(l || jsonb_build_object('n', n) order by n), '[]') into v_links
    from jsonb_array_elements(a -> 'links') with ordinality x(l, n)
    left join (select * from swarm.bead_links where repo_id = p_repo and bead_id = any(v_named)) k
      on k.bead_id = l ->> 'bead_id' and k.other_id = l ->> 'other_id' and k.kind = l ->> 'kind'
    where k.bead_id is null;
  -- The links of a file have been walked before they are sent: a cycle needs a link that is here already, and so a bead
  -- that somebody waits for and that is to wait for another.
  while exists (select from swarm.bead_links k where k.repo_id = p_repo and swarm.blocking(k.kind) and k.other_id = any(array(
    select l ->> 'bead_id' from jsonb_array_elements(v_links) l where swarm.blocking(l ->> 'kind')))) loop
    select jsonb_agg(jsonb_build_object('bead', l -> 'bead_id', 'other', l -> 'other_id')) into v_edges
      from jsonb_array_elements(v_links) l where swarm.blocking(l ->> 'kind');
    exit when v_edges is null;
    v_cycle := swarm.find_cycle(p_repo, v_edges);
    exit when v_cycle is null;
    select l into v_closing from jsonb_array_elements(v_links) l, generate_subscripts(v_cycle, 1) i
      where swarm.blocking(l ->> 'kind') and l ->> 'bead_id' = v_cycle[i] and l ->> 'other_id' = v_cycle[i + 1]
      order by (l ->> 'n')::integer desc limit 1;
    exit when v_closing is null;
    v_problems := v_problems || jsonb_build_object('line', v_closing -> 'line', 'kind', 'cycle', 'msg',
      'a dependency is left out, it closes the cycle ' || array_to_string(v_cycle, ' -> '));
    select coalesce(jsonb_agg(l order by (l ->> 'n')::integer), '[]') into v_links
      from jsonb_array_elements(v_links) l where l -> 'n' <> v_closing -> 'n';
  end loop;
  select v_problems || coalesce(jsonb_agg(jsonb_build_object('line', l -> 'line', 'kind', 'unresolved', 'msg', format(
      '%s waits for %s, and %s is not here; the link counts once it is', l ->> 'bead_id', l ->> 'other_id',
      case when o.id is null then l ->> 'other_id' else l ->> 'bead_id' end)) order by (l ->> 'n')::integer), '[]')
    into v_problems from jsonb_array_elements(v_links) l
    left join (select id, bead_id from swarm.bead_backlog where repo_id = p_repo and bead_id = any(v_named)) d
      on d.bead_id = l ->> 'bead_id'
    left join (select id, bead_id from swarm.bead_backlog where repo_id = p_repo and bead_id = any(v_named)) o
      on o.bead_id = l ->> 'other_id'
    where swarm.blocking(l ->> 'kind') and (d.id is null or o.id is null);
  if (a ->> 'strict')::boolean and v_problems <> '[]' then
    select jsonb_agg(x order by (x ->> 'line')::integer) into v_problems from jsonb_array_elements(v_problems) x;
    -- Found only after the first write: the one refusal that raises, so that everything is rolled back.
    raise exception using errcode = 'SW001', message = 'refused', detail = swarm.refused('INVALID',
      format('nothing was imported: %s problems, the first on line %s', jsonb_array_length(v_problems), v_problems -> 0 ->> 'line'),
      'request', jsonb_build_object('problems', v_problems))::text;
  end if;
  insert into swarm.bead_links (repo_id, bead_id, other_id, kind)
    select p_repo, l ->> 'bead_id', l ->> 'other_id', l ->> 'kind' from jsonb_array_elements(v_links) l on conflict do nothing;
  get diagnostics v_linked = row_count;
  perform swarm.recount(p_repo, array(
    select l ->> 'bead_id' from jsonb_array_elements(v_links) l where swarm.blocking(l ->> 'kind')
    union
    select l.bead_id from swarm.bead_links l where l.repo_id = p_repo and l.bead_id = any(v_new)
    union
    select l.bead_id from swarm.bead_links l where l.repo_id = p_repo and l.other_id = any(v_new)));
  if coalesce((p ->> 'analyze')::boolean, cardinality(v_new) >= 500) then
    -- Otherwise every session would go on with plans for a small table until autovacuum looks.
    analyze swarm.bead_backlog, swarm.bead_links;
  end if;
  return jsonb_build_object('d', jsonb_build_object('added', cardinality(v_new), 'updated', v_updated, 'unchanged',
    jsonb_array_length(a -> 'beads') - cardinality(v_new) - jsonb_array_length(v_differ),
    'reopened', v_reopened, 'links', v_linked, 'problems', v_problems));
end $$;
