-- Adding beads.

create or replace function swarm.do_enqueue(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_beads   jsonb := '[]';
  v_bead    jsonb;
  v_at      integer := 0;
  v_id      text;
  v_old     swarm.bead_backlog;
  v_differs text[];
  v_missing text;
  v_edges   jsonb;
  v_cycle   text[];
  v_ids     text[] := '{}';
  v_made    integer := 0;
  v_stage   text;
  v_flow    text;
begin
  perform swarm.lock_links(p_repo);
  perform swarm.ensure_repo(p_repo);
  for v_bead in select * from jsonb_array_elements(a -> 'beads') loop
    v_id := v_bead ->> 'bead_id';
    if v_id is null then
      loop
        v_id := 'bead-' || nextval('swarm.made_bead_ids');
        exit when not exists (select from swarm.bead_backlog where repo_id = p_repo and bead_id = v_id);
      end loop;
    end if;
    if v_id = any(v_ids) then
      return swarm.refused('INVALID', format('bead %s stands twice in this request', v_id), 'request',
        jsonb_build_object('kind', 'InvalidValue', 'field', format('beads[%s].bead_id', v_at), 'got', v_id));
    end if;
    v_ids := v_ids || v_id;
    v_flow := coalesce(v_bead ->> 'workflow', 'default');
    v_stage := swarm.first_stage(p_repo, v_flow);
    if v_stage is null then
      return swarm.refused('NOTFOUND', format('no workflow %s in repo %s', v_flow, p_repo), null,
        jsonb_build_object('field', format('beads[%s].workflow', v_at), 'got', v_flow), jsonb_build_object('cmd', 'workflows'));
    end if;
    select * into v_old from swarm.bead_backlog where repo_id = p_repo and bead_id = v_id;
    if v_old.id is not null then
      v_differs := array_remove(array[
        case when v_bead ->> 'title' <> v_old.title then 'title' end,
        case when v_bead ->> 'description' <> v_old.description then 'description' end,
        case when v_bead ->> 'priority' <> v_old.priority then 'priority' end,
        case when v_bead ->> 'bead_type' <> v_old.bead_type then 'bead_type' end,
        case when v_bead ? 'labels' and not (swarm.texts(v_bead -> 'labels') @> v_old.labels
          and v_old.labels @> swarm.texts(v_bead -> 'labels')) then 'labels' end,
        case when v_bead ? 'metadata' and v_bead -> 'metadata' <> v_old.metadata then 'metadata' end,
        case when v_bead ? 'workflow' and v_flow <> v_old.workflow then 'workflow' end,
        case when v_bead ? 'depends_on' and coalesce((select array_agg(distinct d order by d) from unnest(swarm.texts(v_bead -> 'depends_on')) d), '{}')
          <> coalesce((select array_agg(distinct other_id order by other_id) from swarm.bead_links
               where repo_id = p_repo and bead_id = v_id and kind = 'blocks'), '{}') then 'depends_on' end], null);
      if v_differs <> '{}' then
        return swarm.refused('EXISTS', format('bead %s exists and differs in %s', v_id, array_to_string(v_differs, ', ')), null,
          jsonb_build_object('field', format('beads[%s]', v_at), 'bead_id', v_id, 'differs', to_jsonb(v_differs)),
          jsonb_build_object('cmd', 'show', 'bead_id', v_id));
      end if;
    else
      v_beads := v_beads || jsonb_build_array(v_bead || jsonb_build_object('bead_id', v_id, 'workflow', v_flow,
        'workflow_given', v_bead ? 'workflow', 'stage', v_stage, 'at', v_at));
    end if;
    v_at := v_at + 1;
  end loop;

  select b ->> 'discovered_from', (b ->> 'at')::integer into v_missing, v_at from jsonb_array_elements(v_beads) b
    where b ? 'discovered_from' and not b ->> 'discovered_from' = any(v_ids) and not exists (
      select from swarm.bead_backlog where repo_id = p_repo and bead_id = b ->> 'discovered_from') limit 1;
  if v_missing is not null then
    return swarm.refused('NOTFOUND', format('no bead %s in repo %s', v_missing, p_repo), null,
      jsonb_build_object('field', format('beads[%s].discovered_from', v_at), 'got', v_missing),
      jsonb_build_object('cmd', 'beads'));
  end if;
  select jsonb_agg(jsonb_build_object('bead', b ->> 'bead_id', 'other', d, 'at', b -> 'at')) into v_edges
    from jsonb_array_elements(v_beads) b, jsonb_array_elements_text(b -> 'depends_on') d;
  if v_edges is not null then
    select e ->> 'other', (e ->> 'at')::integer into v_missing, v_at from jsonb_array_elements(v_edges) e
      where not (e ->> 'other' = any(v_ids))
        and not exists (select from swarm.bead_backlog where repo_id = p_repo and bead_id = e ->> 'other') limit 1;
    if v_missing is not null then
      return swarm.refused('NOTFOUND', format('no bead %s in repo %s to depend on', v_missing, p_repo), null,
        jsonb_build_object('field', format('beads[%s].depends_on', v_at), 'got', v_missing),
        jsonb_build_object('cmd', 'beads'));
    end if;
    perform swarm.lock_blockers(p_repo, array(select e ->> 'other' from jsonb_array_elements(v_edges) e));
    v_cycle := swarm.find_cycle(p_repo, v_edges);
    if v_cycle is not null then
      return swarm.refused_cycle(v_cycle);
    end if;
  end if;

  for v_bead in select * from jsonb_array_elements(v_beads) loop
    perform swarm.insert_bead(p_repo, v_bead);
    v_made := v_made + 1;
  end loop;
  insert into swarm.bead_links (repo_id, bead_id, other_id, kind)
    select p_repo, b ->> 'bead_id', b ->> 'discovered_from', 'discovered-from' from jsonb_array_elements(v_beads) b
      where b ? 'discovered_from' on conflict do nothing;
  if v_edges is not null then
    insert into swarm.bead_links (repo_id, bead_id, other_id, kind)
      select p_repo, e ->> 'bead', e ->> 'other', 'blocks' from jsonb_array_elements(v_edges) e on conflict do nothing;
    update swarm.bead_backlog b set open_blockers = swarm.count_blockers(p_repo, b.bead_id)
      where b.repo_id = p_repo and b.bead_id in (select e ->> 'bead' from jsonb_array_elements(v_edges) e);
  end if;
  return jsonb_build_object('d', jsonb_build_object('bead_ids', to_jsonb(v_ids), 'added', v_made));
end $$;

-- Inserts one bead that is known not to exist. Links to and from it may be there already and begin to count.
create or replace function swarm.insert_bead(p_repo text, b jsonb) returns void language plpgsql volatile as $$
declare
  v_status text := coalesce(b ->> 'status', 'pending');
  v_now    timestamptz := clock_timestamp();
begin
  insert into swarm.bead_backlog (repo_id, bead_id, title, description, priority, status, bead_type, labels, metadata,
      workflow, workflow_given, stage, created_at, updated_at, finished_at)
    values (p_repo, b ->> 'bead_id', coalesce(b ->> 'title', ''), coalesce(b ->> 'description', ''),
      coalesce(b ->> 'priority', 'p2'), v_status, coalesce(b ->> 'bead_type', 'task'),
      swarm.texts(coalesce(b -> 'labels', '[]')), coalesce(b -> 'metadata', '{}'),
      b ->> 'workflow', coalesce((b ->> 'workflow_given')::boolean, false), case when v_status = 'completed' then 'done' else b ->> 'stage' end,
      coalesce((b ->> 'created_at')::timestamptz, v_now), coalesce((b ->> 'updated_at')::timestamptz, v_now),
      case when v_status in ('completed', 'cancelled') then coalesce((b ->> 'finished_at')::timestamptz, v_now) end);
  if exists (select from swarm.bead_links where repo_id = p_repo and bead_id = b ->> 'bead_id') then
    perform swarm.recount(p_repo, array[b ->> 'bead_id']);
  end if;
  if swarm.is_open(v_status) then
    perform swarm.shift_dependants(p_repo, b ->> 'bead_id', 1);
  end if;
  perform swarm.emit(p_repo, 'bead_enqueued', b ->> 'bead_id', b ->> 'bead_id', null, null,
    jsonb_build_object('priority', coalesce(b ->> 'priority', 'p2'), 'status', v_status));
end $$;
