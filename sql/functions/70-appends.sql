-- Appends: events, messages, broadcasts.

-- They contend for no row, so lines that are already waiting travel as one statement. Each call appends one event; a
-- message or broadcast takes its place in the stream from it. One reply per call, in order.

create or replace function swarm.append(p_calls jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_start    timestamptz := clock_timestamp();
  c          jsonb;
  v_replies  jsonb[];
  v_new      boolean[];
  v_keys     text[];
  v_lock     text;
  n          integer := 0;
begin
  v_lock := set_config('lock_timeout', '10s', true);
  -- all keys before the first event: who waits here for another send of its key holds no place in the log
  for c in select x from jsonb_array_elements(p_calls) x loop
    n := n + 1;
    v_keys[n] := swarm.own_key(c -> 'args', c -> 'proc', c ->> 'key');
    v_lock := swarm.lock_key(c ->> 'repo', v_keys[n]);
    v_replies := v_replies || array[swarm.look_up(c ->> 'repo', c ->> 'cmd', c -> 'args', v_keys[n])];
    v_new[n] := v_replies[n] is null;
  end loop;
  n := 0;
  for c in select x from jsonb_array_elements(p_calls) x loop
    n := n + 1;
    if v_new[n] then
      v_replies[n] := swarm.carry_out(c ->> 'repo', c ->> 'cmd', c -> 'args', c -> 'proc');
    end if;
  end loop;
  insert into swarm.operations (repo_id, key, cmd, body_hash, reply)
    select x ->> 'repo', v_keys[i], x ->> 'cmd', md5((x ->> 'cmd') || (x -> 'args')::text), v_replies[i]
    from jsonb_array_elements(p_calls) with ordinality a(x, i) where v_new[i] and not v_replies[i] ? 'refused';
  insert into swarm.command_audit (repo_id, agent_id, cmd, rid, args, ok, ms, error_code, principal)
    select x ->> 'repo', (x #>> '{args,agent_id}')::integer, x ->> 'cmd', x ->> 'rid', swarm.audit_args(x -> 'args'),
      not v_replies[i] ? 'refused', swarm.ms_since(v_start), v_replies[i] #>> '{refused,code}', x #>> '{proc,principal}'
    from jsonb_array_elements(p_calls) with ordinality a(x, i) where v_new[i] order by i;
  if random() < 0.002 * n then
    perform swarm.forget_operations();
  end if;
  return to_jsonb(v_replies);
end $$;

-- The types of events that swarm itself records, and will: names with these beginnings are not for clients.
create or replace function swarm.is_system_type(p_type text) returns boolean language sql immutable
begin atomic
  select lower(p_type) in ('rate_limited', 'meltdown') or lower(p_type) ~ ('^(agent|artifact|bead|broadcast|budget|host|iteration|landing|leader'
    || '|lease|lock|message|question|run|session|stage|token|transition|wave)_');
end;

-- Whether a client may record this event: null, or the refusal.
create or replace function swarm.check_event(p_repo text, a jsonb) returns jsonb language plpgsql stable as $$
begin
  if swarm.is_system_type(a ->> 'event_type') then
    return swarm.refused('INVALID', format('events of the type %s are recorded by swarm alone', a ->> 'event_type'), null,
      jsonb_build_object('kind', 'InvalidValue', 'field', 'event_type', 'got', a -> 'event_type',
        'expected', 'progress, activity, state_change, pr_created or a name of your own that does not begin like those of swarm (bead_, stage_, run_, ...)'));
  end if;
  if a ? 'agent_id' and not exists (select from swarm.agent_state where repo_id = p_repo and agent_id = (a ->> 'agent_id')::integer) then
    return swarm.unknown_agent(p_repo, (a ->> 'agent_id')::integer);
  end if;
  return null;
end $$;

-- What a client says of itself: marked as such. The time that it gives is its own word and stands in the payload; the log goes by the
-- time of insertion.
create or replace function swarm.do_record_event(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  d          jsonb := a -> 'diagnostics';
  v_refused  jsonb := swarm.check_event(p_repo, a);
  v_seq      bigint;
begin
  if v_refused is not null then
    return v_refused;
  end if;
  insert into swarm.execution_events (event_type, entity_id, repo_id, bead_id, agent_id, stage, causation_id, run_id, session_id,
      diagnostics_category, diagnostics_retryable, diagnostics_next_command, diagnostics_detail, payload, schema_version, origin, principal)
    values (a ->> 'event_type', a ->> 'entity_id', p_repo, a ->> 'bead_id', (a ->> 'agent_id')::integer, a ->> 'stage',
      a ->> 'causation_id', a ->> 'run_id', coalesce(a ->> 'session_id', p ->> 'holder'),
      d ->> 'category', (d ->> 'retryable')::boolean, d ->> 'next_command', d ->> 'detail',
      coalesce(a -> 'payload', '{}') || jsonb_strip_nulls(jsonb_build_object('client_time', a -> 'timestamp')),
      coalesce((a ->> 'payload_version')::integer, 1), 'client', p ->> 'principal')
    returning seq into v_seq;
  return jsonb_build_object('d', jsonb_build_object('sequence', v_seq));
end $$;

create or replace function swarm.do_send(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_from     integer := (a ->> 'agent_id')::integer;
  v_address  jsonb := swarm.address(p_repo, a);
  v_seq      bigint;
  v_id       bigint;
  v_ids      bigint[];
  v_to       integer;
begin
  if v_address ? 'refused' then
    return v_address;
  end if;
  perform swarm.note_agent(p_repo, v_from);
  insert into swarm.execution_events (event_type, entity_id, repo_id, bead_id, agent_id, session_id, payload)
    values ('message_sent', 'agent:' || v_from, p_repo, a ->> 'bead_id', v_from, p ->> 'holder',
      jsonb_build_object('to', v_address -> 'to', 'message_type', a -> 'message_type', 'subject', coalesce(a -> 'subject', '""')))
    returning seq into v_seq;
  for v_to in select t::integer from jsonb_array_elements_text(v_address -> 'to') t order by 1 loop
    insert into swarm.agent_messages (from_repo_id, from_agent_id, to_repo_id, to_agent_id, bead_id, message_type, subject, body, metadata,
        thread_id, reply_to, importance, ack_required, deadline_at, seq)
      values (p_repo, v_from, p_repo, v_to, a ->> 'bead_id', a ->> 'message_type', coalesce(a ->> 'subject', ''), a ->> 'body',
        coalesce(a -> 'metadata', '{}'), (v_address ->> 'thread_id')::bigint, (a ->> 'reply_to')::bigint,
        coalesce(a ->> 'importance', 'normal'), coalesce((a ->> 'ack_required')::boolean, a ? 'deadline_ms'),
        clock_timestamp() + make_interval(secs => (a ->> 'deadline_ms')::double precision / 1000), v_seq)
      returning id into v_id;
    v_ids := v_ids || v_id;
  end loop;
  return jsonb_build_object('d', jsonb_build_object('message_ids', to_jsonb(v_ids), 'sequence', v_seq));
end $$;

create or replace function swarm.do_broadcast(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_unknown  jsonb := swarm.check_sender(p_repo, a ->> 'from');
  v_seq      bigint;
  v_id       bigint;
begin
  if v_unknown ? 'refused' then
    return v_unknown;
  end if;
  insert into swarm.execution_events (event_type, entity_id, repo_id, agent_id, session_id, payload)
    values ('broadcast_sent', 'agent:' || (a ->> 'from'), p_repo, substring(a ->> 'from' from '^[0-9]{1,9}$')::integer, p ->> 'holder', '{}')
    returning seq into v_seq;
  insert into swarm.broadcast_log (repo_id, from_agent, msg, seq) values (p_repo, a ->> 'from', a ->> 'msg', v_seq) returning id into v_id;
  return jsonb_build_object('d', jsonb_build_object('broadcast_id', v_id, 'sequence', v_seq));
end $$;

create or replace function swarm.check_sender(p_repo text, p_from text) returns jsonb language sql stable
begin atomic
  select case when p_from ~ '^[0-9]{1,9}$' and not exists (select from swarm.agent_state where repo_id = p_repo and agent_id = p_from::integer)
    then swarm.unknown_agent(p_repo, p_from::integer) else '{}' end;
end;

-- Whom a message goes to: an agent, everybody with a role (but the sender), or several of both.
create or replace function swarm.address(p_repo text, a jsonb) returns jsonb language plpgsql stable as $$
declare
  v_from     integer := (a ->> 'agent_id')::integer;
  v_to       integer[];
  v_unknown  jsonb;
  v_thread   bigint;
  v_wanted   jsonb := case when jsonb_typeof(a -> 'to') = 'array' then a -> 'to' else jsonb_build_array(a -> 'to') end;
begin
  if not exists (select from swarm.agent_state where repo_id = p_repo and agent_id = v_from) then
    return swarm.unknown_agent(p_repo, v_from);
  end if;
  select array_agg(distinct s.agent_id) into v_to from jsonb_array_elements(v_wanted) w
    join swarm.agent_state s on s.repo_id = p_repo and (to_jsonb(s.agent_id) = w or (to_jsonb(s.role) = w and s.agent_id <> v_from) or to_jsonb(s.name) = w);
  select w into v_unknown from jsonb_array_elements(v_wanted) w where not exists (
    select from swarm.agent_state s where s.repo_id = p_repo and (to_jsonb(s.agent_id) = w or (to_jsonb(s.role) = w and s.agent_id <> v_from) or to_jsonb(s.name) = w)) limit 1;
  if v_unknown is not null then
    return swarm.refused('NOTFOUND', format('no agent and no other agent with the role or name %s in repo %s', v_unknown, p_repo), null,
      jsonb_build_object('field', 'to', 'got', v_unknown),
      case when jsonb_typeof(v_unknown) = 'number' and (v_unknown::text)::integer <= 100
        then jsonb_build_object('cmd', 'register', 'count', v_unknown)
        when jsonb_typeof(v_unknown) = 'string' then jsonb_build_object('cmd', 'register', 'role', v_unknown)
        else jsonb_build_object('cmd', 'agents') end);
  end if;
  -- a thread is named by its first message; an answer belongs to the thread of what it answers
  if a ? 'reply_to' or a ? 'thread_id' then
    select coalesce(m.thread_id, m.id) into v_thread from swarm.agent_messages m
      where m.to_repo_id = p_repo and m.id = coalesce(a ->> 'reply_to', a ->> 'thread_id')::bigint;
    if v_thread is null then
      return swarm.refused('NOTFOUND', format('no message %s in repo %s', coalesce(a ->> 'reply_to', a ->> 'thread_id'), p_repo), null,
        jsonb_build_object('field', case when a ? 'reply_to' then 'reply_to' else 'thread_id' end, 'got', coalesce(a -> 'reply_to', a -> 'thread_id')),
        (a - 'reply_to' - 'thread_id') || '{"cmd": "send"}');
    end if;
  end if;
  return jsonb_strip_nulls(jsonb_build_object('to', to_jsonb(v_to), 'thread_id', v_thread));
end $$;

-- What only some messages have.
create or replace function swarm.message_extras(m swarm.agent_messages) returns jsonb language sql stable
begin atomic
  select jsonb_strip_nulls(jsonb_build_object('thread_id', m.thread_id, 'reply_to', m.reply_to, 'importance', nullif(m.importance, 'normal'),
    'ack_required', nullif(m.ack_required, false), 'deadline_at', swarm.iso(m.deadline_at)));
end;
