-- Looking.

create or replace function swarm.status_json(p_repo text) returns jsonb language plpgsql volatile as $$
declare
  v_now     timestamptz := clock_timestamp();
  v_events  integer := 0;
  v_last    bigint := 9223372036854775807;
  v_fresh   integer;
  v_rows    integer;
begin
  -- Backwards in steps, until one has nothing of the last minute: a client may give an event an older time.
  loop
    select count(*) filter (where created_at > v_now - interval '1 minute'), count(*), min(seq) into v_fresh, v_rows, v_last
      from (select seq, created_at from swarm.execution_events where repo_id = p_repo and seq < v_last order by seq desc limit 500) e;
    v_events := v_events + v_fresh;
    exit when v_fresh = 0 or v_rows < 500;
  end loop;
  return jsonb_strip_nulls(jsonb_build_object(
    'repo', p_repo, 'swarm_status', (select swarm_status from swarm.swarm_config),
    'beads', (select coalesce(jsonb_object_agg(status, n), '{}') from (
      select status, count(*) as n from swarm.bead_backlog where repo_id = p_repo group by status) x),
    'ready', swarm.count_ready(p_repo),
    'agents', (select coalesce(jsonb_object_agg(status, n), '{}') from (
      select swarm.agent_status(s) as status, count(*) as n from swarm.agent_state s where s.repo_id = p_repo group by 1) x),
    'claims', (select count(*) from swarm.bead_claims where repo_id = p_repo and status = 'in_progress'),
    'oldest_claim', (select jsonb_build_object('bead_id', bead_id, 'agent_id', claimed_by,
        'held_ms', greatest(0, floor(extract(epoch from v_now - claimed_at) * 1000))::bigint)
      from swarm.bead_claims where repo_id = p_repo and status = 'in_progress' order by claimed_at limit 1),
    'events_last_minute', v_events,
    'database', jsonb_build_object('kind', case when current_setting('cluster_name') like 'swarm-%' then 'embedded' else 'server' end,
      'version', split_part(current_setting('server_version'), ' ', 1))));
end $$;

create or replace function swarm.history_json(p_repo text, a jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_bead   text := a ->> 'bead_id';
  v_agent  integer := (a ->> 'agent_id')::integer;
  v_limit  integer := (a ->> 'limit')::integer;
  v_rows   jsonb;
begin
  if v_bead is not null and not exists (select from swarm.bead_backlog where repo_id = p_repo and bead_id = v_bead) then
    return swarm.unknown_bead(p_repo, v_bead);
  elsif v_agent is not null and not exists (select from swarm.agent_state where repo_id = p_repo and agent_id = v_agent) then
    return swarm.unknown_agent(p_repo, v_agent);
  end if;
  select coalesce(jsonb_agg(jsonb_build_object('attempt_id', h.id) || swarm.attempt_json(h, case when (a ->> 'full')::boolean then 65536 else 200 end)
      order by h.id desc), '[]') into v_rows
    from (select * from swarm.stage_history x where x.repo_id = p_repo and (v_bead is null or x.bead_id = v_bead)
      and (v_agent is null or x.agent_id = v_agent) and (not a ? 'stage' or x.stage = a ->> 'stage')
      and (not a ? 'after' or x.id < (a ->> 'after')::bigint) order by x.id desc limit v_limit + 1) h;
  return jsonb_build_object('rows', v_rows);
end $$;

-- Names and sizes; contents when asked for, up to a megabyte in one answer.
create or replace function swarm.artifacts_json(p_repo text, a jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_bead   text := a ->> 'bead_id';
  v_full   boolean := coalesce((a ->> 'full')::boolean, false) or a ? 'artifact_id';
  v_rows   jsonb;
begin
  if not exists (select from swarm.bead_backlog where repo_id = p_repo and bead_id = v_bead) then
    return swarm.unknown_bead(p_repo, v_bead);
  end if;
  select coalesce(jsonb_agg(jsonb_build_object('artifact_id', f.id, 'stage', f.stage, 'attempt', f.attempt_number, 'agent_id', f.agent_id,
      'artifact_type', f.artifact_type, 'trust', f.trust, 'bytes', f.bytes, 'at', swarm.iso(f.created_at))
      || case when v_full then jsonb_build_object('content_hash', f.content_hash, 'metadata', f.metadata) else '{}' end
      || case when v_full and (f.before = 0 or f.before + f.bytes <= 1048576) then jsonb_build_object('content', f.content) else '{}' end order by f.id), '[]')
    into v_rows from (
      select x.*, h.stage, h.attempt_number, h.agent_id, octet_length(x.content) as bytes,
        sum(octet_length(x.content)) over (order by x.id) - octet_length(x.content) as before
      from swarm.stage_artifacts x join swarm.stage_history h on h.id = x.stage_history_id
      where h.repo_id = p_repo and h.bead_id = v_bead and (not a ? 'artifact_id' or x.id = (a ->> 'artifact_id')::bigint)
        and (not a ? 'stage' or h.stage = a ->> 'stage') and (not a ? 'artifact_type' or x.artifact_type = a ->> 'artifact_type')
        and (not a ? 'after' or x.id > (a ->> 'after')::bigint)
      order by x.id limit (a ->> 'limit')::integer + 1) f;
  if a ? 'artifact_id' and v_rows = '[]' then
    return swarm.refused('NOTFOUND', format('bead %s has no artifact %s', v_bead, a ->> 'artifact_id'), null,
      jsonb_build_object('field', 'artifact_id', 'got', a -> 'artifact_id'), jsonb_build_object('cmd', 'artifacts', 'bead_id', v_bead));
  end if;
  return jsonb_build_object('rows', v_rows);
end $$;

-- Who holds what, and what is needed to go on with it after a crash.
create or replace function swarm.resume_json(p_repo text, a jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_agent  integer := (a ->> 'agent_id')::integer;
begin
  if v_agent is not null and not exists (select from swarm.agent_state where repo_id = p_repo and agent_id = v_agent) then
    return swarm.unknown_agent(p_repo, v_agent);
  end if;
  return jsonb_build_object('rows', coalesce((select jsonb_agg(swarm.claim_row_json(c) || jsonb_strip_nulls(jsonb_build_object(
        'title', b.title, 'stage', b.stage, 'attempt', b.attempt, 'feedback', swarm.cut(b.feedback, 1000),
        'last_attempt', (select swarm.attempt_json(h, 200) - 'bead_id' - 'feedback' from swarm.stage_history h
          where h.repo_id = p_repo and h.bead_id = c.bead_id and h.status <> 'started' order by h.id desc limit 1),
        'unread', (select count(*) from swarm.agent_messages m
          where m.to_repo_id = p_repo and m.to_agent_id = c.claimed_by and not m.read))) order by c.bead_id)
      from (select * from swarm.bead_claims x where x.repo_id = p_repo and x.status = 'in_progress'
          and (v_agent is null or x.claimed_by = v_agent) and (not a ? 'after' or x.bead_id > a ->> 'after')
        order by x.bead_id limit (a ->> 'limit')::integer + 1) c
      join swarm.bead_backlog b on b.repo_id = p_repo and b.bead_id = c.bead_id), '[]'));
end $$;

-- Everything a fresh process needs to go on with a bead. Texts are bounded: what is longer is read with artifacts or history.
create or replace function swarm.resume_context_json(p_repo text, p_bead text) returns jsonb language plpgsql volatile as $$
declare
  v_show  jsonb := swarm.show_bead(p_repo, p_bead);
begin
  if v_show ? 'refused' then
    return swarm.unknown_bead(p_repo, p_bead);
  end if;
  return (v_show - 'attempts' - 'artifacts') || jsonb_build_object(
    'attempts', coalesce((select jsonb_agg(swarm.attempt_json(h, 2000) - 'bead_id' order by h.id) from (
        select * from swarm.stage_history x where x.repo_id = p_repo and x.bead_id = p_bead order by x.id desc limit 20) h), '[]'),
    'artifacts', coalesce((select jsonb_agg(jsonb_build_object('artifact_id', f.id, 'stage', f.stage, 'attempt', f.attempt_number,
          'artifact_type', f.artifact_type, 'trust', f.trust, 'bytes', octet_length(f.content), 'content', swarm.cut(f.content, 2000)) order by f.id)
      from (select x.*, h.stage, h.attempt_number from swarm.stage_artifacts x join swarm.stage_history h on h.id = x.stage_history_id
        where h.repo_id = p_repo and h.bead_id = p_bead order by x.id desc limit 20) f), '[]'),
    'messages', coalesce((select jsonb_agg(swarm.message_json(m, 1000) - 'delivered_at' - 'read_at' - 'acked_at' order by m.id) from (
        select * from swarm.agent_messages x where x.to_repo_id = p_repo and x.bead_id = p_bead order by x.id desc limit 20) m), '[]'),
    'events', coalesce((select jsonb_agg(swarm.event_json(e) - 'entity_id' - 'bead_id' - 'payload_version' order by e.seq) from (
        select * from swarm.execution_events x where x.repo_id = p_repo and x.bead_id = p_bead order by x.seq desc limit 20) e), '[]'));
end $$;

-- What an agent has sent, latest first, with whether it was delivered, read and acted on; broadcasts with who has seen them.
create or replace function swarm.outbox_json(p_repo text, a jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_agent  integer := (a ->> 'agent_id')::integer;
  v_limit  integer := (a ->> 'limit')::integer;
  v_max    integer := case when (a ->> 'full')::boolean then 262144 else 100 end;
begin
  if not exists (select from swarm.agent_state where repo_id = p_repo and agent_id = v_agent) then
    return swarm.unknown_agent(p_repo, v_agent);
  end if;
  return jsonb_build_object(
    'rows', coalesce((select jsonb_agg(swarm.message_json(m, v_max) - 'from' order by m.id desc) from (
        select * from swarm.agent_messages x where x.from_repo_id = p_repo and x.from_agent_id = v_agent
          and (not a ? 'after' or x.id < (a ->> 'after')::bigint) order by x.id desc limit v_limit + 1) m), '[]'),
    'broadcasts', case when a ? 'after' then '[]'::jsonb else coalesce((select jsonb_agg(jsonb_build_object('broadcast_id', l.id,
          'msg', swarm.cut(l.msg, v_max), 'at', swarm.iso(l.created_at), 'seen_by', (select coalesce(jsonb_agg(r.agent_id order by r.agent_id), '[]')
            from swarm.broadcast_receipts r where r.broadcast_id = l.id)) order by l.id desc) from (
        select * from swarm.broadcast_log x where x.repo_id = p_repo and x.from_agent = v_agent::text order by x.id desc limit v_limit) l), '[]') end);
end $$;
