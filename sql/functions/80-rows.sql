-- Rows as answers show them.

-- One bead as people see it: without its text in lists, with it when asked for.
create or replace function swarm.bead_json(b swarm.bead_backlog, p_full boolean) returns jsonb language sql stable
begin atomic
  select jsonb_strip_nulls(jsonb_build_object('bead_id', b.bead_id, 'title', b.title, 'status', b.status, 'priority', b.priority,
      'stage', b.stage, 'attempt', b.attempt, 'open_blockers', b.open_blockers, 'bead_type', b.bead_type, 'labels', to_jsonb(b.labels),
      'not_for', case when b.status = 'pending' then nullif(b.not_for, 0) end))
    || case when not p_full then '{}'::jsonb else jsonb_strip_nulls(jsonb_build_object('description', b.description, 'workflow', b.workflow,
      'retry_count', b.retry_count, 'feedback', b.feedback, 'fence', b.fence, 'verification_status', b.verification_status,
      'commit_hash', b.commit_hash, 'pr_url', b.pr_url, 'created_at', swarm.iso(b.created_at), 'updated_at', swarm.iso(b.updated_at),
      'finished_at', swarm.iso(b.finished_at))) || jsonb_build_object('metadata', b.metadata) end;
end;

create or replace function swarm.claim_row_json(c swarm.bead_claims) returns jsonb language sql volatile
begin atomic
  select jsonb_build_object('bead_id', c.bead_id, 'agent_id', c.claimed_by, 'fence', c.fence, 'claimed_at', swarm.iso(c.claimed_at),
    'heartbeat_at', swarm.iso(c.heartbeat_at), 'lease_expires_at', swarm.iso(c.lease_expires_at),
    'remaining_ms', greatest(0, ceil(extract(epoch from c.lease_expires_at - clock_timestamp()) * 1000))::bigint);
end;

create or replace function swarm.show_bead(p_repo text, p_bead text) returns jsonb language plpgsql volatile as $$
declare
  b  swarm.bead_backlog;
begin
  select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = p_bead;
  if not found then
    return swarm.unknown_bead(p_repo, p_bead);
  end if;
  return jsonb_build_object(
    'bead', swarm.bead_json(b, true),
    'claim', (select swarm.claim_row_json(c) from swarm.bead_claims c where c.repo_id = p_repo and c.bead_id = p_bead and c.status = 'in_progress'),
    'blockers', coalesce((select jsonb_agg(jsonb_strip_nulls(jsonb_build_object('bead_id', l.other_id, 'kind', l.kind, 'status', o.status,
          'open', swarm.blocking(l.kind) and coalesce(swarm.is_open(o.status), false))) order by l.other_id)
        from swarm.bead_links l left join swarm.bead_backlog o on o.repo_id = l.repo_id and o.bead_id = l.other_id
        where l.repo_id = p_repo and l.bead_id = p_bead), '[]'),
    'attempts', coalesce((select jsonb_agg(jsonb_strip_nulls(jsonb_build_object('stage', h.stage, 'attempt', h.attempt_number, 'agent_id', h.agent_id,
          'status', h.status, 'result', h.result, 'feedback', h.feedback, 'started_at', swarm.iso(h.started_at), 'duration_ms', h.duration_ms)) order by h.id)
        from swarm.stage_history h where h.repo_id = p_repo and h.bead_id = p_bead), '[]'),
    'artifacts', coalesce((select jsonb_agg(jsonb_build_object('artifact_id', a.id, 'stage', h.stage, 'attempt', h.attempt_number,
          'artifact_type', a.artifact_type, 'trust', a.trust, 'bytes', octet_length(a.content)) order by a.id)
        from swarm.stage_artifacts a join swarm.stage_history h on h.id = a.stage_history_id
        where h.repo_id = p_repo and h.bead_id = p_bead), '[]'));
end $$;

create or replace function swarm.agent_json(s swarm.agent_state, p_full boolean) returns jsonb language sql stable
begin atomic
  select jsonb_strip_nulls(jsonb_build_object('agent_id', s.agent_id, 'name', s.name, 'role', s.role, 'status', swarm.agent_status(s),
      'bead_id', s.bead_id, 'stage', s.current_stage, 'last_update', swarm.iso(s.last_update)))
    || case when not p_full then '{}'::jsonb else jsonb_strip_nulls(jsonb_build_object('host', s.host, 'feedback', s.feedback,
      'stage_started_at', swarm.iso(s.stage_started_at), 'implementation_attempt', s.implementation_attempt,
      'created_at', swarm.iso(s.created_at), 'unread', (select count(*) from swarm.agent_messages m
        where m.to_repo_id = s.repo_id and m.to_agent_id = s.agent_id and not m.read))) end;
end;

create or replace function swarm.lock_json(l swarm.resource_locks) returns jsonb language sql volatile
begin atomic
  select jsonb_build_object('resource', l.resource, 'agent', l.agent, 'mode', l.mode, 'fence', l.fence, 'since', swarm.iso(l.since),
    'until_at', swarm.iso(l.until_at), 'remaining_ms', greatest(0, ceil(extract(epoch from l.until_at - clock_timestamp()) * 1000))::bigint);
end;

-- Text as a list shows it: its beginning.
create or replace function swarm.cut(p_text text, p_max integer) returns text language sql immutable parallel safe
return case when length(p_text) > p_max then left(p_text, p_max - 1) || '…' else p_text end;

create or replace function swarm.attempt_json(h swarm.stage_history, p_max integer) returns jsonb language sql volatile
begin atomic
  select jsonb_strip_nulls(jsonb_build_object('bead_id', h.bead_id, 'stage', h.stage, 'attempt', h.attempt_number,
    'agent_id', h.agent_id, 'status', h.status, 'result', h.result, 'feedback', swarm.cut(h.feedback, p_max),
    'started_at', swarm.iso(h.started_at), 'duration_ms', coalesce(h.duration_ms,
      greatest(0, floor(extract(epoch from clock_timestamp() - h.started_at) * 1000))::bigint)));
end;

create or replace function swarm.message_json(m swarm.agent_messages, p_max integer) returns jsonb language sql stable as $$
  select jsonb_strip_nulls(jsonb_build_object('message_id', m.id, 'from', m.from_agent_id, 'to', m.to_agent_id,
      'message_type', m.message_type, 'subject', nullif(m.subject, ''), 'bead_id', m.bead_id, 'body', swarm.cut(m.body, p_max),
      'at', swarm.iso(m.created_at), 'state', case when r.acked_at is not null then 'acked' when r.read_at is not null then 'read'
        when r.delivered_at is not null then 'delivered' else 'queued' end,
      'delivered_at', swarm.iso(r.delivered_at), 'read_at', swarm.iso(r.read_at), 'acked_at', swarm.iso(r.acked_at)))
    || swarm.message_extras(m)
    from (select) x left join swarm.message_receipts r on r.message_id = m.id and r.agent_id = m.to_agent_id
$$;
