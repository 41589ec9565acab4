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

-- Why a claim found nothing: how much is done, blocked and under way, and whom one waits for.
create or replace function swarm.none_json(p_repo text, p_filtered boolean) returns jsonb language plpgsql stable as $$
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
      when p_filtered and exists (select from swarm.bead_backlog
        where repo_id = p_repo and status = 'pending' and open_blockers = 0) then 'no_match'
      when v_working > 0 then 'waiting'
      when v_pending > 0 or v_blocked > 0 then 'blocked'
      else 'empty' end,
    'done', swarm.count_some(p_repo, '{completed,cancelled}'), 'blocked', v_blocked,
    'in_progress', v_working, 'pending', v_pending)
    || case when v_waiting is null then '{}' else jsonb_build_object('waiting_for', v_waiting) end);
end $$;
