-- The two short ways of the loop.

-- A claim of the first ready bead, and the passing of a last stage without a gate: by far the most frequent calls. Each answers null, with
-- nothing written, when its case is another one; then do_claim_next and do_complete_stage decide. Their rows and events are the same. A row that
-- has been locked is written by its place (ctid), which nobody else can change; STRICT would tell if it were not there.

-- Claims the first ready bead for an agent without a role that holds none and asks for nothing else, while no lease has run out and when that
-- bead is not kept from the agent. Picked and taken in one statement, which the planner is held to do along the ready index. Times are asked
-- for after the lock of what they order.
create or replace function swarm.claim_ready(p_repo text, a jsonb, p jsonb, p_key text) returns jsonb language plpgsql volatile
set enable_sort = off set enable_seqscan = off as $$
declare
  v_agent        integer := (a ->> 'agent_id')::integer;
  v_agent_row    tid;
  v_holder       text := p ->> 'holder';
  v_lease        integer;
  v_now          timestamptz;
  v_id           bigint;
  v_bead         text;
  v_title        text;
  v_description  text;
  v_priority     text;
  v_labels       text[];
  v_stage        text;
  v_feedback     text;
  v_fence        bigint;
  v_attempt      integer;
  v_other        boolean;
  v_mail         boolean;
  v_reply        jsonb;
begin
  if a ?| '{labels,bead_types}' then
    return null;
  end if;
  select ctid, clock_timestamp(), bead_id is not null or exists (select from swarm.operations where repo_id = p_repo and key = p_key)
    into v_agent_row, v_now, v_other from swarm.agent_state where repo_id = p_repo and agent_id = v_agent and role is null for no key update;
  if not found or v_other then
    return null;
  end if;
  update swarm.bead_backlog b set status = 'in_progress', fence = b.fence + 1, updated_at = clock_timestamp()
    where b.ctid = (select x.ctid from swarm.bead_backlog x
      where x.repo_id = p_repo and x.status = 'pending' and x.open_blockers = 0
        and not exists (select from swarm.bead_claims where repo_id = p_repo and status = 'in_progress' and lease_expires_at < v_now)
        and (select swarm_status from swarm.swarm_config) <> 'paused'
      order by x.priority, x.created_at, x.id limit 1 for no key update skip locked)
      and (b.not_for is null or b.not_for not in (0, v_agent))
    returning b.id, b.bead_id, b.title, b.description, b.priority, b.labels, b.stage, b.feedback, b.fence, b.attempt, b.updated_at
    into v_id, v_bead, v_title, v_description, v_priority, v_labels, v_stage, v_feedback, v_fence, v_attempt, v_now;
  if not found then
    return null;
  end if;
  v_lease := coalesce((a ->> 'lease_ms')::integer, (p ->> 'lease_ms')::integer, 900000);
  -- a bead that nobody has had since it was opened has no attempts to count
  if v_fence > 1 then
    delete from swarm.bead_claims where repo_id = p_repo and bead_id = v_bead;
    update swarm.bead_backlog b set attempt = swarm.next_attempt(b, b.stage) where id = v_id returning attempt into v_attempt;
  end if;
  insert into swarm.bead_claims (repo_id, bead_id, claimed_by, claimed_at, heartbeat_at, lease_expires_at, holder, fence, lease_ms)
    values (p_repo, v_bead, v_agent, v_now, v_now, v_now + make_interval(secs => v_lease / 1000.0), v_holder, v_fence, v_lease);
  insert into swarm.stage_history (repo_id, agent_id, bead_id, stage, attempt_number, status, fence, session_id, started_at)
    values (p_repo, v_agent, v_bead, v_stage, v_attempt, 'started', v_fence, v_holder, v_now);
  update swarm.agent_state set bead_id = v_bead, current_stage = v_stage, stage_started_at = v_now, status = 'working',
      last_update = v_now, feedback = v_feedback, seen_at = coalesce(seen_at, v_now),
      implementation_attempt = case when v_stage = 'implement' then v_attempt else implementation_attempt end
    where ctid = v_agent_row returning
      exists (select from swarm.agent_messages where to_repo_id = p_repo and to_agent_id = v_agent and not read)
      or exists (select from swarm.broadcast_log where repo_id = p_repo) into strict v_mail;
  insert into swarm.execution_events (event_type, entity_id, repo_id, bead_id, agent_id, stage, session_id, payload) values
    ('bead_claimed', v_bead, p_repo, v_bead, v_agent, v_stage, v_holder, jsonb_build_object('fence', v_fence, 'lease_ms', v_lease)),
    ('stage_started', v_bead, p_repo, v_bead, v_agent, v_stage, v_holder, jsonb_build_object('attempt', v_attempt));
  v_reply := jsonb_build_object('d', jsonb_build_object('stage', v_stage, 'attempt', v_attempt, 'fence', v_fence, 'lease_ms', v_lease,
    'held', false, 'bead', jsonb_build_object('bead_id', v_bead, 'title', v_title, 'description', v_description, 'priority', v_priority,
      'labels', v_labels)));
  if v_feedback is not null then
    v_reply := jsonb_set(v_reply, '{d,feedback}', to_jsonb(v_feedback));
  end if;
  if v_mail then
    return swarm.with_unread(p_repo, v_agent, v_reply);
  end if;
  return v_reply;
end $$;

-- Passes the last stage of the bead that the agent holds, when it has no gate and nothing comes with it.
create or replace function swarm.pass_last(p_repo text, a jsonb, p jsonb, p_key text) returns jsonb language plpgsql volatile as $$
declare
  v_agent      integer := (a ->> 'agent_id')::integer;
  v_holder     text := p ->> 'holder';
  v_fence      bigint := coalesce((a ->> 'fence')::bigint, (p ->> 'fence')::bigint);
  v_agent_row  tid;
  v_bead_row   tid;
  v_now        timestamptz;
  v_bead       text;
  v_stage      text;
  v_current    bigint;
  v_attempt    integer;
  v_waits      boolean;
  v_known      boolean;
  v_mail       boolean;
  v_reply      jsonb;
begin
  if a ->> 'outcome' <> 'passed' or a ?| '{artifacts,evidence,feedback}' or p ?| '{verified,attempt_id}'
      or v_fence is null and (p ->> 'fenced')::boolean then
    return null;
  end if;
  -- agent and bead are locked in this order; the stage is read in a statement that began after the agent's lock
  select ctid, bead_id into v_agent_row, v_bead from swarm.agent_state where repo_id = p_repo and agent_id = v_agent for no key update;
  select b.ctid, b.stage, b.fence, b.attempt, exists (select from swarm.operations where repo_id = p_repo and key = p_key)
    into v_bead_row, v_stage, v_current, v_attempt, v_known
    from swarm.bead_backlog b
    where b.repo_id = p_repo and b.bead_id = v_bead
      and b.stage = (select case when s.gate_hash is null and coalesce(s.on_pass, 'done') = 'done' and not swarm.is_landing(s) then s.stage end
        from swarm.workflow_stages s where s.repo_id = p_repo and s.name = b.workflow order by s.position desc limit 1)
    for no key update;
  if not found or v_known or v_fence <> v_current or coalesce(a ->> 'bead_id', p ->> 'bead_id') <> v_bead or a ->> 'stage' <> v_stage then
    return null;
  end if;
  v_now := clock_timestamp();
  -- a case, so that only the primary key is looked in: the index of held beads has an entry for all that this agent has held
  update swarm.bead_claims set status = 'completed', heartbeat_at = v_now
    where repo_id = p_repo and bead_id = v_bead and case status when 'in_progress' then claimed_by = v_agent end;
  if not found then
    return null;
  end if;
  update swarm.stage_history set status = 'passed', result = 'finalize', completed_at = v_now,
      duration_ms = greatest(0, date_part('epoch', v_now - started_at) * 1000)
    where repo_id = p_repo and bead_id = v_bead and status = 'started';
  -- dependants are read in a statement of its own after the bead's lock, as the readiness rules ask for
  update swarm.bead_backlog set status = 'completed', stage = 'done', not_for = null, feedback = null, updated_at = v_now, finished_at = v_now
    where ctid = v_bead_row
    returning exists (select from swarm.bead_links where repo_id = p_repo and other_id = v_bead) into strict v_waits;
  update swarm.agent_state set bead_id = null, current_stage = null, stage_started_at = null, status = 'idle', feedback = null,
      last_update = v_now, seen_at = coalesce(seen_at, v_now)
    where ctid = v_agent_row returning
      exists (select from swarm.agent_messages where to_repo_id = p_repo and to_agent_id = v_agent and not read)
      or exists (select from swarm.broadcast_log where repo_id = p_repo) into strict v_mail;
  insert into swarm.execution_events (event_type, entity_id, repo_id, bead_id, agent_id, stage, session_id, payload) values
    ('stage_completed', v_bead, p_repo, v_bead, v_agent, v_stage, v_holder, jsonb_build_object('outcome', 'passed', 'attempt', v_attempt)),
    ('transition_finalize', v_bead, p_repo, v_bead, v_agent, v_stage, v_holder, jsonb_build_object('from', v_stage, 'to', 'done'));
  if v_waits then
    perform swarm.shift_dependants(p_repo, v_bead, -1);
  end if;
  v_reply := jsonb_build_object('d', jsonb_build_object('transition', 'finalize', 'stage', 'done', 'attempt', v_attempt, 'kept', false));
  if v_mail then
    return swarm.with_unread(p_repo, v_agent, v_reply);
  end if;
  return v_reply;
end $$;
