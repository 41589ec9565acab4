-- Who may do a stage.

-- At the landing stage swarm itself works: no agent takes or passes it.
create or replace function swarm.is_landing(s swarm.workflow_stages) returns boolean language sql immutable parallel safe
return s.stage = 'land' or coalesce(s.role = '{swarm}', false);

-- Whether an agent of this role may do a stage; one without a role may do all but land.
create or replace function swarm.may_do(p_repo text, p_workflow text, p_stage text, p_role text) returns boolean language sql stable
begin atomic
  select case when p_role is null
    then not exists (select from swarm.workflow_stages s
      where s.repo_id = p_repo and s.name = p_workflow and s.stage = p_stage and swarm.is_landing(s))
    else exists (select from swarm.workflow_stages s
      where s.repo_id = p_repo and s.name = p_workflow and s.stage = p_stage and (s.role is null or p_role = any(s.role)) and not swarm.is_landing(s))
    end;
end;

-- Whom a bead is kept from at a stage (bead_backlog.not_for). Where the stage is independent: whoever passed the last attempt of the
-- stage that its failure leads back to, or where it leads nowhere else, of the stage before.
create or replace function swarm.kept_from(b swarm.bead_backlog, p_stage text) returns integer language plpgsql stable as $$
declare
  s       swarm.workflow_stages;
  v_back  text;
begin
  select * into s from swarm.workflow_stages where repo_id = b.repo_id and name = b.workflow and stage = p_stage;
  if swarm.is_landing(s) then
    return 0;
  elsif s.independent is null then
    return null;
  end if;
  v_back := coalesce(nullif(s.on_fail, s.stage), (select stage from swarm.workflow_stages
    where repo_id = b.repo_id and name = b.workflow and position < s.position order by position desc limit 1));
  return (select agent_id from swarm.stage_history
    where repo_id = b.repo_id and bead_id = b.bead_id and stage = v_back and status = 'passed' order by id desc limit 1);
end $$;

-- Whether another agent that may do the stage is there: seen in the last 15 minutes, or at work under a lease.
create or replace function swarm.somebody_else(s swarm.workflow_stages, p_agent integer) returns boolean language plpgsql stable as $$
declare
  v_now  timestamptz := clock_timestamp();
begin
  return exists (select from swarm.agent_state a
    where a.repo_id = s.repo_id and a.agent_id <> p_agent and a.seen_at is not null and a.role is distinct from 'swarm'
      and (s.role is null or a.role is null or a.role = any(s.role))
      and (a.last_update > v_now - interval '15 minutes' or exists (select from swarm.bead_claims c
        where c.repo_id = a.repo_id and c.claimed_by = a.agent_id and c.status = 'in_progress' and c.lease_expires_at > v_now)));
end $$;

-- Whether this stage of the agent's own work is for somebody else.
create or replace function swarm.is_for_others(s swarm.workflow_stages, p_agent integer) returns boolean language plpgsql stable as $$
begin
  return case s.independent when 'require' then true when 'prefer' then swarm.somebody_else(s, p_agent) else false end;
end $$;

-- Whether the agent must leave the bead to somebody else now. `p_strictly`: only where the stage requires it.
create or replace function swarm.is_kept(b swarm.bead_backlog, p_agent integer, p_strictly boolean default false) returns boolean
language plpgsql stable as $$
declare
  s  swarm.workflow_stages;
begin
  if b.not_for is null or b.not_for not in (0, p_agent) then
    return false;
  elsif b.not_for = 0 then
    return true;
  end if;
  select * into s from swarm.workflow_stages where repo_id = b.repo_id and name = b.workflow and stage = b.stage;
  return case when p_strictly then coalesce(s.independent = 'require', false) else swarm.is_for_others(s, p_agent) end;
end $$;

-- The stages at which beads wait that are ready, and that the agent must leave to somebody else.
create or replace function swarm.kept_stages(p_repo text, p_agent integer) returns swarm.workflow_stages[] language plpgsql stable as $$
begin
  if not exists (select from swarm.bead_backlog
      where repo_id = p_repo and status = 'pending' and open_blockers = 0 and not_for = p_agent) then
    return '{}';
  end if;
  return array(select s from swarm.workflow_stages s where s.repo_id = p_repo and s.independent is not null
    and exists (select from swarm.bead_backlog where repo_id = p_repo and status = 'pending' and open_blockers = 0 and not_for = p_agent
      and workflow = s.name and stage = s.stage)
    and swarm.is_for_others(s, p_agent));
end $$;

-- How many beads agents could claim: those that wait for landing are swarm's.
create or replace function swarm.count_ready(p_repo text) returns bigint language sql stable as $$
  select (select count(*) from swarm.bead_backlog where repo_id = p_repo and status = 'pending' and open_blockers = 0)
    - (select count(*) from swarm.bead_backlog where repo_id = p_repo and status = 'pending' and open_blockers = 0 and not_for = 0)
$$;
