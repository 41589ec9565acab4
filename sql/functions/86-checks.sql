-- Self-checks and invariants.

-- Removes a repo that load-profile made, with everything in it; refuses any other name. Audit rows up to p_audit_from
-- are older than the repo. Runs that were killed half-way are removed an hour later.
create or replace function swarm.forget_load_profile(p_repo text, p_audit_from bigint) returns integer language plpgsql volatile as $$
declare
  v_repo     text;
  v_removed  integer := 0;
begin
  if p_repo !~ '^load-profile-[0-9a-f]{8,32}$' then
    raise exception 'swarm: % is not a repo of load-profile', p_repo;
  end if;
  for v_repo in
    select repo_id from swarm.repos where repo_id = p_repo
      or (repo_id ~ '^load-profile-[0-9a-f]{8,32}$' and created_at < clock_timestamp() - interval '1 hour')
  loop
    delete from swarm.stage_history where repo_id = v_repo;
    delete from swarm.bead_claims where repo_id = v_repo;
    delete from swarm.bead_links where repo_id = v_repo;
    delete from swarm.bead_backlog where repo_id = v_repo;
    delete from swarm.agent_state where repo_id = v_repo;
    delete from swarm.execution_events where repo_id = v_repo;
    delete from swarm.operations where repo_id = v_repo;
    delete from swarm.workflows where repo_id = v_repo;
    delete from swarm.repos where repo_id = v_repo;
    v_removed := v_removed + 1;
  end loop;
  delete from swarm.command_audit where seq > p_audit_from and repo_id = p_repo;
  return v_removed;
end $$;

-- What must hold whatever was killed: for the self-check and the demo, and for anybody in psql.
--   lost: finished according to the log but not in the backlog, or in progress with nobody holding it
--   doubled: held twice at the same time, or finished twice without being reopened in between
--   miscounted: open_blockers is not what a recount says
create or replace function swarm.invariants(p_repo text) returns jsonb language sql stable as $$
  with bead as materialized (
    select * from swarm.bead_backlog where repo_id = p_repo
  ), claim as materialized (
    select bead_id from swarm.bead_claims where repo_id = p_repo and status = 'in_progress'
  ), ending as materialized (
    select bead_id, max(seq) as seq,
        count(*) filter (where event_type = 'transition_finalize') as finished,
        count(*) filter (where event_type = 'state_change' and payload ->> 'from' = 'completed') as reopened,
        (array_agg(event_type order by seq desc))[1] as last
      from swarm.execution_events
      where repo_id = p_repo and origin = 'system' and (event_type = 'transition_finalize'
        or event_type = 'state_change' and 'completed' in (payload ->> 'from', payload ->> 'to'))
      group by bead_id
  ), held as materialized (
    select bead_id, started_at, max(coalesce(completed_at, 'infinity'))
      over (partition by bead_id order by id rows between unbounded preceding and 1 preceding) as before
      from swarm.stage_history where repo_id = p_repo
  )
  select jsonb_build_object(
    'beads', (select count(*) from bead),
    'completed', (select count(*) from bead where status = 'completed'),
    'blocked', (select count(*) from bead where status in ('blocked', 'failed')),
    'retried', (select coalesce(sum(retry_count), 0) from bead),
    'leases', (select count(*) from claim),
    'lost', (select count(*) from bead b left join ending e using (bead_id) left join claim c using (bead_id)
      where (e.last = 'transition_finalize' and b.status <> 'completed') or (b.status = 'in_progress' and c.bead_id is null)),
    'doubled', (select count(*) from (select bead_id from held where started_at < before
      union select bead_id from ending where finished > reopened + 1) x),
    'miscounted', (select count(*) from bead b where b.open_blockers <> swarm.count_blockers(p_repo, b.bead_id)))
$$;

-- Removes what a self-check made; the logs keep what happened.
create or replace function swarm.do_forget_smoke(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
begin
  if p_repo !~ '^smoke-' then
    return swarm.refused('INVALID', format('%s is no self-check', p_repo));
  end if;
  delete from swarm.stage_artifacts where repo_id = p_repo;
  delete from swarm.stage_history where repo_id = p_repo;
  delete from swarm.bead_claims where repo_id = p_repo;
  delete from swarm.bead_links where repo_id = p_repo;
  delete from swarm.bead_backlog where repo_id = p_repo;
  delete from swarm.agent_state where repo_id = p_repo;
  delete from swarm.workflows where repo_id = p_repo;
  delete from swarm.repos where repo_id = p_repo;
  delete from swarm.operations where repo_id = p_repo;
  return '{"d": {}}';
end $$;
