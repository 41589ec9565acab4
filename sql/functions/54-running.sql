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

-- The end of what swarm ran for a held bead: its command, the gate of its stage, or both. What the command itself completed or released
-- stands; a claim that was lost is CONFLICT. `p`: claim {agent_id, bead_id, fence, attempt_id: the row of the attempt in which it began};
-- complete (the stage, as complete-stage takes it), or evidence {output, …} (stored as verified with the attempt, only while that runs;
-- decides nothing), or neither; release (the reason with which what is held then is given back: instead of a completion, or after one that
-- the command made); verified (swarm ran the stage's gate), keep (true by default: the claim goes on with the next stage), lease_ms (of a
-- claim that a completion keeps, when its process now ends), ran (what the answer says of the command: for the presets below).
-- Answers the attempt as it ended (outcome and transition only where a stage was completed) and the bead as it stands now: kept says
-- whether the claim is held still.
create or replace function swarm.finish_work(p_repo text, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  k        jsonb := p -> 'claim';
  v_agent  integer := (k ->> 'agent_id')::integer;
  v_fence  bigint := (k ->> 'fence')::bigint;
  v_hold   jsonb := swarm.hold(p_repo, k, p);
  v_state  text := swarm.claim_state(p_repo, v_agent, k ->> 'bead_id', v_fence, (k ->> 'attempt_id')::bigint);
  v_reply  jsonb := '{}';
  b        swarm.bead_backlog;
  h        swarm.stage_history;
begin
  if v_state = 'lost' or (p ? 'evidence' and v_state <> 'held') then
    if v_hold ? 'refused' then
      return v_hold;
    end if;
    select * into h from swarm.stage_history
      where repo_id = p_repo and bead_id = k ->> 'bead_id' and status = 'started' order by id desc limit 1;
    return swarm.refused_attempt(h);
  end if;
  h := swarm.attempt_under(p_repo, k ->> 'bead_id', v_fence, (k ->> 'attempt_id')::bigint);
  if v_state = 'held' and p ? 'complete' then
    v_reply := swarm.do_complete_stage(p_repo, p -> 'complete',
      p - '{claim,complete,release,ran,lease_ms}'::text[] || jsonb_build_object('attempt_id', h.id));
    if (v_reply #>> '{d,kept}')::boolean and p ? 'lease_ms' then
      perform swarm.renew_held(p_repo, h.bead_id, (p ->> 'lease_ms')::integer);
    end if;
  elsif p ? 'evidence' then
    if swarm.store_artifact(p_repo, h.id, 'quality_gate_report', p #>> '{evidence,output}', (p -> 'evidence') - 'output', 'verified') then
      perform swarm.emit(p_repo, 'artifact_stored', h.bead_id, h.bead_id, h.agent_id, h.stage,
        jsonb_build_object('artifact_type', 'quality_gate_report', 'trust', 'verified'));
    end if;
    perform swarm.renew_held(p_repo, h.bead_id, null);
  elsif v_state in ('held', 'moved') and p ? 'release' then
    v_reply := swarm.do_release(p_repo, k - 'attempt_id' || jsonb_build_object('reason', p -> 'release'), p);
  end if;
  if v_reply ? 'refused' then
    return v_reply;
  end if;
  select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = h.bead_id;
  h := swarm.attempt_under(p_repo, h.bead_id, v_fence, h.id);
  return jsonb_build_object('d',
    jsonb_build_object('bead_id', b.bead_id, 'stage', h.stage, 'attempt', h.attempt_number,
      'status', b.status, 'next_stage', b.stage, 'next_attempt', b.attempt,
      'kept', exists (select from swarm.bead_claims where repo_id = p_repo and bead_id = b.bead_id and status = 'in_progress'
        and claimed_by = v_agent and fence = v_fence))
    || case when h.result in ('advance', 'retry', 'finalize', 'block')
         then jsonb_build_object('outcome', h.status, 'transition', h.result) else '{}' end
    || case when v_state <> 'held' then jsonb '{"by_command": true}' else '{}' end);
end $$;

-- Of what ran one stage, and keeps its claim; `p` with reason where it was ended and the bead is given back.
create or replace function swarm.do_run_once(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_reply  jsonb := swarm.finish_work(p_repo, p);
  d        jsonb := v_reply -> 'd';
begin
  return case
    when v_reply ? 'refused' then v_reply
    when p ? 'reason' then jsonb_build_object('d', jsonb_build_object('ran', null, 'reason', p -> 'reason'))
    else jsonb_build_object('d', jsonb_build_object('ran', p -> 'ran', 'transition', coalesce(d -> 'transition', '"noop"'),
        'stage', d -> 'next_stage', 'attempt', d -> 'next_attempt', 'kept', d -> 'kept')
      || case when d ? 'by_command' then jsonb '{"by_command": true}' else '{}' end) end;
end $$;

-- Of a command under a claim of its own, which is let go of: its process goes away. Or the summary of several.
create or replace function swarm.do_work(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_reply  jsonb;
begin
  if p ? 'summary' then
    return jsonb_build_object('d', p -> 'summary');
  end if;
  v_reply := swarm.finish_work(p_repo, p || '{"keep": false}');
  return case when v_reply ? 'refused' then v_reply
    else jsonb_build_object('d', jsonb_strip_nulls((v_reply -> 'd') - '{kept,next_attempt}'::text[] || (p -> 'ran'))) end;
end $$;

-- Of a gate that was run ahead: its evidence.
create or replace function swarm.do_qa(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_reply  jsonb := swarm.finish_work(p_repo, p);
begin
  return case when v_reply ? 'refused' then v_reply else jsonb_build_object('d', jsonb_build_object('ran', p -> 'ran')) end;
end $$;
