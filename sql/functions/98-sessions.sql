-- Sessions: what a leader orders, what a host reports, how they end.

-- One decision of a leader, under its term. Each is an event with its reason.
create or replace function swarm.do_lead_act(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_old  jsonb := swarm.check_term(p_repo, (a ->> 'term')::bigint);
  v_run  text := a ->> 'run_id';
  r      swarm.swarm_runs;
begin
  if v_old is not null then
    return v_old;
  end if;
  select * into r from swarm.swarm_runs where repo_id = p_repo and run_id = v_run for no key update;
  if not found then
    return swarm.unknown_run(v_run);
  end if;
  case a ->> 'kind'
    when 'assign' then
      return swarm.assign_session(p_repo, a, r);
    when 'end_session' then
      update swarm.agent_sessions set wanted = a ->> 'wanted', wanted_reason = a ->> 'reason', rule = coalesce(a ->> 'rule', rule)
        where repo_id = p_repo and session_id = a ->> 'session_id' and ended_at is null;
      if found then
        perform swarm.emit_run(p_repo, 'session_ending', v_run, a ->> 'session_id', null, null, null,
          jsonb_build_object('wanted', a ->> 'wanted', 'reason', a ->> 'reason'));
      end if;
    when 'host_lost' then
      return jsonb_build_object('d', jsonb_build_object('ended', swarm.lose_host(p_repo, a ->> 'host_id', a ->> 'reason')));
    when 'translate' then
      return swarm.translate_bead(p_repo, a, v_run);
    when 'adopt' then
      perform swarm.lock_links(p_repo);
      perform swarm.emit_run(p_repo, 'run_grown', v_run, null, null, null, null,
        jsonb_build_object('beads', swarm.adopt_beads(p_repo, v_run), 'reason', a ->> 'reason'));
    when 'block_bead' then
      return swarm.block_bead(p_repo, a, v_run);
    when 'pause', 'complete', 'fail', 'stopped' then
      if r.ended_at is null then
        update swarm.swarm_runs set status = case a ->> 'kind' when 'pause' then 'paused' when 'complete' then 'completed'
              when 'fail' then 'failed' else 'stopped' end,
            pause_reason = case when a ->> 'kind' = 'pause' then a ->> 'reason' end,
            ended_at = case when a ->> 'kind' <> 'pause' then clock_timestamp() end
          where repo_id = p_repo and run_id = v_run
            and (a ->> 'kind' <> 'pause' or status not in ('paused', 'stopping') or pause_reason is distinct from a ->> 'reason' and status = 'paused');
        if not found then
          return '{"d": {}}';
        end if;
        perform swarm.emit_run(p_repo, case a ->> 'kind' when 'pause' then 'run_paused' when 'complete' then 'run_completed'
          when 'fail' then 'run_failed' else 'run_stopped' end, v_run, null, null, null, null, jsonb_build_object('reason', a ->> 'reason'));
      end if;
    when 'wave_started', 'wave_completed' then
      insert into swarm.run_waves (repo_id, run_id, number, status, started_at)
        values (p_repo, v_run, (a ->> 'number')::integer, 'running', clock_timestamp()) on conflict do nothing;
      if a ->> 'kind' = 'wave_completed' then
        update swarm.run_waves set status = 'completed', completed_at = clock_timestamp()
          where repo_id = p_repo and run_id = v_run and number = (a ->> 'number')::integer and status <> 'completed';
      end if;
      perform swarm.emit_run(p_repo, a ->> 'kind', v_run, null, null, null, null, jsonb_build_object('number', a -> 'number', 'reason', a ->> 'reason'));
    when 'warn' then
      perform swarm.emit_run(p_repo, a ->> 'event', v_run, a ->> 'session_id', a ->> 'bead_id', null, null,
        coalesce(a -> 'detail', '{}') || jsonb_build_object('reason', a ->> 'reason'));
    else
      return swarm.refused('INVALID', format('a leader knows no action %s', a ->> 'kind'), 'request', jsonb_build_object('field', 'kind'));
  end case;
  return '{"d": {}}';
end $$;

-- Orders a session: the bead is claimed for the agent, and the row is what its host acts on.
create or replace function swarm.assign_session(p_repo text, a jsonb, r swarm.swarm_runs) returns jsonb language plpgsql volatile as $$
declare
  v_agent  integer := (a ->> 'agent_id')::integer;
  v_role   text;
  b        swarm.bead_backlog;
begin
  if r.status <> 'running' then
    return swarm.refused('CONFLICT', format('run %s is %s', r.run_id, r.status), 'claim', jsonb_build_object('run_id', r.run_id));
  end if;
  -- a host that leaves waits for this, and ends the session again
  perform 1 from swarm.hosts where repo_id = p_repo and host_id = a ->> 'host_id' and not draining for key share;
  if not found then
    return swarm.refused('CONFLICT', format('host %s takes no work', a ->> 'host_id'), 'claim', jsonb_build_object('host_id', a ->> 'host_id'));
  end if;
  select role into v_role from swarm.agent_state where repo_id = p_repo and agent_id = v_agent and bead_id is null for no key update;
  if not found or exists (select from swarm.agent_sessions where repo_id = p_repo and agent_id = v_agent and ended_at is null) then
    return swarm.refused('CONFLICT', format('agent %s is not free', v_agent), 'claim', jsonb_build_object('agent_id', v_agent));
  end if;
  select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = a ->> 'bead_id' for no key update;
  if not found or b.status <> 'pending' or b.open_blockers > 0 or b.stage <> a ->> 'stage'
      or b.workflow <> coalesce(a ->> 'workflow', b.workflow) or b.run_id is distinct from r.run_id
      or not swarm.may_do(p_repo, b.workflow, b.stage, v_role) or swarm.is_kept(b, v_agent, true)
      or exists (select from swarm.agent_sessions where repo_id = p_repo and bead_id = b.bead_id and ended_at is null) then
    return swarm.refused('CONFLICT', format('bead %s is not ready for agent %s at stage %s', a ->> 'bead_id', v_agent, a ->> 'stage'), 'claim',
      jsonb_build_object('bead_id', a ->> 'bead_id', 'status', b.status, 'stage', b.stage));
  end if;
  b := swarm.give_bead(b, v_agent, 'session:' || (a ->> 'session_id'), 120000);
  insert into swarm.agent_sessions (repo_id, session_id, run_id, host_id, agent_id, role, adapter, account, model, bead_id, stage, attempt, fence,
      status, queued_at, deadline_at)
    values (p_repo, a ->> 'session_id', r.run_id, a ->> 'host_id', v_agent, v_role, a ->> 'adapter', coalesce(a ->> 'account', 'default'),
      a ->> 'model', b.bead_id, b.stage, b.attempt, b.fence, 'assigned', clock_timestamp(), clock_timestamp() + interval '2 minutes');
  insert into swarm.usage_ledger (repo_id, session_id, run_id, bead_id, account, model, reserve_usd, reserve_tokens)
    values (p_repo, a ->> 'session_id', r.run_id, b.bead_id, coalesce(a ->> 'account', 'default'), a ->> 'model',
      coalesce((a ->> 'reserve_usd')::double precision, 0), coalesce((a ->> 'reserve_tokens')::bigint, 0));
  perform swarm.emit_run(p_repo, 'session_assigned', r.run_id, a ->> 'session_id', b.bead_id, v_agent, b.stage,
    jsonb_build_object('host_id', a ->> 'host_id', 'adapter', a ->> 'adapter', 'model', a ->> 'model', 'rule', a ->> 'rule',
      'reason', a ->> 'reason'));
  return jsonb_build_object('d', jsonb_build_object('session_id', a ->> 'session_id', 'bead_id', b.bead_id, 'attempt', b.attempt, 'fence', b.fence));
end $$;

-- A sign of life of a host with the facts of its sessions, which renews their claims. Answers the orders for it: sessions to start,
-- sessions that are to end, what people said to them. Orders repeat until the host has acted on them.
create or replace function swarm.host_beat(p_repo text, h jsonb, p_sessions jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_now  timestamptz := clock_timestamp();
  v_old  timestamptz;
  s      jsonb;
begin
  select heartbeat_at into v_old from swarm.hosts where repo_id = p_repo and host_id = h ->> 'host_id';
  insert into swarm.hosts (repo_id, host_id, name, capacity, adapters, heartbeat_at, draining, free_disk_mb, version, process, repository)
    values (p_repo, h ->> 'host_id', h ->> 'name', h -> 'capacity', h -> 'adapters', v_now, coalesce((h ->> 'draining')::boolean, false)
        or exists (select from swarm.drained_machines d where d.repo_id = p_repo and d.name = h ->> 'name'),
      (h ->> 'free_disk_mb')::integer, h ->> 'version', h ->> 'process', h ->> 'repository')
    on conflict (repo_id, host_id) do update set name = excluded.name, capacity = excluded.capacity, adapters = excluded.adapters,
      heartbeat_at = v_now, draining = swarm.hosts.draining or excluded.draining, free_disk_mb = excluded.free_disk_mb, version = excluded.version,
      process = excluded.process, repository = excluded.repository;
  if v_old is null then
    perform swarm.emit_run(p_repo, 'host_joined', null, h ->> 'host_id', null, null, null, h - 'host_id');
  end if;
  for s in select value from jsonb_array_elements(p_sessions) order by value ->> 'session_id' loop
    update swarm.agent_sessions set heartbeat_at = v_now,
        status = case when status in ('ended', 'ending') then status else coalesce(s ->> 'status', status) end,
        pid = coalesce((s ->> 'pid')::integer, pid), native_id = coalesce(s ->> 'native_id', native_id), model = coalesce(s ->> 'model', model),
        ready_at = coalesce(ready_at, case when s ->> 'status' in ('ready', 'running') then v_now end),
        last_output_at = case when (s ->> 'output_ago_ms') is null then last_output_at
          else v_now - make_interval(secs => (s ->> 'output_ago_ms')::double precision / 1000) end,
        last_tool_at = case when (s ->> 'tool_ago_ms') is null then last_tool_at
          else v_now - make_interval(secs => (s ->> 'tool_ago_ms')::double precision / 1000) end,
        open_tool = s ->> 'open_tool', turns = coalesce((s ->> 'turns')::integer, turns),
        tool_calls = coalesce((s ->> 'tool_calls')::integer, tool_calls)
      where repo_id = p_repo and session_id = s ->> 'session_id' and host_id = h ->> 'host_id' and ended_at is null;
    continue when not found;
    update swarm.usage_ledger u set input = (s #>> '{usage,input}')::bigint, output = (s #>> '{usage,output}')::bigint,
        cache_read = (s #>> '{usage,cache_read}')::bigint, cache_write = (s #>> '{usage,cache_write}')::bigint,
        cost_usd = (s #>> '{usage,cost_usd}')::double precision
      where u.repo_id = p_repo and u.session_id = s ->> 'session_id' and u.settled_at is null and s ? 'usage'
        and (u.input, u.output, u.cache_read, u.cache_write) is distinct from ((s #>> '{usage,input}')::bigint, (s #>> '{usage,output}')::bigint,
          (s #>> '{usage,cache_read}')::bigint, (s #>> '{usage,cache_write}')::bigint);
    update swarm.bead_claims c set heartbeat_at = v_now, lease_expires_at = v_now + make_interval(secs => c.lease_ms / 1000.0)
      from swarm.agent_sessions x where x.repo_id = p_repo and x.session_id = s ->> 'session_id'
        and c.repo_id = p_repo and c.bead_id = x.bead_id and c.fence = x.fence and c.claimed_by = x.agent_id and c.status = 'in_progress';
  end loop;
  return jsonb_build_object(
    'draining', (select draining from swarm.hosts where repo_id = p_repo and host_id = h ->> 'host_id'),
    'elsewhere', exists (select from swarm.hosts o where o.repo_id = p_repo and o.host_id <> h ->> 'host_id'
      and o.repository is distinct from h ->> 'repository' and o.heartbeat_at > v_now - interval '1 day'),
    -- other workers of this machine: whether their processes still run can be looked up there
    'others', (select coalesce(jsonb_agg(jsonb_build_object('host_id', o.host_id, 'process', o.process)), '[]') from swarm.hosts o
      where o.repo_id = p_repo and o.host_id <> h ->> 'host_id' and split_part(o.process, '.', 1) = split_part(h ->> 'process', '.', 1)),
    'orders', (select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('session_id', x.session_id, 'status', x.status, 'wanted', x.wanted,
        'reason', x.wanted_reason,
        'extended_ms', case when x.status <> 'assigned' and x.deadline_at > v_now then round(extract(epoch from x.deadline_at - v_now) * 1000) end,
        'held', exists (select from swarm.bead_claims c where c.repo_id = p_repo and c.bead_id = x.bead_id
          and c.fence = x.fence and c.claimed_by = x.agent_id and c.status = 'in_progress'),
        'inputs', (select jsonb_agg(jsonb_build_object('id', i.id, 'kind', i.kind, 'text', i.text, 'question_id', i.question_id,
            'question', (select left(q.text, 500) from swarm.questions q where q.repo_id = p_repo and q.question_id = i.question_id)) order by i.id)
          from swarm.session_inputs i where i.repo_id = p_repo and i.session_id = x.session_id and i.taken_at is null)))), '[]')
      from swarm.agent_sessions x where x.repo_id = p_repo and x.host_id = h ->> 'host_id' and x.ended_at is null));
end $$;

-- The conversation with which the next session of a bead's stage goes on: its native id, the directory it was held in, and the session that
-- began it, whose HOME holds it. Null when the last one came to its end by itself, or used another account, whose login its HOME has. One that
-- has crashed twice is not tried a third time.
create or replace function swarm.to_resume(p_repo text, p_bead text, p_stage text, p_adapter text, p_account text) returns jsonb language sql stable as $$
  select jsonb_build_object('native_id', l.native_id, 'workspace', l.workspace, 'begun_by', (select o.session_id from swarm.agent_sessions o
      where o.repo_id = p_repo and o.bead_id = p_bead and o.native_id = l.native_id order by o.queued_at limit 1))
  from (select * from swarm.agent_sessions where repo_id = p_repo and bead_id = p_bead and stage = p_stage and adapter = p_adapter
    and ended_at is not null and reason not like 'not\_started:%' order by ended_at desc limit 1) l
  where l.native_id is not null and l.account = p_account and l.reason in ('quota', 'budget', 'shutdown', 'crashed', 'host_lost')
    and (select count(*) from swarm.agent_sessions o where o.repo_id = p_repo and o.bead_id = p_bead and o.native_id = l.native_id
      and o.reason = 'crashed') < 2
$$;

-- What people have answered to earlier sessions of a bead that had ended by then: for the next one, once.
create or replace function swarm.late_answers(p_repo text, p_bead text) returns jsonb language plpgsql volatile as $$
declare
  v_answers  jsonb;
begin
  with taken as (update swarm.session_inputs i set taken_at = clock_timestamp() from swarm.questions q
      where i.repo_id = p_repo and i.taken_at is null and i.kind = 'answer' and q.repo_id = p_repo and q.question_id = i.question_id
        and q.bead_id = p_bead and exists (select from swarm.agent_sessions s where s.repo_id = p_repo and s.session_id = i.session_id and s.ended_at is not null)
      returning i.id, q.text as question, i.text as answer)
    select jsonb_agg(jsonb_build_object('question', left(question, 2000), 'answer', left(answer, 8000)) order by id) into v_answers from taken;
  return coalesce(v_answers, '[]');
end $$;

-- The host takes an order: from now on the session's process holds the claim. Answers all that is needed to run it; refused when the
-- bead has gone to somebody else.
create or replace function swarm.do_session_start(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  x  swarm.agent_sessions;
  b  swarm.bead_backlog;
begin
  select * into x from swarm.agent_sessions where repo_id = p_repo and session_id = a ->> 'session_id' and host_id = a ->> 'host_id' for no key update;
  if not found or x.status <> 'assigned' then
    return swarm.refused('CONFLICT', format('session %s is not to be started here', a ->> 'session_id'), 'claim',
      jsonb_build_object('session_id', a ->> 'session_id', 'status', x.status));
  end if;
  select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = x.bead_id for no key update;
  if b.fence <> x.fence or b.status <> 'in_progress' then
    perform swarm.end_session(p_repo, x, 'superseded', jsonb_build_object('evidence', 'the bead was given to somebody else before the start'));
    return jsonb_build_object('d', jsonb_build_object('started', false));
  end if;
  update swarm.bead_claims set holder = p ->> 'holder', lease_ms = 60000, heartbeat_at = clock_timestamp(),
      lease_expires_at = clock_timestamp() + interval '60 seconds'
    where repo_id = p_repo and bead_id = b.bead_id and fence = b.fence;
  update swarm.agent_sessions set status = 'starting', started_at = clock_timestamp(), heartbeat_at = clock_timestamp(), marker = a ->> 'marker',
      deadline_at = null
    where repo_id = p_repo and session_id = x.session_id;
  perform swarm.emit_run(p_repo, 'session_started', x.run_id, x.session_id, b.bead_id, x.agent_id, b.stage,
    jsonb_build_object('adapter', x.adapter, 'attempt', b.attempt, 'host_id', x.host_id));
  return jsonb_build_object('d', jsonb_build_object('started', true, 'agent_id', x.agent_id, 'fence', b.fence, 'role', x.role, 'run_id', x.run_id,
    'adapter', x.adapter, 'account', x.account, 'model', x.model,
    'resume', swarm.to_resume(p_repo, b.bead_id, b.stage, x.adapter, x.account), 'answers', swarm.late_answers(p_repo, b.bead_id),
    'bead', jsonb_build_object('bead_id', b.bead_id, 'title', b.title, 'description', b.description, 'priority', b.priority,
      'labels', to_jsonb(b.labels), 'bead_type', b.bead_type, 'workflow', b.workflow),
    'stage', b.stage, 'attempt', b.attempt, 'feedback', b.feedback, 'commit_hash', b.commit_hash));
end $$;

-- Ends a session in the caller's transaction: its row, its reservation, its event. The bead is another matter.
create or replace function swarm.end_session(p_repo text, x swarm.agent_sessions, p_reason text, f jsonb) returns void language plpgsql volatile as $$
begin
  update swarm.agent_sessions set status = 'ended', reason = p_reason, rule = coalesce(f ->> 'rule', rule), evidence = left(f ->> 'evidence', 8000),
      ended_at = clock_timestamp(), exit_code = (f ->> 'exit_code')::integer, signal = f ->> 'signal', head_before = f ->> 'head_before',
      head_after = f ->> 'head_after', tree = f ->> 'tree', turns = coalesce((f ->> 'turns')::integer, turns),
      tool_calls = coalesce((f ->> 'tool_calls')::integer, tool_calls), native_id = coalesce(f ->> 'native_id', native_id), open_tool = null
    where repo_id = p_repo and session_id = x.session_id and ended_at is null;
  update swarm.usage_ledger set settled_at = clock_timestamp(), input = coalesce((f #>> '{usage,input}')::bigint, 0),
      output = coalesce((f #>> '{usage,output}')::bigint, 0), cache_read = coalesce((f #>> '{usage,cache_read}')::bigint, 0),
      cache_write = coalesce((f #>> '{usage,cache_write}')::bigint, 0), cost_usd = coalesce((f #>> '{usage,cost_usd}')::double precision, 0),
      model = coalesce(f ->> 'model', model)
    where repo_id = p_repo and session_id = x.session_id and settled_at is null;
  update swarm.session_iterations set status = case p_reason when 'completed' then 'completed' else 'failed' end, ended_at = clock_timestamp()
    where repo_id = p_repo and session_id = x.session_id and status = 'running';
  -- who does not go on waits for no answer any more
  if p_reason not in ('completed', 'shutdown', 'quota', 'budget') then
    update swarm.questions set answered_at = clock_timestamp(), answered_by = 'swarm: its session has ended'
      where repo_id = p_repo and session_id = x.session_id and answered_at is null;
  end if;
  perform swarm.emit_run(p_repo, 'session_ended', x.run_id, x.session_id, x.bead_id, x.agent_id, x.stage, jsonb_build_object('reason', p_reason,
    'rule', f ->> 'rule', 'evidence', left(f ->> 'evidence', 500), 'exit_code', f -> 'exit_code', 'left', f -> 'left', 'salvage', f ->> 'salvage', 'files', f -> 'files'));
  if p_reason in ('failed', 'crashed') or p_reason like 'stuck:%' or p_reason like 'not\_started:%' then
    perform swarm.emit_run(p_repo, case when p_reason like 'stuck:%' then 'agent_stuck' else 'agent_failed' end, x.run_id, x.session_id, x.bead_id,
      x.agent_id, x.stage, jsonb_build_object('agent_id', x.agent_id, 'agent_type', x.adapter, 'bead_id', x.bead_id,
        'error', coalesce(f ->> 'evidence', p_reason)));
  end if;
end $$;

-- The end of a session as its host reports it, with what becomes of the bead: `complete` (as complete-stage takes it) or `release`. When
-- the fence has lapsed meanwhile the session ends as superseded, and the bead is left to whoever holds it now.
create or replace function swarm.do_session_end(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  x        swarm.agent_sessions;
  v_held   boolean;
  v_reply  jsonb;
  v_bead   jsonb := '{}';
begin
  select * into x from swarm.agent_sessions where repo_id = p_repo and session_id = a ->> 'session_id' and host_id = a ->> 'host_id' for no key update;
  if not found then
    return swarm.refused('NOTFOUND', format('there is no session %s on host %s', a ->> 'session_id', a ->> 'host_id'));
  end if;
  if x.ended_at is not null then
    return jsonb_build_object('d', jsonb_build_object('reason', x.reason, 'held', false));
  end if;
  v_held := exists (select from swarm.bead_claims c where c.repo_id = p_repo and c.bead_id = x.bead_id and c.fence = x.fence
    and c.claimed_by = x.agent_id and c.status = 'in_progress');
  if v_held and a ? 'complete' then
    v_reply := swarm.do_complete_stage(p_repo, jsonb_build_object('agent_id', x.agent_id, 'bead_id', x.bead_id, 'fence', x.fence, 'stage', x.stage)
      || (a -> 'complete'), p || jsonb_build_object('keep', false, 'verified', a -> 'verified'));
  elsif v_held then
    v_reply := swarm.do_release(p_repo, jsonb_build_object('agent_id', x.agent_id, 'bead_id', x.bead_id, 'fence', x.fence,
      'reason', coalesce(a ->> 'release', a ->> 'reason')), p);
  end if;
  if v_reply ? 'refused' then
    return v_reply;
  end if;
  if v_held and a ->> 'commit' is not null then
    update swarm.bead_backlog set commit_hash = a ->> 'commit' where repo_id = p_repo and bead_id = x.bead_id;
  end if;
  perform swarm.end_session(p_repo, x, case when v_held or a ->> 'reason' not in ('completed', 'failed') then a ->> 'reason' else 'superseded' end, a);
  return jsonb_build_object('d', jsonb_build_object('reason', a ->> 'reason', 'held', v_held) || coalesce(v_reply -> 'd', '{}'));
end $$;

-- A host that has not been heard of: its sessions end, their beads are ready again; no attempt is charged.
create or replace function swarm.lose_host(p_repo text, p_host text, p_reason text) returns integer language plpgsql volatile as $$
declare
  x        swarm.agent_sessions;
  b        swarm.bead_backlog;
  v_ended  integer := 0;
begin
  for x in select * from swarm.agent_sessions where repo_id = p_repo and host_id = p_host and ended_at is null order by bead_id for no key update loop
    perform 1 from swarm.agent_state where repo_id = p_repo and agent_id = x.agent_id for no key update;
    select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = x.bead_id for no key update;
    if b.fence = x.fence and b.status = 'in_progress' then
      perform swarm.end_claim(b, 'released');
      update swarm.bead_backlog set status = 'pending', updated_at = clock_timestamp() where id = b.id;
      perform swarm.emit(p_repo, 'bead_released', b.bead_id, b.bead_id, x.agent_id, b.stage, jsonb_build_object('reason', 'host_lost'));
    end if;
    perform swarm.end_session(p_repo, x, 'host_lost', jsonb_build_object('evidence', p_reason));
    v_ended := v_ended + 1;
  end loop;
  return v_ended;
end $$;

-- A host that takes no more orders, as it says itself or as another worker of its machine has seen: what it still had goes back.
create or replace function swarm.host_left(p_repo text, p_host text, p_reason text) returns jsonb language plpgsql volatile as $$
begin
  delete from swarm.hosts where repo_id = p_repo and host_id = p_host;
  if found then
    perform swarm.emit_run(p_repo, 'host_left', null, p_host, null, null, null, jsonb_build_object('reason', p_reason));
  end if;
  return jsonb_build_object('ended', swarm.lose_host(p_repo, p_host, p_reason));
end $$;

-- A worker whose process is known to be gone. If it led, nobody has to wait until its lease is over: a host's name ends with the holder's.
create or replace function swarm.bury_host(p_repo text, p_host text, p_reason text) returns jsonb language plpgsql volatile as $$
begin
  update swarm.leadership set holder = '', beat = beat + 1, expires_at = clock_timestamp()
    where repo_id = p_repo and holder <> '' and left(holder, 8) = right(p_host, 8);
  return swarm.host_left(p_repo, p_host, p_reason);
end $$;

-- Gives a bead the workflow of its rule. Only one that nobody has held, and whose workflow nobody has named: a bead that has begun stays in the
-- workflow that it is in.
create or replace function swarm.translate_bead(p_repo text, a jsonb, p_run text) returns jsonb language plpgsql volatile as $$
declare
  b       swarm.bead_backlog;
  v_from  text;
  v_at    text;
begin
  perform swarm.ensure_land_stage(p_repo);
  select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = a ->> 'bead_id' for no key update;
  v_from := b.workflow;
  v_at := b.stage;
  b.workflow := a ->> 'workflow';
  b.stage := swarm.first_stage(p_repo, b.workflow);
  if b.id is null or b.status <> 'pending' or b.fence > 0 or b.workflow_given or b.run_id is distinct from p_run
      or b.stage is null or v_at is distinct from swarm.first_stage(p_repo, v_from) then
    return swarm.refused('CONFLICT', format('bead %s cannot be given the workflow %s', a ->> 'bead_id', a ->> 'workflow'), 'stage',
      jsonb_build_object('bead_id', a ->> 'bead_id', 'status', b.status, 'workflow', v_from));
  end if;
  update swarm.bead_backlog set workflow = b.workflow, stage = b.stage, not_for = swarm.kept_from(b, b.stage), updated_at = clock_timestamp()
    where id = b.id;
  perform swarm.emit_run(p_repo, 'bead_translated', p_run, null, b.bead_id, null, b.stage,
    jsonb_build_object('from', v_from, 'to', b.workflow, 'rule', a -> 'rule', 'reason', a ->> 'reason'));
  return '{"d": {}}';
end $$;

-- A bead that has failed too often over its life waits for a person.
create or replace function swarm.block_bead(p_repo text, a jsonb, p_run text) returns jsonb language plpgsql volatile as $$
declare
  b  swarm.bead_backlog;
begin
  select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = a ->> 'bead_id' for no key update;
  if b.status = 'pending' then
    update swarm.bead_backlog set status = 'blocked', feedback = coalesce(b.feedback, a ->> 'reason'), updated_at = clock_timestamp() where id = b.id;
    perform swarm.emit_run(p_repo, 'transition_blocked', p_run, null, b.bead_id, null, b.stage,
      jsonb_build_object('from', b.stage, 'to', 'blocked', 'reason', a ->> 'reason'));
  end if;
  return '{"d": {}}';
end $$;
