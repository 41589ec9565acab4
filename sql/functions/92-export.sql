-- Export and doctor.

-- A page of the backlog with everything an export needs. A link between parent and child is the child's, as in the trackers.
create or replace function swarm.export_beads(p_repo text, p_after bigint, p_limit integer) returns jsonb language sql stable as $$
  with page as materialized (
    select * from swarm.bead_backlog where repo_id = p_repo and id > p_after order by id limit p_limit
  ), bound as (
    select coalesce(max(id), p_after) as last from page
  )
  select jsonb_build_object('last', bound.last,
    'more', exists (select from swarm.bead_backlog where repo_id = p_repo and id > bound.last),
    'rows', coalesce((select jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
        'bead_id', b.bead_id, 'title', b.title, 'description', b.description, 'priority', b.priority, 'status', b.status,
        'bead_type', b.bead_type, 'labels', to_jsonb(b.labels), 'created_at', swarm.iso(b.created_at),
        'updated_at', swarm.iso(b.updated_at), 'finished_at', swarm.iso(b.finished_at)))
      || jsonb_build_object('metadata', b.metadata, 'links', coalesce((
        select jsonb_agg(jsonb_build_object('bead_id', l.bead_id, 'other_id', l.other_id, 'kind', l.kind) order by l.kind, l.bead_id, l.other_id)
        from swarm.bead_links l where l.repo_id = p_repo
          and ((l.bead_id = b.bead_id and l.kind <> 'parent-child') or (l.other_id = b.bead_id and l.kind = 'parent-child'))), '[]'))
      order by b.id) from page b), '[]'))
  from bound
$$;

-- What doctor looks at in one repo: counts that must be 0, each with some of the culprits.
create or replace function swarm.doctor_json(p_repo text) returns jsonb language plpgsql volatile as $$
declare
  v_now  timestamptz := clock_timestamp();
begin
  return jsonb_build_object(
    'repo', (select jsonb_build_object('path', path, 'workflows', (select count(*) from swarm.workflows where repo_id = p_repo))
      from swarm.repos where repo_id = p_repo),
    'log_id', (select log_id from swarm.swarm_config),
    'blockers', (select jsonb_build_object('count', count(*), 'some', coalesce(jsonb_agg(bead_id) filter (where k <= 5), '[]')) from (
      select b.bead_id, row_number() over (order by b.id) as k from swarm.bead_backlog b
        left join (select l.bead_id, count(distinct l.other_id) as n from swarm.bead_links l
            join swarm.bead_backlog o on o.repo_id = l.repo_id and o.bead_id = l.other_id
          where l.repo_id = p_repo and swarm.blocking(l.kind) and swarm.is_open(o.status) group by l.bead_id) c on c.bead_id = b.bead_id
        where b.repo_id = p_repo and b.open_blockers <> coalesce(c.n, 0)) x),
    'expired', (select jsonb_build_object('count', count(*), 'some', coalesce(jsonb_agg(bead_id) filter (where k <= 5), '[]')) from (
      select bead_id, row_number() over (order by lease_expires_at) as k from swarm.bead_claims
        where repo_id = p_repo and status = 'in_progress' and lease_expires_at < v_now) x),
    'agents', (select jsonb_build_object('count', count(*), 'some', coalesce(jsonb_agg(agent_id) filter (where k <= 5), '[]')) from (
      select coalesce(s.agent_id, c.claimed_by) as agent_id, row_number() over (order by coalesce(s.agent_id, c.claimed_by)) as k
        from (select * from swarm.agent_state where repo_id = p_repo) s
        full join (select * from swarm.bead_claims where repo_id = p_repo and status = 'in_progress') c on c.claimed_by = s.agent_id
        where s.bead_id is distinct from c.bead_id) x));
end $$;
