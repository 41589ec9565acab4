-- Completing a stage.

-- What was begun in one attempt is no completion of another, nor evidence for it. `h` is the attempt that the bead is at.
create or replace function swarm.refused_attempt(h swarm.stage_history) returns jsonb language sql immutable as $$
  select swarm.refused('CONFLICT', format('bead %s is at attempt %s of stage %s now, which is not the one that was begun',
      h.bead_id, h.attempt_number, h.stage), 'stage',
    jsonb_build_object('bead_id', h.bead_id, 'current', h.stage), jsonb_build_object('cmd', 'show', 'bead_id', h.bead_id))
$$;

create or replace function swarm.do_complete_stage(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_hold        jsonb := swarm.hold(p_repo, a, p || '{"cmd": "complete-stage"}');
  v_agent       integer := (a ->> 'agent_id')::integer;
  v_outcome     text := a ->> 'outcome';
  b             swarm.bead_backlog;
  s             swarm.workflow_stages;
  t             swarm.workflow_stages;
  v_history     swarm.stage_history;
  v_transition  text;
  v_target      text;
  v_attempt     integer;
  v_kept        boolean := false;
  v_now         timestamptz;
  v_lease       integer;
  e             jsonb;
  v_trust       text := case when (p ->> 'verified')::boolean then 'verified' else 'claimed' end;
begin
  if v_hold ? 'refused' then
    return v_hold;
  end if;
  v_now := clock_timestamp();
  select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = v_hold ->> 'bead_id';
  if a ->> 'stage' <> b.stage then
    return swarm.refused('CONFLICT', format('bead %s is at stage %s, not %s', b.bead_id, b.stage, a ->> 'stage'), 'stage',
      jsonb_build_object('field', 'stage', 'got', a ->> 'stage', 'current', b.stage, 'nearest', b.stage),
      jsonb_build_object('cmd', 'show', 'bead_id', b.bead_id));
  end if;
  select * into s from swarm.workflow_stages where repo_id = p_repo and name = b.workflow and stage = b.stage;
  select * into v_history from swarm.stage_history
    where repo_id = p_repo and bead_id = b.bead_id and status = 'started' order by id desc limit 1;
  if (p ->> 'attempt_id')::bigint <> v_history.id then
    return swarm.refused_attempt(v_history);
  end if;
  if swarm.is_landing(s) and (p ->> 'lands') is null then
    return swarm.refused('CONFLICT', format('stage %s is done by swarm itself: it lands bead %s, no agent passes or fails it', b.stage, b.bead_id), 'stage',
      jsonb_build_object('stage', b.stage, 'bead_id', b.bead_id), jsonb_build_object('cmd', 'workflows', 'name', b.workflow));
  end if;
  -- What swarm ran and did not exit with 0 passes nothing, gate or not.
  if v_outcome = 'passed' and v_trust = 'verified'
      and exists (select from jsonb_array_elements(a -> 'evidence') x where x ->> 'exit_code' is distinct from '0') then
    return swarm.refused('CONFLICT', format('stage %s does not pass: what was run for it did not exit with 0', b.stage), 'stage',
      jsonb_build_object('stage', b.stage, 'field', 'evidence'), jsonb_build_object('cmd', 'show', 'bead_id', b.bead_id));
  end if;
  -- Fails closed: the last run of this very gate, by swarm and in this attempt, must have exited with 0.
  -- Nested, so that the query is prepared only for a stage with a gate.
  if v_outcome = 'passed' and s.gate_hash is not null then
    if coalesce(case
        when v_trust = 'verified' then (select (x ->> 'exit_code')::integer from jsonb_array_elements(a -> 'evidence') x where x ->> 'gate_hash' = s.gate_hash)
        else (select (metadata ->> 'exit_code')::integer from swarm.stage_artifacts
          where stage_history_id = v_history.id and trust = 'verified' and metadata ->> 'gate_hash' = s.gate_hash order by id desc limit 1) end, -1) <> 0 then
      return swarm.refused('CONFLICT', format('stage %s has a gate: it passes only when swarm has run it and it exited with 0', b.stage), 'stage',
        jsonb_build_object('stage', b.stage, 'gate', s.gate, 'gate_hash', s.gate_hash), jsonb_build_object('cmd', 'run-once', 'agent_id', v_agent));
    end if;
  end if;

  if v_outcome = 'passed' then
    v_target := s.on_pass;
    if v_target is null then
      select stage into v_target from swarm.workflow_stages
        where repo_id = p_repo and name = b.workflow and position > s.position order by position limit 1;
    end if;
    v_target := coalesce(v_target, 'done');
    v_transition := case when v_target = 'done' then 'finalize' else 'advance' end;
  else
    v_target := case when v_outcome = 'failed' then coalesce(s.on_fail, b.stage) else b.stage end;
    v_transition := 'retry';
  end if;

  update swarm.stage_history set status = v_outcome, result = v_transition, feedback = a ->> 'feedback', completed_at = v_now,
      duration_ms = greatest(0, extract(epoch from v_now - started_at) * 1000)
    where id = v_history.id;
  b.not_for := null;
  if v_transition <> 'finalize' then
    b.attempt := swarm.next_attempt(b, v_target);
    b.not_for := swarm.kept_from(b, v_target);
  end if;
  if v_transition = 'retry' then
    select * into t from swarm.workflow_stages where repo_id = p_repo and name = b.workflow and stage = v_target;
    if b.attempt > coalesce(t.max_attempts, (select max_implementation_attempts from swarm.swarm_config)) then
      v_transition := 'block';
      update swarm.stage_history set result = 'block' where id = v_history.id;
    end if;
  end if;
  v_attempt := case when v_transition in ('finalize', 'block') then v_history.attempt_number else b.attempt end;

  if a ?| '{artifacts,evidence}' then
    for e in select * from jsonb_array_elements(a -> 'artifacts') loop
      if swarm.store_artifact(p_repo, v_history.id, e ->> 'artifact_type', e ->> 'content', coalesce(e -> 'metadata', '{}'), 'claimed') then
        perform swarm.emit(p_repo, 'artifact_stored', b.bead_id, b.bead_id, v_agent, b.stage,
          jsonb_build_object('artifact_type', e ->> 'artifact_type', 'trust', 'claimed'));
      end if;
    end loop;
    for e in select * from jsonb_array_elements(a -> 'evidence') loop
      if swarm.store_artifact(p_repo, v_history.id, 'quality_gate_report', coalesce(e ->> 'output', ''), e - 'output', v_trust) then
        perform swarm.emit(p_repo, 'artifact_stored', b.bead_id, b.bead_id, v_agent, b.stage,
          jsonb_build_object('artifact_type', 'quality_gate_report', 'trust', v_trust));
      end if;
      b.commit_hash := coalesce(e ->> 'commit', b.commit_hash);
    end loop;
  end if;
  if v_outcome = 'passed' and (v_trust = 'verified' or s.gate_hash is not null) then
    b.verification_status := 'verified';
  elsif v_outcome = 'passed' and b.verification_status = 'unverified' and a ? 'evidence'
      and not exists (select from jsonb_array_elements(a -> 'evidence') x where x ->> 'exit_code' <> '0') then
    b.verification_status := 'claimed';
  end if;

  insert into swarm.execution_events (event_type, entity_id, repo_id, bead_id, agent_id, stage, session_id, payload) values
    ('stage_completed', b.bead_id, p_repo, b.bead_id, v_agent, b.stage, p ->> 'holder', jsonb_strip_nulls(jsonb_build_object(
       'outcome', v_outcome, 'attempt', v_history.attempt_number, 'feedback', left(a ->> 'feedback', 500)))),
    ('transition_' || case v_transition when 'block' then 'blocked' else v_transition end, b.bead_id, p_repo, b.bead_id, v_agent, b.stage,
       p ->> 'holder', jsonb_build_object('from', b.stage, 'to', case v_transition when 'block' then 'blocked' else v_target end));

  b.feedback := case when v_outcome = 'passed' then null else a ->> 'feedback' end;
  if v_transition in ('finalize', 'block') then
    update swarm.bead_backlog set status = case v_transition when 'finalize' then 'completed' else 'blocked' end,
        stage = case v_transition when 'finalize' then 'done' else v_target end, attempt = v_attempt, feedback = b.feedback, not_for = b.not_for,
        verification_status = b.verification_status, commit_hash = b.commit_hash, updated_at = v_now,
        finished_at = case v_transition when 'finalize' then v_now end
      where id = b.id;
    update swarm.bead_claims set status = case v_transition when 'finalize' then 'completed' else 'blocked' end, heartbeat_at = v_now
      where repo_id = p_repo and bead_id = b.bead_id;
    update swarm.agent_state set bead_id = null, current_stage = null, stage_started_at = null, status = 'idle', feedback = null, last_update = v_now
      where repo_id = p_repo and agent_id = v_agent;
    if v_transition = 'finalize' then
      -- a statement of its own after the bead's lock, as the readiness rules ask for
      if exists (select from swarm.bead_links where repo_id = p_repo and other_id = b.bead_id) then
        perform swarm.shift_dependants(p_repo, b.bead_id, -1);
      end if;
    end if;
  else
    v_kept := coalesce((p ->> 'keep')::boolean, true)
      and swarm.may_do(p_repo, b.workflow, v_target, (select role from swarm.agent_state where repo_id = p_repo and agent_id = v_agent));
    if v_kept and b.not_for = v_agent then
      select * into t from swarm.workflow_stages where repo_id = p_repo and name = b.workflow and stage = v_target;
      v_kept := not swarm.is_for_others(t, v_agent);
    end if;
    update swarm.bead_backlog set status = case when v_kept then 'in_progress' else 'pending' end, stage = v_target, attempt = v_attempt, not_for = b.not_for,
        retry_count = retry_count + (v_transition = 'retry')::integer, feedback = b.feedback,
        verification_status = b.verification_status, commit_hash = b.commit_hash, updated_at = v_now
      where id = b.id;
    if v_kept then
      v_lease := swarm.renew_held(p_repo, b.bead_id, null);
      insert into swarm.stage_history (repo_id, agent_id, bead_id, stage, attempt_number, status, fence, session_id, started_at)
        values (p_repo, v_agent, b.bead_id, v_target, v_attempt, 'started', b.fence, p ->> 'holder', v_now);
      update swarm.agent_state set current_stage = v_target, stage_started_at = v_now, feedback = b.feedback, last_update = v_now,
          implementation_attempt = case when v_target = 'implement' then v_attempt else implementation_attempt end
        where repo_id = p_repo and agent_id = v_agent;
      insert into swarm.execution_events (event_type, entity_id, repo_id, bead_id, agent_id, stage, session_id, payload) values
        ('stage_started', b.bead_id, p_repo, b.bead_id, v_agent, v_target, p ->> 'holder', jsonb_build_object('attempt', v_attempt));
    else
      perform swarm.end_claim(b, v_transition);
    end if;
  end if;
  return jsonb_build_object('d', jsonb_build_object('transition', v_transition,
    'stage', case v_transition when 'finalize' then 'done' else v_target end, 'attempt', v_attempt, 'kept', v_kept));
end $$;
