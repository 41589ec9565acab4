-- Commands that swarm runs.

-- Verbs that run a command of their own first and write afterwards. They are sent again under their key like any other
-- write: so they look for the reply before they run anything, and what they did comes in as `p`, beside the request.
drop function if exists swarm.prior_reply(text, text, jsonb, text);
create or replace function swarm.prior_reply(p_repo text, p_cmd text, p_args jsonb, p_proc jsonb, p_key text) returns jsonb language sql stable as $$
  select swarm.replay(o, md5(p_cmd || p_args::text)) from swarm.operations o
    where repo_id = p_repo and key = swarm.own_key(p_args, p_proc, p_key) and reply is not null
$$;

-- By what a process knows the gate of a stage in its own configuration; null where the stage has none.
create or replace function swarm.gate_json(s swarm.workflow_stages) returns jsonb language sql immutable as $$
  select case when s.gate_hash is not null then jsonb_build_object('name', s.gate, 'hash', s.gate_hash, 'timeout_ms', s.timeout_ms) end
$$;

-- What an agent holds and what is to be run for it: the gate of the current stage, and the gate of the stage `qa`, by name and hash.
create or replace function swarm.held_work(p_repo text, p_agent integer, p_bead text, p_fence bigint) returns jsonb language plpgsql volatile as $$
declare
  v_hold  jsonb := swarm.hold(p_repo, jsonb_strip_nulls(jsonb_build_object('agent_id', p_agent, 'bead_id', p_bead, 'fence', p_fence)), '{"cmd": "show"}');
  b       swarm.bead_backlog;
begin
  if v_hold ? 'refused' then
    return v_hold;
  end if;
  select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = v_hold ->> 'bead_id';
  return (swarm.claim_json(b, (select lease_ms from swarm.bead_claims where repo_id = p_repo and bead_id = b.bead_id), true) -> 'd')
    || jsonb_build_object('attempt_id', (select id from swarm.stage_history
        where repo_id = p_repo and bead_id = b.bead_id and status = 'started' order by id desc limit 1))
    || jsonb_build_object('workflow', b.workflow)
    || coalesce((select jsonb_strip_nulls(jsonb_build_object('gate', swarm.gate_json(s), 'timeout_ms', s.timeout_ms))
        from swarm.workflow_stages s where s.repo_id = p_repo and s.name = b.workflow and s.stage = b.stage), '{}')
    || coalesce((select jsonb_build_object('qa', swarm.gate_json(s))
        from swarm.workflow_stages s where s.repo_id = p_repo and s.name = b.workflow and s.stage = 'qa' and s.gate_hash is not null), '{}');
end $$;

-- `p`: complete (the stage's completion, as complete-stage takes it), attempt_id (the row of the attempt in which it began), ran (what the answer says of the command),
-- verified (swarm ran the stage's gate), lease_ms (of a claim that is kept by a process that now ends). What the command itself
-- completed or released stands.
create or replace function swarm.do_run_once(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  k        jsonb := p -> 'complete';
  v_state  text;
  v_reply  jsonb;
  b        swarm.bead_backlog;
  h        swarm.stage_history;
begin
  select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = k ->> 'bead_id' for no key update;
  v_state := swarm.claim_state(p_repo, (k ->> 'agent_id')::integer, b.bead_id, (k ->> 'fence')::bigint, (p ->> 'attempt_id')::bigint);
  if v_state in ('moved', 'ended') then
    h := swarm.attempt_under(p_repo, b.bead_id, (k ->> 'fence')::bigint, (p ->> 'attempt_id')::bigint);
    return jsonb_build_object('d', jsonb_build_object('ran', p -> 'ran',
      'transition', case when h.result in ('advance', 'retry', 'finalize', 'block') then h.result else 'noop' end,
      'stage', b.stage, 'attempt', b.attempt, 'kept', v_state = 'moved', 'by_command', true));
  end if;
  v_reply := swarm.do_complete_stage(p_repo, k, p - '{complete,ran}'::text[]);
  if v_reply ? 'refused' then
    return v_reply;
  end if;
  if (v_reply #>> '{d,kept}')::boolean and p ? 'lease_ms' then
    perform swarm.renew_held(p_repo, p #>> '{complete,bead_id}', (p ->> 'lease_ms')::integer);
  end if;
  return jsonb_build_object('d', jsonb_build_object('ran', p -> 'ran') || (v_reply -> 'd'));
end $$;

-- The steps of the loop have been written one by one; this keeps its answer.
create or replace function swarm.do_agent(p_repo text, a jsonb, p jsonb) returns jsonb language sql immutable
return jsonb_build_object('d', p -> 'summary');

-- An attempt by its row, when it is one of this bead under this fence. A stage that is started again has another row under the same number.
drop function if exists swarm.attempt_under(text, text, bigint, text, integer);
create or replace function swarm.attempt_under(p_repo text, p_bead text, p_fence bigint, p_attempt_id bigint)
returns swarm.stage_history language plpgsql stable as $$
declare
  h  swarm.stage_history;
begin
  select * into h from swarm.stage_history where id = p_attempt_id and repo_id = p_repo and bead_id = p_bead and fence = p_fence;
  return h;
end $$;

-- How the claim stands under which an attempt was begun: `held`; `moved`, held but at another attempt, since whoever speaks for the
-- agent completed this one or started the stage again; `ended`, this one was completed or released so, and with it the claim; `lost`
-- otherwise.
drop function if exists swarm.claim_state(text, integer, text, bigint, text, integer);
create or replace function swarm.claim_state(p_repo text, p_agent integer, p_bead text, p_fence bigint, p_attempt_id bigint)
returns text language plpgsql stable as $$
declare
  c  swarm.bead_claims;
  h  swarm.stage_history;
begin
  select * into c from swarm.bead_claims where repo_id = p_repo and bead_id = p_bead and status = 'in_progress' and claimed_by = p_agent;
  h := swarm.attempt_under(p_repo, p_bead, p_fence, p_attempt_id);
  return case
    when h.id is null then 'lost'
    when c.fence = p_fence then case h.status when 'started' then 'held' else 'moved' end
    when h.status = 'started' or c.claimed_at < h.completed_at then 'lost'
    when exists (select from swarm.stage_history where repo_id = p_repo and bead_id = p_bead and fence = p_fence
      and id >= h.id and result in ('lease_expired', 'cancelled')) then 'lost'
    else 'ended' end;
end $$;

-- The end of a command that ran under a claim of its own. `p`: claim {agent_id, bead_id, fence, attempt_id}, complete (as
-- complete-stage takes it) or else release (the reason), verified, ran (what the answer says of the command); or the summary of
-- several. No claim is kept: its process goes away. What the command itself completed or released stands.
create or replace function swarm.do_work(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  k        jsonb := p -> 'claim';
  v_hold   jsonb;
  v_state  text;
  v_reply  jsonb := '{"d": {}}';
  b        swarm.bead_backlog;
  h        swarm.stage_history;
begin
  if p ? 'summary' then
    return jsonb_build_object('d', p -> 'summary');
  end if;
  v_hold := swarm.hold(p_repo, k, p || '{"cmd": "work"}');
  v_state := swarm.claim_state(p_repo, (k ->> 'agent_id')::integer, k ->> 'bead_id', (k ->> 'fence')::bigint, (k ->> 'attempt_id')::bigint);
  if v_state = 'lost' then
    v_reply := v_hold;
  elsif v_state = 'held' and p ? 'complete' then
    v_reply := swarm.do_complete_stage(p_repo, p -> 'complete', p - '{complete,claim,ran}'::text[]
      || jsonb_build_object('keep', false, 'attempt_id', k -> 'attempt_id'));
  elsif v_state in ('held', 'moved') then
    v_reply := swarm.do_release(p_repo, jsonb_strip_nulls(k - 'attempt_id' || jsonb_build_object('reason', p -> 'release')), p);
  end if;
  if v_reply ? 'refused' then
    return v_reply;
  end if;
  select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = k ->> 'bead_id';
  h := swarm.attempt_under(p_repo, b.bead_id, (k ->> 'fence')::bigint, (k ->> 'attempt_id')::bigint);
  return jsonb_build_object('d', jsonb_strip_nulls(
    jsonb_build_object('bead_id', b.bead_id, 'stage', h.stage, 'attempt', h.attempt_number)
    || case when h.result in ('advance', 'retry', 'finalize', 'block')
         then jsonb_build_object('outcome', h.status, 'transition', h.result) else '{}' end
    || case when v_state <> 'held' then jsonb '{"by_command": true}' else '{}' end
    || (p -> 'ran')
    || jsonb_build_object('status', b.status, 'next_stage', b.stage)));
end $$;

-- Evidence of a gate that swarm ran, stored with the attempt in which it began, and only while that runs; decides nothing. `p`: bead_id,
-- fence, attempt_id, evidence, ran.
create or replace function swarm.do_qa(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_hold     jsonb := swarm.hold(p_repo, a, p || '{"cmd": "qa"}');
  v_history  swarm.stage_history;
begin
  if v_hold ? 'refused' then
    return v_hold;
  end if;
  select * into v_history from swarm.stage_history
    where repo_id = p_repo and bead_id = v_hold ->> 'bead_id' and status = 'started' order by id desc limit 1;
  if v_history.id is distinct from (p ->> 'attempt_id')::bigint then
    return swarm.refused_attempt(v_history);
  end if;
  if swarm.store_artifact(p_repo, v_history.id, 'quality_gate_report', p #>> '{evidence,output}', (p -> 'evidence') - 'output', 'verified') then
    perform swarm.emit(p_repo, 'artifact_stored', v_history.bead_id, v_history.bead_id, v_history.agent_id, v_history.stage,
      jsonb_build_object('artifact_type', 'quality_gate_report', 'trust', 'verified'));
  end if;
  perform swarm.renew_held(p_repo, v_history.bead_id, null);
  return jsonb_build_object('d', p -> 'ran');
end $$;
