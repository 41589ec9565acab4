-- What hosts report of their sessions besides the heartbeat, and what people say to them.

-- Iterations and pieces of log, as far as a host has gathered them. Bounded by the host.
create or replace function swarm.session_log(p_repo text, p_session text, p_iterations jsonb, p_chunks jsonb) returns integer
language plpgsql volatile as $$
declare
  x        swarm.agent_sessions;
  i        jsonb;
  v_now    timestamptz := clock_timestamp();
  v_rows   integer;
  v_new    boolean;
begin
  -- the same report sent again, perhaps while the first is still under way, changes nothing
  select * into x from swarm.agent_sessions where repo_id = p_repo and session_id = p_session for no key update;
  if not found then
    return 0;
  end if;
  for i in select * from jsonb_array_elements(p_iterations) loop
    v_new := not exists (select from swarm.session_iterations where repo_id = p_repo and session_id = p_session
      and number = (i ->> 'number')::integer and (i ->> 'status' = 'running' or status <> 'running'));
    continue when not v_new;
    insert into swarm.session_iterations (repo_id, session_id, number, status, tool_calls, started_at, ended_at)
      values (p_repo, p_session, (i ->> 'number')::integer, i ->> 'status', (i ->> 'tool_calls')::integer, v_now,
        case when i ->> 'status' <> 'running' then v_now end)
      on conflict (repo_id, session_id, number) do update set status = excluded.status, tool_calls = excluded.tool_calls,
        ended_at = coalesce(swarm.session_iterations.ended_at, excluded.ended_at);
    if i ->> 'event' is not null then
      perform swarm.emit_run(p_repo, i ->> 'event', x.run_id, p_session, x.bead_id, x.agent_id, x.stage,
        jsonb_build_object('number', i -> 'number', 'tool_calls', i -> 'tool_calls'));
    end if;
  end loop;
  insert into swarm.agent_run_logs (repo_id, agent_id, bead_id, stage, session_id, iteration, sequence, log_content)
    select p_repo, x.agent_id, x.bead_id, x.stage, p_session, (c ->> 'iteration')::integer, (c ->> 'sequence')::integer, c ->> 'text'
    from jsonb_array_elements(p_chunks) c on conflict do nothing;
  get diagnostics v_rows = row_count;
  return v_rows;
end $$;

-- Which sessions the markers belong to that were found on a machine. Markers of other repos are not told.
create or replace function swarm.marked_sessions(p_repo text, a jsonb) returns jsonb language sql stable as $$
  select jsonb_build_object('sessions', coalesce(jsonb_agg(jsonb_build_object('session_id', session_id, 'marker', marker, 'bead_id', bead_id,
      'attempt', attempt, 'workspace', workspace, 'over', ended_at is not null) order by queued_at), '[]'))
  from swarm.agent_sessions where repo_id = p_repo and marker in (select jsonb_array_elements_text(a -> 'markers'))
$$;

-- Which of these sessions are over, with the marker that their processes carried. One whose conversation another session goes on with, or
-- will, is not.
create or replace function swarm.ended_sessions(p_repo text, a jsonb) returns jsonb language sql stable as $$
  select jsonb_build_object('sessions', coalesce(jsonb_agg(jsonb_build_object('session_id', session_id, 'marker', marker,
      'ended_at', swarm.iso(ended_at)) order by session_id), '[]'))
  from swarm.agent_sessions s where repo_id = p_repo and ended_at is not null
    and session_id in (select jsonb_array_elements_text(a -> 'sessions'))
    and not exists (select from swarm.bead_backlog b where b.repo_id = p_repo and b.bead_id = s.bead_id and b.stage = s.stage
      and b.status in ('pending', 'in_progress')
      and swarm.to_resume(p_repo, b.bead_id, b.stage, s.adapter, s.account) ->> 'begun_by' = s.session_id)
$$;

-- What a session had left running was ended by another worker of its machine.
create or replace function swarm.session_swept(p_repo text, p_session text, f jsonb) returns jsonb language plpgsql volatile as $$
declare
  x  swarm.agent_sessions;
begin
  select * into x from swarm.agent_sessions where repo_id = p_repo and session_id = p_session;
  perform swarm.emit_run(p_repo, 'session_swept', x.run_id, p_session, x.bead_id, x.agent_id, x.stage, f);
  return '{}';
end $$;

-- The directory in which a session's program works, on its host.
create or replace function swarm.session_workspace(p_repo text, p_session text, p_path text) returns jsonb language plpgsql volatile as $$
begin
  update swarm.agent_sessions set workspace = p_path where repo_id = p_repo and session_id = p_session and ended_at is null;
  update swarm.bead_backlog b set workspace = x.host_id || ':' || p_path from swarm.agent_sessions x
    where x.repo_id = p_repo and x.session_id = p_session and x.ended_at is null
      and b.repo_id = p_repo and b.bead_id = x.bead_id and b.fence = x.fence and b.status = 'in_progress';
  return '{}';
end $$;

-- A quota as a program told it. `limit` stops admission until its time, or for five minutes when the program does not know one; `overload`
-- slows it down.
create or replace function swarm.session_quota(p_repo text, p_session text, q jsonb) returns void language plpgsql volatile as $$
declare
  x        swarm.agent_sessions;
  v_now    timestamptz := clock_timestamp();
  v_until  timestamptz := to_timestamp((q ->> 'until_ms')::double precision / 1000);
begin
  select * into x from swarm.agent_sessions where repo_id = p_repo and session_id = p_session;
  insert into swarm.quota_windows (repo_id, account, kind, used_percent, until_at, seen_at, evidence)
    values (p_repo, q ->> 'account', q ->> 'kind', (q ->> 'used_percent')::double precision,
      coalesce(v_until, case q ->> 'kind' when 'limit' then v_now + interval '5 minutes' end), v_now, left(q ->> 'evidence', 2000))
    on conflict (repo_id, account, kind) do update set used_percent = coalesce(excluded.used_percent, swarm.quota_windows.used_percent),
      -- a time that was told before holds while it lasts
      until_at = coalesce(v_until, case when swarm.quota_windows.until_at > v_now then swarm.quota_windows.until_at else excluded.until_at end),
      seen_at = excluded.seen_at, evidence = excluded.evidence;
  perform swarm.emit_run(p_repo, 'rate_limited', x.run_id, p_session, x.bead_id, x.agent_id, x.stage, q);
end $$;

-- A session's program, or an agent, waits for a person.
create or replace function swarm.do_ask(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_id  text := coalesce(a ->> 'question_id', 'q-' || substr(md5(gen_random_uuid()::text), 1, 8));
  x     swarm.agent_sessions;
begin
  select * into x from swarm.agent_sessions where repo_id = p_repo and ended_at is null
    and (session_id = a ->> 'session_id' or (a ->> 'session_id' is null and agent_id = (a ->> 'agent_id')::integer));
  insert into swarm.questions (repo_id, question_id, session_id, bead_id, agent_id, text, options)
    values (p_repo, v_id, x.session_id, coalesce(x.bead_id, a ->> 'bead_id'), coalesce(x.agent_id, (a ->> 'agent_id')::integer), a ->> 'question', a -> 'options')
    on conflict do nothing;
  perform swarm.emit_run(p_repo, 'question_asked', x.run_id, x.session_id, coalesce(x.bead_id, a ->> 'bead_id'), x.agent_id, x.stage,
    jsonb_build_object('question_id', v_id, 'question', left(a ->> 'question', 2000), 'options', a -> 'options'));
  return jsonb_build_object('d', jsonb_build_object('question_id', v_id));
end $$;

create or replace function swarm.do_answer(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  q  swarm.questions;
begin
  select * into q from swarm.questions where repo_id = p_repo and question_id = a ->> 'question_id' for no key update;
  if not found then
    return swarm.refused('NOTFOUND', format('there is no question %s', a ->> 'question_id'), null,
      jsonb_build_object('field', 'question_id', 'got', a ->> 'question_id'), '{"cmd": "questions"}');
  end if;
  if q.answered_at is not null then
    if q.answer = a ->> 'answer' then
      return jsonb_build_object('d', jsonb_build_object('question_id', q.question_id, 'answer', q.answer));
    end if;
    return swarm.refused('CONFLICT', format('question %s was answered already', q.question_id), 'claim',
      jsonb_build_object('question_id', q.question_id, 'answer', q.answer), '{"cmd": "questions"}');
  end if;
  update swarm.questions set answer = a ->> 'answer', answered_at = clock_timestamp(), answered_by = coalesce(a ->> 'by', 'operator')
    where repo_id = p_repo and question_id = q.question_id;
  if q.session_id is not null then
    insert into swarm.session_inputs (repo_id, session_id, kind, text, question_id) values (p_repo, q.session_id, 'answer', a ->> 'answer', q.question_id);
  end if;
  perform swarm.emit_run(p_repo, 'question_answered', null, q.session_id, q.bead_id, q.agent_id, null,
    jsonb_build_object('question_id', q.question_id, 'answer', left(a ->> 'answer', 2000)));
  return jsonb_build_object('d', jsonb_build_object('question_id', q.question_id, 'answer', a ->> 'answer'));
end $$;

-- A word of a person to a running session.
create or replace function swarm.do_steer(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  x     swarm.agent_sessions;
  v_id  bigint;
begin
  select * into x from swarm.agent_sessions where repo_id = p_repo and session_id = a ->> 'session_id';
  if not found then
    return swarm.unknown_session(a ->> 'session_id');
  elsif x.ended_at is not null then
    return swarm.ended_session(x);
  end if;
  insert into swarm.session_inputs (repo_id, session_id, kind, text) values (p_repo, x.session_id, 'steer', a ->> 'text') returning id into v_id;
  perform swarm.emit_run(p_repo, 'session_steered', x.run_id, x.session_id, x.bead_id, x.agent_id, x.stage, jsonb_build_object('text', left(a ->> 'text', 500)));
  return jsonb_build_object('d', jsonb_build_object('session_id', x.session_id, 'input_id', v_id));
end $$;

create or replace function swarm.unknown_session(p_session text) returns jsonb language sql immutable
begin atomic
  select swarm.refused('NOTFOUND', format('there is no session %s', p_session), null,
    jsonb_build_object('field', 'session_id', 'got', p_session), '{"cmd": "ps"}');
end;

create or replace function swarm.ended_session(x swarm.agent_sessions) returns jsonb language sql immutable
begin atomic
  select swarm.refused('CONFLICT', format('session %s has ended (%s)', x.session_id, x.reason), 'claim',
    jsonb_build_object('session_id', x.session_id, 'reason', x.reason), '{"cmd": "ps"}');
end;

-- What a host has passed on is not passed on again.
create or replace function swarm.take_inputs(p_repo text, p_ids jsonb) returns integer language sql volatile as $$
  with taken as (update swarm.session_inputs set taken_at = clock_timestamp()
    where repo_id = p_repo and id in (select value::bigint from jsonb_array_elements_text(p_ids)) returning 1)
  select count(*)::integer from taken
$$;

-- A person ends a session, or gives it more time.
create or replace function swarm.do_kill(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  x  swarm.agent_sessions;
begin
  select * into x from swarm.agent_sessions where repo_id = p_repo and session_id = a ->> 'session_id' for no key update;
  if not found then
    return swarm.unknown_session(a ->> 'session_id');
  end if;
  if x.ended_at is null and x.wanted is distinct from 'killed' then
    update swarm.agent_sessions set wanted = 'killed', wanted_reason = coalesce(a ->> 'reason', 'a person ended it')
      where repo_id = p_repo and session_id = x.session_id;
    perform swarm.emit_run(p_repo, 'session_ending', x.run_id, x.session_id, x.bead_id, x.agent_id, x.stage,
      jsonb_build_object('wanted', 'killed', 'reason', a ->> 'reason'));
  end if;
  return jsonb_build_object('d', jsonb_strip_nulls(jsonb_build_object('session_id', x.session_id, 'bead_id', x.bead_id,
    'status', x.status, 'reason', x.reason)));
end $$;

create or replace function swarm.do_extend(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  x  swarm.agent_sessions;
begin
  update swarm.agent_sessions set deadline_at = clock_timestamp() + make_interval(secs => (a ->> 'ms')::double precision / 1000)
    where repo_id = p_repo and session_id = a ->> 'session_id' and ended_at is null returning * into x;
  if not found then
    select * into x from swarm.agent_sessions where repo_id = p_repo and session_id = a ->> 'session_id';
    return case when found then swarm.ended_session(x) else swarm.unknown_session(a ->> 'session_id') end;
  end if;
  perform swarm.emit_run(p_repo, 'session_extended', x.run_id, x.session_id, x.bead_id, x.agent_id, x.stage,
    jsonb_build_object('ms', a -> 'ms', 'reason', a ->> 'reason'));
  return jsonb_build_object('d', jsonb_build_object('session_id', x.session_id, 'until', swarm.iso(x.deadline_at)));
end $$;

-- Whether a host, or a machine with all hosts that are on it now or later, takes new sessions. What they run they finish.
create or replace function swarm.do_drain(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_off  boolean := coalesce((a ->> 'off')::boolean, false);
  h      swarm.hosts;
begin
  if not exists (select from swarm.hosts where repo_id = p_repo and a ->> 'host' in (host_id, name))
      and not exists (select from swarm.drained_machines where repo_id = p_repo and name = a ->> 'host') then
    return swarm.refused('NOTFOUND', format('there is no host %s', a ->> 'host'), null,
      jsonb_build_object('field', 'host', 'got', a ->> 'host'), '{"cmd": "ps"}');
  end if;
  if v_off then
    delete from swarm.drained_machines where repo_id = p_repo and name = a ->> 'host';
  else
    insert into swarm.drained_machines (repo_id, name, reason) select distinct p_repo, name, a ->> 'reason' from swarm.hosts
      where repo_id = p_repo and name = a ->> 'host' on conflict do nothing;
  end if;
  for h in select * from swarm.hosts where repo_id = p_repo and a ->> 'host' in (host_id, name) and draining = v_off order by host_id for update loop
    update swarm.hosts set draining = not v_off where repo_id = p_repo and host_id = h.host_id;
    perform swarm.emit_run(p_repo, case when v_off then 'host_undrained' else 'host_drained' end, null, h.host_id, null, null, null,
      jsonb_build_object('name', h.name, 'reason', a ->> 'reason'));
  end loop;
  return jsonb_build_object('d', jsonb_build_object('hosts', (select coalesce(jsonb_agg(jsonb_build_object('host_id', x.host_id, 'name', x.name,
      'draining', x.draining, 'sessions', (select count(*) from swarm.agent_sessions s
        where s.repo_id = p_repo and s.host_id = x.host_id and s.ended_at is null)) order by x.host_id), '[]')
    from swarm.hosts x where x.repo_id = p_repo and a ->> 'host' in (x.host_id, x.name))));
end $$;
