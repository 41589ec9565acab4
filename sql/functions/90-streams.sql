-- Streams.

create or replace function swarm.item_kind(p_type text) returns text language sql immutable parallel safe
return case p_type when 'message_sent' then 'message' when 'broadcast_sent' then 'broadcast' else 'event' end;

-- An event of one of these types that came without a message or broadcast, recorded by hand, is an event like others.
create or replace function swarm.log_item(e swarm.execution_events) returns jsonb language sql stable
begin atomic
  select coalesce(case e.event_type
    when 'message_sent' then (
      select jsonb_build_object('kind', 'message', 'repo', e.repo_id, 'from', e.agent_id, 'to', jsonb_agg(m.to_agent_id order by m.id),
          'message_ids', jsonb_agg(m.id order by m.id), 'message_type', min(m.message_type), 'body', min(m.body), 'at', swarm.iso(e.created_at))
        || jsonb_strip_nulls(jsonb_build_object('subject', nullif(min(m.subject), ''), 'bead_id', min(m.bead_id), 'thread_id', min(m.thread_id),
          'reply_to', min(m.reply_to), 'importance', nullif(min(m.importance), 'normal'), 'ack_required', nullif(bool_or(m.ack_required), false),
          'deadline_at', swarm.iso(min(m.deadline_at))))
      from swarm.agent_messages m where m.seq = e.seq having count(*) > 0)
    when 'broadcast_sent' then (
      select jsonb_build_object('kind', 'broadcast', 'repo', e.repo_id, 'broadcast_id', l.id, 'from', swarm.sender_json(l.from_agent), 'msg', l.msg, 'at', swarm.iso(e.created_at))
      from swarm.broadcast_log l where l.seq = e.seq) end,
    jsonb_build_object('kind', 'event', 'repo', e.repo_id) || swarm.event_json(e));
end;

-- Whether a row is for this agent: a message to it, any broadcast, its own events, those of the bead that it holds.
create or replace function swarm.concerns(e swarm.execution_events, p_agent integer) returns boolean language sql stable
begin atomic
  select case e.event_type
    when 'message_sent' then exists (select from swarm.agent_messages m where m.seq = e.seq and m.to_agent_id = p_agent)
    when 'broadcast_sent' then true
    else e.agent_id = p_agent or (e.bead_id is not null and exists (select from swarm.bead_claims c
      where c.repo_id = e.repo_id and c.bead_id = e.bead_id and c.claimed_by = p_agent and c.status = 'in_progress')) end;
end;

-- Takes the cursor for a holder, or says who has it. A new cursor starts at p_start.
create or replace function swarm.take_cursor(p_repo text, p_name text, p_holder text, p_lease_ms integer, p_start bigint) returns jsonb
language plpgsql volatile as $$
declare
  c      swarm.cursors;
  v_now  timestamptz;
begin
  insert into swarm.cursors (repo_id, name, seq) values (p_repo, p_name, p_start) on conflict do nothing;
  select * into c from swarm.cursors where repo_id = p_repo and name = p_name for update;
  v_now := clock_timestamp();
  if c.holder is distinct from p_holder and c.lease_expires_at > v_now then
    return swarm.refused('BUSY', format('the cursor %s is held by another reader', p_name), null,
      jsonb_build_object('cursor', p_name, 'acked', c.seq,
        'remaining_ms', ceil(extract(epoch from c.lease_expires_at - v_now) * 1000)::bigint));
  end if;
  update swarm.cursors set holder = p_holder, fence = fence + 1, updated_at = v_now,
      lease_expires_at = v_now + make_interval(secs => p_lease_ms / 1000.0)
    where repo_id = p_repo and name = p_name returning * into c;
  return jsonb_build_object('seq', c.seq, 'fence', c.fence);
end $$;

create or replace function swarm.renew_cursor(p_repo text, p_name text, p_fence bigint, p_lease_ms integer) returns boolean
language plpgsql volatile as $$
begin
  update swarm.cursors set lease_expires_at = clock_timestamp() + make_interval(secs => p_lease_ms / 1000.0)
    where repo_id = p_repo and name = p_name and fence = p_fence and holder is not null;
  return found;
end $$;

-- Acks for the reader that holds the cursor, and renews its lease; done twice it is done once.
create or replace function swarm.advance_cursor(p_repo text, p_name text, p_fence bigint, p_seq bigint, p_lease_ms integer) returns boolean
language plpgsql volatile as $$
begin
  update swarm.cursors set seq = greatest(seq, p_seq), updated_at = clock_timestamp(),
      lease_expires_at = clock_timestamp() + make_interval(secs => p_lease_ms / 1000.0)
    where repo_id = p_repo and name = p_name and fence = p_fence and holder is not null;
  return found;
end $$;

create or replace function swarm.release_cursor(p_repo text, p_name text, p_fence bigint) returns boolean language plpgsql volatile as $$
begin
  update swarm.cursors set holder = null, lease_expires_at = null where repo_id = p_repo and name = p_name and fence = p_fence;
  return found;
end $$;

create or replace function swarm.do_ack_cursor(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  c        swarm.cursors;
  v_at     bigint := (a ->> 'at')::bigint;
  v_fence  bigint := coalesce((a ->> 'fence')::bigint, (p ->> 'fence')::bigint);
begin
  select * into c from swarm.cursors where repo_id = p_repo and name = a ->> 'cursor' for update;
  if not found then
    return swarm.refused('NOTFOUND', format('no cursor %s in repo %s', a ->> 'cursor', p_repo), null,
      jsonb_build_object('field', 'cursor', 'got', a ->> 'cursor'), jsonb_build_object('cmd', 'subscribe', 'cursor', a ->> 'cursor'));
  end if;
  if v_fence <> c.fence then
    return swarm.refused('CONFLICT', format('another reader has taken the cursor %s', c.name), 'claim',
      jsonb_build_object('cursor', c.name, 'fence', v_fence, 'current_fence', c.fence), jsonb_build_object('cmd', 'subscribe', 'cursor', c.name));
  end if;
  if v_at > (select case when is_called then last_value else 0 end from swarm.event_seq) then
    return swarm.refused('CONFLICT', format('%s is beyond the end of the log', v_at), 'claim',
      jsonb_build_object('field', 'at', 'got', v_at, 'acked', c.seq));
  end if;
  if v_at < c.seq then
    return swarm.refused('CONFLICT', format('the cursor %s has acked %s already, it does not go back to %s', c.name, c.seq, v_at), 'claim',
      jsonb_build_object('field', 'at', 'got', v_at, 'acked', c.seq));
  end if;
  update swarm.cursors set seq = v_at, updated_at = clock_timestamp() where repo_id = p_repo and name = c.name;
  return jsonb_build_object('d', jsonb_build_object('cursor', c.name, 'acked', v_at));
end $$;

-- Keeps what a target of notifications knows, together with how far it has been told (p_seq), for the reader that holds its cursor.
-- p_open: [{subject, incident, messages}], p_closed: [subject].
create or replace function swarm.keep_notices(p_repo text, p_name text, p_fence bigint, p_lease_ms integer, p_seq bigint, p_open jsonb, p_closed jsonb)
returns boolean language plpgsql volatile as $$
declare
  v_target  text := substr(p_name, length('notify.') + 1);
begin
  if not swarm.advance_cursor(p_repo, p_name, p_fence, p_seq, p_lease_ms) then
    return false;
  end if;
  delete from swarm.notices n where n.repo_id = p_repo and n.target = v_target
    and (n.subject in (select jsonb_array_elements_text(p_closed)) or n.kept_at < clock_timestamp() - interval '30 days');
  insert into swarm.notices (repo_id, target, subject, incident, messages)
    select p_repo, v_target, o ->> 'subject', o -> 'incident', o -> 'messages' from jsonb_array_elements(p_open) o
    on conflict (repo_id, target, subject) do update set incident = excluded.incident, messages = excluded.messages, kept_at = clock_timestamp();
  return true;
end $$;

-- Sets the cursor of a reader of somebody else's log, whose numbers may begin anew below those that it has had.
create or replace function swarm.set_cursor(p_repo text, p_name text, p_fence bigint, p_lease_ms integer, p_seq bigint) returns boolean
language plpgsql volatile as $$
begin
  update swarm.cursors set seq = p_seq, updated_at = clock_timestamp(),
      lease_expires_at = clock_timestamp() + make_interval(secs => p_lease_ms / 1000.0)
    where repo_id = p_repo and name = p_name and fence = p_fence and holder is not null;
  return found;
end $$;

-- What a reader that streams for an agent has handed over counts as delivered.
create or replace function swarm.mark_delivered(p_agent integer, p_seqs jsonb) returns void language sql volatile as $$
  insert into swarm.message_receipts (message_id, agent_id, delivered_at)
    select m.id, p_agent, clock_timestamp() from jsonb_array_elements_text(p_seqs) s
      join swarm.agent_messages m on m.seq = s::bigint and m.to_agent_id = p_agent
    on conflict (message_id, agent_id) do nothing
$$;
