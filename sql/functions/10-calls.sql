-- One call per command.

create or replace function swarm.event_json(e swarm.execution_events) returns jsonb language sql stable
begin atomic
  select jsonb_strip_nulls(jsonb_build_object(
      'sequence', e.seq, 'payload_version', e.schema_version, 'timestamp', swarm.iso(e.created_at),
      'event_type', e.event_type, 'entity_id', e.entity_id, 'bead_id', e.bead_id, 'agent_id', e.agent_id,
      'stage', e.stage, 'causation_id', e.causation_id, 'run_id', e.run_id, 'session_id', e.session_id, 'origin', e.origin, 'principal', e.principal,
      'diagnostics', case when e.diagnostics_category is not null then jsonb_build_object(
        'category', e.diagnostics_category, 'retryable', e.diagnostics_retryable,
        'next_command', e.diagnostics_next_command, 'detail', e.diagnostics_detail) end))
    || jsonb_build_object('payload', e.payload);
end;

-- swarm.run takes the operation key, calls swarm.do_<verb>(repo, args, proc), keeps the reply under the key and writes the audit row,
-- all in one transaction. `args` is what the client asked for and part of the operation's identity; `proc` is what the
-- process added (its holder id, its own fence) and is not. A function answers {"d": {...}}, or {"refused": {...}}
-- decided before its first write. An answer that says that nothing happened is "transient": its key stays free, so
-- that a waiting request can ask again under the same key.

create or replace function swarm.refused(
  code text, msg text, area text default null, ctx jsonb default '{}', fix jsonb default null, needs jsonb default null
) returns jsonb language sql immutable
begin atomic
  select jsonb_build_object('refused', jsonb_strip_nulls(
    jsonb_build_object('code', code, 'area', area, 'msg', msg, 'fix', fix, 'needs', needs)) || jsonb_build_object('ctx', ctx));
end;

-- Large texts are not kept twice: an audit row of more than 4 kB keeps the names and sizes of its fields. Nor is a token, wherever it stands.
create or replace function swarm.audit_args(args jsonb) returns jsonb language plpgsql stable as $$
begin
  if pg_column_size(args) > 4096 then
    args := (select jsonb_object_agg(key, case when pg_column_size(value) <= 256 then value
                                               else to_jsonb(pg_column_size(value) || ' bytes') end) from jsonb_each(args));
  end if;
  if strpos(args::text, 'swarm_') > 0 then
    return regexp_replace(args::text, 'swarm_[A-Za-z0-9_-]{43}', 'swarm_***', 'g')::jsonb;
  end if;
  return args;
end $$;

-- The operation key as it is stored. Two senders may use the same one: a key belongs to the token that sent it (`principal`), else to the
-- agent that the request speaks for, else to the agent of the process (`caller`). Another process of the same agent has the same keys.
create or replace function swarm.own_key(p_args jsonb, p_proc jsonb, p_key text) returns text language sql immutable parallel safe
begin atomic
  select coalesce(p_proc ->> 'principal',
    'agent:' || coalesce(p_args ->> 'agent_id', replace(coalesce(p_args ->> 'from', p_args ->> 'agent'), E'\n', ' '), p_proc ->> 'caller'),
    '') || E'\n' || p_key;
end;

create or replace function swarm.run(
  p_repo text, p_cmd text, p_args jsonb, p_proc jsonb, p_key text, p_rid text default null
) returns jsonb language plpgsql volatile as $$
declare
  v_start  timestamptz := clock_timestamp();
  v_key    text := swarm.own_key(p_args, p_proc, p_key);
  v_reply  jsonb;
  v_text   text;
begin
  -- assignments, since PERFORM would start and end a query
  v_text := set_config('lock_timeout', '10s', true);
  v_text := swarm.lock_key(p_repo, v_key);
  -- the short ways look for the key themselves
  if p_cmd = 'claim-next' then
    v_reply := swarm.claim_ready(p_repo, p_args, p_proc, v_key);
  elsif p_cmd = 'complete-stage' then
    v_reply := swarm.pass_last(p_repo, p_args, p_proc, v_key);
  end if;
  if v_reply is null then
    v_reply := swarm.look_up(p_repo, p_cmd, p_args, v_key);
    if v_reply is not null then
      return v_reply;
    end if;
    v_reply := swarm.carry_out(p_repo, p_cmd, p_args, p_proc);
    if v_reply ? 'transient' then
      return v_reply;
    end if;
  end if;
  -- a refusal keeps no key, and a self-check that removes itself leaves none
  v_text := p_args::text;
  insert into swarm.operations (repo_id, key, cmd, body_hash, reply)
    select p_repo, v_key, p_cmd, md5(p_cmd || v_text), v_reply where not v_reply ? 'refused' and p_cmd <> 'forget-smoke';
  insert into swarm.command_audit (repo_id, agent_id, cmd, rid, args, ok, ms, error_code, principal)
    values (p_repo, (p_args ->> 'agent_id')::integer, p_cmd, p_rid,
      case when pg_column_size(p_args) > 4096 or strpos(v_text, 'swarm_') > 0 then swarm.audit_args(p_args) else p_args end,
      not v_reply ? 'refused', swarm.ms_since(v_start), v_reply #>> '{refused,code}', p_proc ->> 'principal');
  if random() < 0.002 then
    perform swarm.forget_operations();
  end if;
  return v_reply;
end $$;

create or replace function swarm.ms_since(t timestamptz) returns double precision language sql volatile
return greatest(0, date_part('epoch', clock_timestamp() - t) * 1000);

-- The same, then a wake-up for those who wait, in a transaction of its own and in the same round trip. Nobody is woken when nothing
-- has happened: those who wait ask again and again. Not within a transaction.
create or replace procedure swarm.run_and_wake(
  p_repo text, p_cmd text, p_args jsonb, p_proc jsonb, p_key text, p_rid text, inout r jsonb
) language plpgsql as $$
begin
  r := swarm.run(p_repo, p_cmd, p_args, p_proc, p_key, p_rid);
  -- what commits can have no search_path of its own
  if not r operator(pg_catalog.?|) array['refused', 'transient', 'replayed'] then
    commit;
    perform pg_catalog.pg_notify('swarm', p_repo);
  end if;
end $$;

-- The lock of an operation key: whoever comes with it waits here for the transaction that has it.
create or replace function swarm.lock_key(p_repo text, p_key text) returns void language sql volatile
return pg_advisory_xact_lock(hashtextextended(p_key, hashtext(p_repo)));

-- Null when the key is new; else the reply of its first send. Asked for after the key's lock, in a statement of its own, which sees what the
-- one that had the lock before has written.
create or replace function swarm.look_up(p_repo text, p_cmd text, p_args jsonb, p_key text) returns jsonb language plpgsql volatile as $$
declare
  v_prior  swarm.operations;
begin
  select * into v_prior from swarm.operations where repo_id = p_repo and key = p_key;
  if found then
    return swarm.replay(v_prior, md5(p_cmd || p_args::text));
  end if;
  return null;
end $$;

-- What comes after the key: the verb's own function.
create or replace function swarm.carry_out(p_repo text, p_cmd text, p_args jsonb, p_proc jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_reply  jsonb;
begin
  -- the busiest verbs are named here: a statement made of text is planned at every call
  case p_cmd
    when 'record-event' then v_reply := swarm.do_record_event(p_repo, p_args, p_proc);
    when 'claim-next' then v_reply := swarm.do_claim_next(p_repo, p_args, p_proc);
    when 'complete-stage' then v_reply := swarm.do_complete_stage(p_repo, p_args, p_proc);
    else execute format('select swarm.%I($1, $2, $3)', 'do_' || replace(p_cmd, '-', '_')) into v_reply using p_repo, p_args, p_proc;
  end case;
  if p_cmd = any('{claim-next,complete-stage,heartbeat,release}') and v_reply ? 'd' then
    v_reply := swarm.with_unread(p_repo, (p_args ->> 'agent_id')::integer, v_reply);
  end if;
  return v_reply;
end $$;

create or replace function swarm.replay(p_prior swarm.operations, p_hash text) returns jsonb language plpgsql stable as $$
declare
  v_key  text := substr(p_prior.key, strpos(p_prior.key, E'\n') + 1);
begin
  if p_prior.body_hash <> p_hash then
    return swarm.refused('CONFLICT', format('the key %s was used for another request (%s)', v_key, p_prior.cmd), 'request',
      jsonb_build_object('field', 'idem', 'idem', v_key, 'cmd', p_prior.cmd, 'used_at', swarm.iso(p_prior.created_at)));
  end if;
  return p_prior.reply || jsonb_build_object('replayed', true);
end $$;

-- Operation keys are kept 24 hours unless configured otherwise. The time is asked for once, in a subquery: a volatile comparison would be a
-- filter over the whole table instead of a condition of its index.
create or replace function swarm.forget_operations() returns void language sql volatile as $$
  delete from swarm.operations where ctid = any (array(
    select ctid from swarm.operations
    where created_at < (select clock_timestamp() - make_interval(secs => coalesce(
      (select (config ->> 'operation_ttl_ms')::double precision / 1000 from swarm.swarm_config), 86400)))
    order by created_at limit 2000 for update skip locked))
$$;

create or replace function swarm.emit(
  p_repo text, p_type text, p_entity text, p_bead text, p_agent integer, p_stage text, p_payload jsonb
) returns void language plpgsql volatile as $$
begin
  insert into swarm.execution_events (event_type, entity_id, repo_id, bead_id, agent_id, stage, payload)
    values (p_type, p_entity, p_repo, p_bead, p_agent, p_stage, p_payload);
end $$;
