-- Writes of a holder.

-- A holder's write names its agent and, when it knows it, the fence of its claim. Absent, the bead is the held one.

-- Locks agent and bead for a holder's write. Answers {"refused"} or {"bead_id"}.
create or replace function swarm.hold(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_agent  integer := (a ->> 'agent_id')::integer;
  v_bead   text := coalesce(a ->> 'bead_id', p ->> 'bead_id');
  v_fence  bigint := coalesce((a ->> 'fence')::bigint, (p ->> 'fence')::bigint);
  b        swarm.bead_backlog;
  c        swarm.bead_claims;
  v_again  jsonb := jsonb_build_object('cmd', 'claim-next', 'agent_id', v_agent);
begin
  perform 1 from swarm.agent_state where repo_id = p_repo and agent_id = v_agent for no key update;
  if not found then
    return swarm.unknown_agent(p_repo, v_agent);
  end if;
  if v_bead is null then
    select bead_id into v_bead from swarm.bead_claims where repo_id = p_repo and claimed_by = v_agent and status = 'in_progress';
    if v_bead is null then
      return swarm.refused('CONFLICT', format('agent %s holds no bead', v_agent), 'claim',
        jsonb_build_object('agent_id', v_agent), v_again);
    end if;
  end if;
  select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = v_bead for no key update;
  if not found then
    return swarm.unknown_bead(p_repo, v_bead);
  end if;
  select * into c from swarm.bead_claims where repo_id = p_repo and bead_id = v_bead and status = 'in_progress';
  if c.claimed_by is distinct from v_agent then
    return swarm.refused('CONFLICT', case
        when c.claimed_by is not null then format('bead %s is held by agent %s now', v_bead, c.claimed_by)
        else format('agent %s does not hold bead %s (it is %s)', v_agent, v_bead, b.status) end, 'claim',
      jsonb_strip_nulls(jsonb_build_object('bead_id', v_bead, 'holder', c.claimed_by, 'status', b.status, 'fence', v_fence, 'current_fence', b.fence)),
      jsonb_build_object('cmd', 'show', 'bead_id', v_bead));
  end if;
  if v_fence <> b.fence then
    return swarm.refused('CONFLICT', format('fence %s of bead %s is old, it is %s now: another process of agent %s took over', v_fence, v_bead, b.fence, v_agent),
      'claim', jsonb_build_object('bead_id', v_bead, 'fence', v_fence, 'current_fence', b.fence), jsonb_build_object('cmd', 'show', 'bead_id', v_bead));
  end if;
  -- a token says who, not which process: only the number that came with the claim does
  if v_fence is null and (p ->> 'fenced')::boolean and c.holder is distinct from p ->> 'holder' then
    return swarm.refused('INVALID', format('bead %s was claimed by another process: the fence that came with the claim is needed', v_bead), 'request',
      jsonb_build_object('kind', 'MissingField', 'field', 'fence', 'bead_id', v_bead));
  end if;
  return jsonb_build_object('bead_id', v_bead);
end $$;

create or replace function swarm.renew_held(p_repo text, p_bead text, p_lease_ms integer) returns integer language plpgsql volatile as $$
declare
  v_lease integer;
begin
  update swarm.bead_claims set lease_ms = coalesce(p_lease_ms, lease_ms), heartbeat_at = clock_timestamp(),
      lease_expires_at = clock_timestamp() + make_interval(secs => coalesce(p_lease_ms, lease_ms) / 1000.0)
    where repo_id = p_repo and bead_id = p_bead and status = 'in_progress' returning lease_ms into v_lease;
  return v_lease;
end $$;

-- Content is stored once per attempt, type and trust. Evidence says under which fence and in which attempt it was made.
create or replace function swarm.store_artifact(
  p_repo text, p_history bigint, p_type text, p_content text, p_metadata jsonb, p_trust text
) returns boolean language plpgsql volatile as $$
begin
  if p_type = 'quality_gate_report' then
    p_metadata := p_metadata || (select jsonb_build_object('stage', stage, 'attempt', attempt_number, 'fence', fence)
      from swarm.stage_history where id = p_history);
  end if;
  insert into swarm.stage_artifacts (repo_id, stage_history_id, artifact_type, content, content_hash, metadata, trust)
    values (p_repo, p_history, p_type, p_content, encode(sha256(convert_to(p_content, 'UTF8')), 'hex'), p_metadata, p_trust)
    on conflict do nothing;
  return found;
end $$;
