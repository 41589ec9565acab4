-- Heartbeat, release, starting again.

create or replace function swarm.do_heartbeat(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_agent  integer := (a ->> 'agent_id')::integer;
  v_hold   jsonb;
  v_lease  integer;
  v_bead   text := coalesce(a ->> 'bead_id', p ->> 'bead_id');
begin
  if v_bead is null and not a ? 'fence' and not exists (select from swarm.bead_claims
      where repo_id = p_repo and claimed_by = v_agent and status = 'in_progress') then
    update swarm.agent_state set last_update = clock_timestamp() where repo_id = p_repo and agent_id = v_agent;
    if not found then
      return swarm.unknown_agent(p_repo, v_agent);
    end if;
  else
    v_hold := swarm.hold(p_repo, a, p || '{"cmd": "heartbeat"}');
    if v_hold ? 'refused' then
      return v_hold;
    end if;
    v_bead := v_hold ->> 'bead_id';
    v_lease := swarm.renew_held(p_repo, v_bead, (a ->> 'lease_ms')::integer);
    update swarm.agent_state set last_update = clock_timestamp() where repo_id = p_repo and agent_id = v_agent;
  end if;
  if a ? 'note' then
    perform swarm.emit(p_repo, 'progress', coalesce(v_bead, 'agent:' || v_agent), v_bead, v_agent,
      (select stage from swarm.bead_backlog where repo_id = p_repo and bead_id = v_bead),
      jsonb_build_object('phase', 'executing', 'note', a ->> 'note'));
  end if;
  return jsonb_build_object('d', jsonb_strip_nulls(jsonb_build_object('bead_id', v_bead, 'lease_ms', v_lease)));
end $$;

create or replace function swarm.do_release(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_hold  jsonb := swarm.hold(p_repo, a, p || '{"cmd": "release"}');
  v_to    text := coalesce(a ->> 'to', 'pending');
  b       swarm.bead_backlog;
begin
  if v_hold ? 'refused' then
    return v_hold;
  end if;
  select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = v_hold ->> 'bead_id';
  perform swarm.end_claim(b, 'released');
  update swarm.bead_backlog set status = v_to, updated_at = clock_timestamp(),
      feedback = case when v_to = 'blocked' then coalesce(a ->> 'reason', feedback) else feedback end
    where id = b.id;
  perform swarm.emit(p_repo, 'bead_released', b.bead_id, b.bead_id, (a ->> 'agent_id')::integer, b.stage,
    jsonb_strip_nulls(jsonb_build_object('to', v_to, 'reason', a ->> 'reason', 'fence', b.fence)));
  return jsonb_build_object('d', jsonb_build_object('bead_id', b.bead_id, 'status', v_to));
end $$;

-- Repeats a stage: the running attempt ends without an outcome and a new one of the named stage begins. Back or again, never ahead.
create or replace function swarm.do_start_stage(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_hold   jsonb := swarm.hold(p_repo, a, p || '{"cmd": "start-stage"}');
  v_agent  integer := (a ->> 'agent_id')::integer;
  b        swarm.bead_backlog;
  v_stage  text;
  v_here   integer;
  v_there  integer;
  s        swarm.workflow_stages;
begin
  if v_hold ? 'refused' then
    return v_hold;
  end if;
  select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = v_hold ->> 'bead_id';
  v_stage := coalesce(a ->> 'stage', b.stage);
  select position into v_here from swarm.workflow_stages where repo_id = p_repo and name = b.workflow and stage = b.stage;
  select position into v_there from swarm.workflow_stages where repo_id = p_repo and name = b.workflow and stage = v_stage;
  if v_there is null or v_there > v_here then
    return swarm.refused('CONFLICT', format('bead %s is at stage %s; only this stage or an earlier one can be started again, not %s', b.bead_id, b.stage, v_stage),
      'stage', jsonb_build_object('field', 'stage', 'got', v_stage, 'current', b.stage, 'nearest', b.stage),
      jsonb_build_object('cmd', 'show', 'bead_id', b.bead_id));
  end if;
  select * into s from swarm.workflow_stages where repo_id = p_repo and name = b.workflow and stage = v_stage;
  b.not_for := swarm.kept_from(b, v_stage);
  if swarm.is_landing(s) then
    return swarm.refused('CONFLICT', format('stage %s is done by swarm itself, no agent starts it', v_stage), 'stage',
      jsonb_build_object('field', 'stage', 'got', v_stage, 'current', b.stage), jsonb_build_object('cmd', 'workflows'));
  end if;
  if v_stage <> b.stage and b.not_for = v_agent and swarm.is_for_others(s, v_agent) then
    return swarm.refused('CONFLICT', format('stage %s of bead %s checks the work of agent %s: it is for another agent', v_stage, b.bead_id, v_agent), 'stage',
      jsonb_build_object('field', 'stage', 'got', v_stage, 'current', b.stage, 'not_for', v_agent), jsonb_build_object('cmd', 'workflows'));
  end if;
  if v_stage <> b.stage and not swarm.may_do(p_repo, b.workflow, v_stage, (select role from swarm.agent_state where repo_id = p_repo and agent_id = v_agent)) then
    return swarm.refused('CONFLICT', format('stage %s of bead %s is not for the role of agent %s', v_stage, b.bead_id, v_agent), 'stage',
      jsonb_build_object('field', 'stage', 'got', v_stage, 'current', b.stage), jsonb_build_object('cmd', 'workflows'));
  end if;
  update swarm.stage_history set status = 'error', result = 'noop', completed_at = clock_timestamp(),
      duration_ms = greatest(0, extract(epoch from clock_timestamp() - started_at) * 1000)
    where repo_id = p_repo and bead_id = b.bead_id and status = 'started';
  b.attempt := swarm.next_attempt(b, v_stage);
  update swarm.bead_backlog set stage = v_stage, attempt = b.attempt, not_for = b.not_for, updated_at = clock_timestamp() where id = b.id;
  insert into swarm.stage_history (repo_id, agent_id, bead_id, stage, attempt_number, status, fence, session_id, started_at)
    values (p_repo, v_agent, b.bead_id, v_stage, b.attempt, 'started', b.fence, p ->> 'holder', clock_timestamp());
  perform swarm.renew_held(p_repo, b.bead_id, null);
  update swarm.agent_state set current_stage = v_stage, stage_started_at = clock_timestamp(), last_update = clock_timestamp()
    where repo_id = p_repo and agent_id = v_agent;
  insert into swarm.execution_events (event_type, entity_id, repo_id, bead_id, agent_id, stage, session_id, payload) values
    ('transition_noop', b.bead_id, p_repo, b.bead_id, v_agent, b.stage, p ->> 'holder', jsonb_build_object('from', b.stage, 'to', v_stage)),
    ('stage_started', b.bead_id, p_repo, b.bead_id, v_agent, v_stage, p ->> 'holder', jsonb_build_object('attempt', b.attempt));
  return jsonb_build_object('d', jsonb_build_object('bead_id', b.bead_id, 'stage', v_stage, 'attempt', b.attempt));
end $$;
