-- Readiness.

-- open_blockers = number of distinct beads this one waits for that exist and are neither completed nor cancelled.
-- Whoever adds a link holds the repo's advisory lock and its blockers FOR SHARE; whoever finishes a bead locks the bead
-- first and reads its dependants in a later statement. So one of the two always sees the other.

create or replace function swarm.is_open(p_status text) returns boolean language sql immutable parallel safe
return p_status not in ('completed', 'cancelled');

create or replace function swarm.blocking(p_kind text) returns boolean language sql immutable parallel safe
return p_kind in ('blocks', 'parent-child');

create or replace function swarm.count_blockers(p_repo text, p_bead text) returns integer language sql stable as $$
  select count(distinct l.other_id)::integer
  from swarm.bead_links l join swarm.bead_backlog o on o.repo_id = l.repo_id and o.bead_id = l.other_id
  where l.repo_id = p_repo and l.bead_id = p_bead and swarm.blocking(l.kind) and swarm.is_open(o.status)
$$;

-- Applies a finished (-1) or reopened (+1) blocker to those who wait for it, in id order.
create or replace function swarm.shift_dependants(p_repo text, p_bead text, p_delta integer) returns integer
language plpgsql volatile as $$
declare
  v_ids bigint[];
begin
  select array_agg(id) into v_ids from (
    select b.id from swarm.bead_backlog b
    where b.repo_id = p_repo and b.bead_id in (
      select l.bead_id from swarm.bead_links l where l.repo_id = p_repo and l.other_id = p_bead and swarm.blocking(l.kind))
    order by b.id for no key update) locked;
  if v_ids is null then
    return 0;
  end if;
  update swarm.bead_backlog set open_blockers = open_blockers + p_delta where id = any(v_ids);
  return cardinality(v_ids);
end $$;

create or replace function swarm.lock_links(p_repo text) returns void language sql volatile
return pg_advisory_xact_lock(hashtext('swarm:links:' || p_repo));

-- Locks the beads somebody is about to wait for, in id order, so that none of them finishes unseen.
create or replace function swarm.lock_blockers(p_repo text, p_beads text[]) returns void language plpgsql volatile as $$
begin
  perform 1 from swarm.bead_backlog where repo_id = p_repo and bead_id = any(p_beads) order by id for share;
end $$;

-- The blocking links that these beads lead to. Held to the index: whoever calls may have turned nested loops off.
create or replace function swarm.reached_links(p_repo text, p_beads text[]) returns table (bead text, other text)
language sql stable rows 10000
set enable_nestloop = on set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
  with recursive reach as (
    select distinct b as bead from unnest(p_beads) b
    union
    select l.other_id from reach r join swarm.bead_links l
      on l.repo_id = p_repo and l.bead_id = r.bead and swarm.blocking(l.kind)
  )
  select distinct l.bead_id, l.other_id from reach r join swarm.bead_links l
    on l.repo_id = p_repo and l.bead_id = r.bead and swarm.blocking(l.kind)
$$;

-- The cycle that the new edges (rows of {bead, other}) would close, as the list of beads along it, or null. One walk in
-- depth over what the new edges reach, on numbered beads: linear, so that many edges can be asked for at once.
create or replace function swarm.find_cycle(p_repo text, p_edges jsonb) returns text[] language plpgsql stable
set enable_nestloop = off as $$
declare
  v_names  text[];     -- the beads, numbered from 1
  v_to     integer[];  -- where the edges lead, those of the first bead first
  v_next   integer[];  -- per bead, its first edge in v_to that has not been followed
  v_end    integer[];  -- per bead, its last edge in v_to
  v_state  integer[];  -- per bead: 0 new, 1 on the path, 2 done
  v_path   integer[] := '{}';
  v_depth  integer;
  v_bead   integer;
  v_other  integer;
begin
  with edge as materialized (
    select e ->> 'bead' as bead, e ->> 'other' as other, n from jsonb_array_elements(p_edges) with ordinality x(e, n)
  ), known as materialized (
    select * from swarm.reached_links(p_repo, array(select bead from edge union select other from edge))
  ), link as materialized (
    select bead, other from edge union select bead, other from known
  ), numbered as materialized (
    select x.bead, (row_number() over (order by min(x.n) nulls last, x.bead))::integer as k from (
      select bead, n from edge union all select bead, null from link union all select other, null from link) x
    group by x.bead
  ), step as materialized (
    select b.k as bead, o.k as other from link l join numbered b on b.bead = l.bead join numbered o on o.bead = l.other
  ), span as (
    select n.k, count(s.other)::integer as steps from numbered n left join step s on s.bead = n.k group by n.k
  ), place as (
    select k, steps, (sum(steps) over (order by k))::integer as up_to from span
  )
  select (select array_agg(bead order by k) from numbered), (select array_agg(other order by bead, other) from step),
      array_agg(up_to - steps + 1 order by k), array_agg(up_to order by k)
    into v_names, v_to, v_next, v_end from place;

  v_state := array_fill(0, array[coalesce(cardinality(v_names), 0)]);
  for v_root in 1 .. coalesce(cardinality(v_names), 0) loop
    continue when v_state[v_root] <> 0;
    v_depth := 1;
    v_path[1] := v_root;
    v_state[v_root] := 1;
    while v_depth > 0 loop
      v_bead := v_path[v_depth];
      if v_next[v_bead] > v_end[v_bead] then
        v_state[v_bead] := 2;
        v_depth := v_depth - 1;
        continue;
      end if;
      v_other := v_to[v_next[v_bead]];
      v_next[v_bead] := v_next[v_bead] + 1;
      if v_state[v_other] = 1 then
        return array(select v_names[k] from unnest(v_path[array_position(v_path, v_other) : v_depth]) with ordinality x(k, n) order by n)
          || v_names[v_other];
      elsif v_state[v_other] = 0 then
        v_depth := v_depth + 1;
        v_path[v_depth] := v_other;
        v_state[v_other] := 1;
      end if;
    end loop;
  end loop;
  return null;
end $$;

create or replace function swarm.refused_cycle(p_cycle text[]) returns jsonb language sql stable
begin atomic
  select swarm.refused('CONFLICT', 'these dependencies form a cycle: ' || array_to_string(p_cycle, ' -> '), 'claim',
    jsonb_build_object('field', 'depends_on', 'cycle', to_jsonb(p_cycle)));
end;

create or replace function swarm.texts(p_array jsonb) returns text[] language sql immutable as
$$ select coalesce(array_agg(t order by n), '{}') from jsonb_array_elements_text(p_array) with ordinality as x(t, n) $$;
