-- Nothing to claim.

-- True when all that was ever to be done is done or given up: nobody needs to wait any longer. A backlog that has not
-- begun is not finished, and neither is one that waits for a person.
create or replace function swarm.is_finished(p_repo text) returns boolean language sql stable
begin atomic
  select exists (select from swarm.bead_backlog where repo_id = p_repo and status in ('completed', 'cancelled'))
    and not exists (select from swarm.bead_backlog
      where repo_id = p_repo and status in ('pending', 'in_progress', 'blocked', 'failed'));
end;

-- How many beads have one of these statuses. Counts stop at 10,000: nobody acts differently beyond, and counting must
-- stay cheap.
create or replace function swarm.count_some(p_repo text, p_statuses text[]) returns bigint language sql stable as $$
  select count(*) from (
    select from swarm.bead_backlog where repo_id = p_repo and status = any(p_statuses) limit 10000) x
$$;

-- Why a claim found nothing: how much is done, blocked and under way, and whom one waits for. `independent_reviewer`: what is ready is the
-- agent's own work, for somebody else to check. While a run is open swarm lands what waits for landing.
create or replace function swarm.none_json(p_repo text, p_agent integer, p_role text, p_labels text[], p_types text[])
returns jsonb language plpgsql stable as $$
declare
  v_pending  bigint := swarm.count_some(p_repo, '{pending}');
  v_working  bigint := swarm.count_some(p_repo, '{in_progress}');
  v_blocked  bigint := swarm.count_some(p_repo, '{blocked,failed}');
  v_waiting  jsonb;
begin
  select jsonb_agg(jsonb_build_object('bead_id', c.bead_id, 'agent_id', c.claimed_by, 'stage', b.stage)
      order by c.claimed_at)
    into v_waiting
    from (select * from swarm.bead_claims where repo_id = p_repo and status = 'in_progress'
      order by claimed_at limit 5) c
    join swarm.bead_backlog b on b.repo_id = p_repo and b.bead_id = c.bead_id;
  return jsonb_build_object('transient', true, 'd', jsonb_build_object('bead', null, 'reason', case
      when (select swarm_status from swarm.swarm_config) = 'paused' then 'paused'
      when exists (select from unnest(swarm.kept_stages(p_repo, p_agent)) s cross join lateral (
          select from swarm.bead_backlog x where x.repo_id = p_repo and x.status = 'pending' and x.open_blockers = 0 and x.not_for = p_agent
            and x.workflow = s.name and x.stage = s.stage
            and (p_labels is null or x.labels @> p_labels) and (p_types is null or x.bead_type = any(p_types)) limit 1) c
        where p_role is null or s.role is null or p_role = any(s.role)) then 'independent_reviewer'
      when coalesce(p_role, p_labels[1], p_types[1]) is not null and exists (select from swarm.bead_backlog
        where repo_id = p_repo and status = 'pending' and open_blockers = 0 and not_for is distinct from 0) then 'no_match'
      when v_working > 0 or exists (select from swarm.bead_backlog
        where repo_id = p_repo and status = 'pending' and open_blockers = 0 and not_for = 0)
        and exists (select from swarm.swarm_runs where repo_id = p_repo and ended_at is null) then 'waiting'
      when v_pending > 0 or v_blocked > 0 then 'blocked'
      else 'empty' end,
    'done', swarm.count_some(p_repo, '{completed,cancelled}'), 'blocked', v_blocked,
    'in_progress', v_working, 'pending', v_pending)
    || case when v_waiting is null then '{}' else jsonb_build_object('waiting_for', v_waiting) end);
end $$;
