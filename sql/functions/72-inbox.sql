-- Inbox and acks.

-- A message that had to be acked by now and was not: said once, as an event, to whoever follows the log.
create or replace function swarm.announce_overdue(p_repo text) returns integer language plpgsql volatile as $$
declare
  m        swarm.agent_messages;
  v_now    timestamptz := clock_timestamp();
  v_count  integer := 0;
begin
  for m in select * from swarm.agent_messages x where x.to_repo_id = p_repo and x.deadline_at < v_now and x.deadline_at is not null
      and x.overdue_at is null order by x.deadline_at limit 100 for no key update skip locked loop
    update swarm.agent_messages set overdue_at = v_now where id = m.id;
    continue when exists (select from swarm.message_receipts r where r.message_id = m.id and r.acked_at is not null);
    perform swarm.emit(p_repo, 'message_overdue', 'message:' || m.id, m.bead_id, m.to_agent_id, null,
      jsonb_build_object('message_id', m.id, 'from', m.from_agent_id, 'to', m.to_agent_id, 'deadline_at', swarm.iso(m.deadline_at)));
    v_count := v_count + 1;
  end loop;
  return v_count;
end $$;

-- What time alone brings about. Called by those who wait: claims, inboxes, subscriptions.
create or replace function swarm.sweep(p_repo text) returns void language plpgsql volatile as $$
begin
  perform swarm.expire_leases(p_repo);
  perform swarm.announce_overdue(p_repo);
end $$;

-- Unread first, oldest first; read unless peeked; bounded by rows and bytes. Broadcasts of the last day that this agent has not seen come along.
create or replace function swarm.do_inbox(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_agent       integer := (a ->> 'agent_id')::integer;
  v_limit       integer := coalesce((a ->> 'limit')::integer, 20);
  v_unread      boolean := coalesce((a ->> 'unread')::boolean, true);
  v_ids         bigint[];
  v_broadcasts  bigint[];
  v_now         timestamptz;
  v_messages    jsonb;
begin
  perform 1 from swarm.agent_state where repo_id = p_repo and agent_id = v_agent for no key update;
  if not found then
    return swarm.unknown_agent(p_repo, v_agent);
  end if;
  perform swarm.note_agent(p_repo, v_agent);
  perform swarm.announce_overdue(p_repo);
  v_now := clock_timestamp();
  v_ids := case
    when a ? 'thread_id' then array(select id from swarm.agent_messages where to_repo_id = p_repo and (to_agent_id = v_agent or from_agent_id = v_agent)
      and (id = (a ->> 'thread_id')::bigint or thread_id = (a ->> 'thread_id')::bigint) order by id desc limit v_limit)
    when v_unread then array(select id from swarm.agent_messages where to_repo_id = p_repo and to_agent_id = v_agent and not read order by id limit v_limit)
    else array(select id from swarm.agent_messages where to_repo_id = p_repo and to_agent_id = v_agent order by id desc limit v_limit) end;
  if a ? 'thread_id' and v_ids = '{}' then
    return swarm.refused('NOTFOUND', format('agent %s has no thread %s in repo %s', v_agent, a ->> 'thread_id', p_repo), null,
      jsonb_build_object('field', 'thread_id', 'got', a -> 'thread_id'), jsonb_build_object('cmd', 'inbox', 'agent_id', v_agent, 'unread', false));
  end if;
  v_broadcasts := case
    when v_unread then array(select l.id from swarm.broadcast_log l
      where l.repo_id = p_repo and l.created_at >= v_now - interval '1 day' and l.from_agent <> v_agent::text
        and not exists (select from swarm.broadcast_receipts r where r.broadcast_id = l.id and r.agent_id = v_agent)
      order by l.id limit v_limit)
    else array(select l.id from swarm.broadcast_log l
      where l.repo_id = p_repo and l.created_at >= v_now - interval '1 day' and l.from_agent <> v_agent::text
      order by l.id desc limit v_limit) end;
  -- about 1 MiB of each at once, and one in any case: the rest stays unread
  if cardinality(v_ids) > 1 then
    v_ids := array(select x.id from (select w.id, n, sum(octet_length(m.body) + octet_length(m.metadata::text)) over (order by n) as bytes
        from unnest(v_ids) with ordinality w(id, n) join swarm.agent_messages m on m.id = w.id) x where n = 1 or bytes <= 1048576 order by n);
  end if;
  if cardinality(v_broadcasts) > 1 then
    v_broadcasts := array(select x.id from (select w.id, n, sum(octet_length(l.msg)) over (order by n) as bytes
        from unnest(v_broadcasts) with ordinality w(id, n) join swarm.broadcast_log l on l.id = w.id) x where n = 1 or bytes <= 1048576 order by n);
  end if;
  select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('message_id', m.id, 'from', m.from_agent_id, 'message_type', m.message_type,
      'subject', nullif(m.subject, ''), 'bead_id', m.bead_id)) || jsonb_build_object('body', m.body)
      || case when m.metadata <> '{}' then jsonb_build_object('metadata', m.metadata) else '{}' end || swarm.message_extras(m)
      || jsonb_build_object('at', swarm.iso(m.created_at)) order by m.id), '[]')
    into v_messages from swarm.agent_messages m where m.id = any(v_ids);
  if not coalesce((a ->> 'peek')::boolean, false) then
    update swarm.agent_messages set read = true, read_at = v_now where id = any(v_ids) and to_agent_id = v_agent and not read;
    insert into swarm.message_receipts (message_id, agent_id, delivered_at, read_at) select m.id, v_agent, v_now, v_now
      from swarm.agent_messages m where m.id = any(v_ids) and m.to_agent_id = v_agent
      on conflict (message_id, agent_id) do update set read_at = coalesce(swarm.message_receipts.read_at, v_now);
    insert into swarm.broadcast_receipts (broadcast_id, agent_id, seen_at) select b, v_agent, v_now from unnest(v_broadcasts) b
      on conflict do nothing;
  end if;
  return case when v_ids = '{}' and v_broadcasts = '{}' then '{"transient": true}' else '{}' end::jsonb
    || jsonb_build_object('d', jsonb_build_object('messages', v_messages,
    'broadcasts', coalesce((select jsonb_agg(jsonb_build_object('broadcast_id', l.id, 'from', swarm.sender_json(l.from_agent), 'msg', l.msg, 'at', swarm.iso(l.created_at)) order by l.id)
      from swarm.broadcast_log l where l.id = any(v_broadcasts)), '[]'),
    'unread', swarm.unread_count(p_repo, v_agent)));
end $$;

-- An agent by its number, anybody else by name.
create or replace function swarm.sender_json(p_from text) returns jsonb language sql immutable parallel safe
return case when p_from ~ '^[1-9][0-9]{0,8}$' then to_jsonb(p_from::integer) else to_jsonb(p_from) end;

-- What an agent has not read: messages, and of the repo's latest broadcasts those of the last day that it has not seen. Every answer
-- of the loop asks: counting messages stops at 1,000, and no more than 20 broadcasts are looked at.
create or replace function swarm.unread_count(p_repo text, p_agent integer) returns bigint language plpgsql stable as $$
begin
  return (select count(*) from (select from swarm.agent_messages
      where to_repo_id = p_repo and to_agent_id = p_agent and not read limit 1000) m)
    + (select count(*) from (select id, from_agent, created_at from swarm.broadcast_log where repo_id = p_repo order by id desc limit 20) l
      where l.created_at >= clock_timestamp() - interval '1 day' and l.from_agent <> p_agent::text
        and not exists (select from swarm.broadcast_receipts r where r.broadcast_id = l.id and r.agent_id = p_agent));
end $$;

-- Adds to an answer of the loop how much there is to read, when there is something; and the agent has come, or is still there.
create or replace function swarm.with_unread(p_repo text, p_agent integer, p_reply jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_unread  bigint := swarm.unread_count(p_repo, p_agent);
  v_now     timestamptz := clock_timestamp();
begin
  if exists (select from swarm.agent_state
      where repo_id = p_repo and agent_id = p_agent and (seen_at is null or last_update < v_now - interval '1 minute')) then
    update swarm.agent_state set seen_at = coalesce(seen_at, v_now), last_update = v_now where repo_id = p_repo and agent_id = p_agent;
  end if;
  return case when v_unread = 0 then p_reply else jsonb_set(p_reply, '{d,unread}', to_jsonb(v_unread)) end;
end $$;

create or replace function swarm.do_ack(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_agent   integer := (a ->> 'agent_id')::integer;
  v_wanted  bigint[] := array(select distinct t::bigint from jsonb_array_elements_text(a -> 'message_ids') t order by 1);
  v_other   record;
begin
  if not exists (select from swarm.agent_state where repo_id = p_repo and agent_id = v_agent) then
    return swarm.unknown_agent(p_repo, v_agent);
  end if;
  select w as id, m.to_agent_id into v_other from unnest(v_wanted) w left join swarm.agent_messages m on m.id = w and m.to_repo_id = p_repo
    where m.to_agent_id is distinct from v_agent limit 1;
  if found then
    return swarm.refused(case when v_other.to_agent_id is null then 'NOTFOUND' else 'CONFLICT' end,
      case when v_other.to_agent_id is null then format('no message %s in repo %s', v_other.id, p_repo)
        else format('message %s is for agent %s, not for agent %s', v_other.id, v_other.to_agent_id, v_agent) end,
      case when v_other.to_agent_id is null then null else 'claim' end,
      jsonb_build_object('field', 'message_ids', 'got', v_other.id), jsonb_build_object('cmd', 'inbox', 'agent_id', v_agent, 'unread', false));
  end if;
  insert into swarm.message_receipts (message_id, agent_id, delivered_at, read_at, acked_at)
    select w, v_agent, clock_timestamp(), clock_timestamp(), clock_timestamp() from unnest(v_wanted) w
    on conflict (message_id, agent_id) do update set read_at = coalesce(swarm.message_receipts.read_at, clock_timestamp()),
      acked_at = coalesce(swarm.message_receipts.acked_at, clock_timestamp());
  update swarm.agent_messages set read = true, read_at = clock_timestamp() where id = any(v_wanted) and not read;
  return jsonb_build_object('d', jsonb_build_object('acked', to_jsonb(v_wanted)));
end $$;
