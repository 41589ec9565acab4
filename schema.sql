-- swarm: the whole database, readable top to bottom.
--
-- Idempotent: running it again changes nothing, running a newer one upgrades. Steps that change existing tables stand
-- at the end, numbered. Rules that must be atomic with the data (claiming, readiness, transitions) live here, once;
-- what is configuration (workflows, limits) is rows. Every function can be called from psql:
--
--   select swarm.run('my-repo', 'claim-next', '{"agent_id":1}', '{}', gen_random_uuid()::text, null);

-- Two processes that initialise at once would collide on the catalogues; the second waits, then finds all in place.
select pg_advisory_xact_lock(hashtext('swarm:schema'));

create schema if not exists swarm;


-- 1. Time and numbers ------------------------------------------------------------------------------------------------
-- clock_timestamp(), never now(): now() stands still at the start of the transaction and would order a claim before
-- the release that it waited for.

create or replace function swarm.iso(t timestamptz) returns text language sql immutable parallel safe as
$$ select to_char(t at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') $$;

create sequence if not exists swarm.event_seq cache 1;
create sequence if not exists swarm.lock_fence cache 1;
create sequence if not exists swarm.made_bead_ids cache 1;

-- The transaction's id is taken before the sequence number. Readers rely on it: whoever holds a smaller number than
-- one they can see had its transaction id before, so waiting for transaction ids to end settles the gaps.
create or replace function swarm.next_event_seq() returns bigint language sql volatile as
$$ select case when pg_current_xact_id() is not null then nextval('swarm.event_seq') end $$;


-- 2. Repos, agents, configuration ------------------------------------------------------------------------------------

create table if not exists swarm.repos (
  id          serial primary key,
  repo_id     text not null unique,
  name        text not null,
  path        text,
  created_at  timestamptz not null default clock_timestamp()
);

create table if not exists swarm.swarm_config (
  id                           boolean primary key default true check (id),
  max_agents                   integer not null default 12 check (max_agents >= 1),
  max_implementation_attempts  integer not null default 3 check (max_implementation_attempts >= 1),
  claim_label                  text not null default 'p0',
  swarm_started_at             timestamptz,
  swarm_status                 text not null default 'running'
                               check (swarm_status in ('initializing', 'running', 'paused', 'complete', 'error')),
  log_id                       text not null default substr(md5(gen_random_uuid()::text), 1, 8),
  log_floor                    bigint not null default 0 check (log_floor >= 0),
  schema_version               integer not null,
  config                       jsonb not null default '{}'
);

insert into swarm.swarm_config (schema_version, swarm_started_at) values (1, clock_timestamp()) on conflict do nothing;

create table if not exists swarm.workflows (
  repo_id  text not null,
  name     text not null,
  primary key (repo_id, name)
);

-- role: who may do the stage; null means anybody. gate: a command as an array of words, never a shell line.
-- on_pass and on_fail name a stage; null means the next one (after the last: done) and the stage itself.
create table if not exists swarm.workflow_stages (
  repo_id       text not null,
  name          text not null,
  stage         text not null check (stage <> 'done'),
  position      integer not null check (position >= 1),
  role          text[],
  gate          jsonb check (jsonb_typeof(gate) = 'array'),
  timeout_ms    integer not null default 3000 check (timeout_ms between 1 and 86400000),
  on_pass       text,
  on_fail       text,
  max_attempts  integer check (max_attempts >= 1),
  primary key (repo_id, name, stage),
  unique (repo_id, name, position),
  foreign key (repo_id, name) references swarm.workflows on delete cascade
);

create table if not exists swarm.agent_state (
  repo_id                 text not null,
  agent_id                integer not null check (agent_id >= 1),
  name                    text,
  role                    text,
  host                    text,
  bead_id                 text,
  current_stage           text,
  stage_started_at        timestamptz,
  status                  text not null default 'idle' check (status in ('idle', 'working', 'waiting', 'error', 'done')),
  last_update             timestamptz not null default clock_timestamp(),
  implementation_attempt  integer not null default 0 check (implementation_attempt >= 0),
  feedback                text,
  created_at              timestamptz not null default clock_timestamp(),
  primary key (repo_id, agent_id),
  unique (repo_id, name)
) with (fillfactor = 70);


-- 3. Beads and who holds them ----------------------------------------------------------------------------------------
-- A bead carries the number of its open blockers, so that readiness costs nothing to ask. The two partial indexes hold
-- ready beads only and match the ORDER BY of a claim exactly, so that a claim costs the same at any backlog size.

create table if not exists swarm.bead_backlog (
  id                   bigint generated always as identity primary key,
  repo_id              text not null,
  bead_id              text not null check (bead_id <> ''),
  title                text not null default '',
  description          text not null default '',
  priority             text collate "C" not null default 'p2' check (priority in ('p0', 'p1', 'p2', 'p3', 'p4')),
  status               text not null default 'pending' check (status in
                       ('pending', 'in_progress', 'completed', 'blocked', 'failed', 'deferred', 'cancelled')),
  bead_type            text not null default 'task',
  labels               text[] not null default '{}',
  category             text,
  lane                 text,
  metadata             jsonb not null default '{}',
  workflow             text not null default 'default',
  stage                text not null,
  attempt              integer not null default 1 check (attempt >= 1),
  retry_count          integer not null default 0 check (retry_count >= 0),
  feedback             text,
  open_blockers        integer not null default 0 check (open_blockers >= 0),
  fence                bigint not null default 0 check (fence >= 0),
  attempts_from        bigint not null default 0,
  verification_status  text not null default 'unverified' check (verification_status in ('unverified', 'claimed', 'verified')),
  workspace            text,
  commit_hash          text,
  pr_url               text,
  run_id               text,
  wave                 integer,
  created_at           timestamptz not null default clock_timestamp(),
  updated_at           timestamptz not null default clock_timestamp(),
  finished_at          timestamptz,
  unique (repo_id, bead_id)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

create index if not exists bead_ready on swarm.bead_backlog (repo_id, priority, created_at, id)
  where status = 'pending' and open_blockers = 0;
create index if not exists bead_ready_by_stage on swarm.bead_backlog (repo_id, workflow, stage, priority, created_at, id)
  where status = 'pending' and open_blockers = 0;
create index if not exists bead_by_status on swarm.bead_backlog (repo_id, status);

-- bead_id waits for other_id when the kind is `blocks` (a dependency) or `parent-child` (the parent waits for its
-- child). Other kinds are kept as links. No foreign key: a link may point to a bead that is imported later.
create table if not exists swarm.bead_links (
  repo_id   text not null,
  bead_id   text not null,
  other_id  text not null,
  kind      text not null check (kind = replace(kind, '_', '-')),
  primary key (repo_id, bead_id, other_id, kind)
);
create index if not exists bead_links_other on swarm.bead_links (repo_id, other_id);

create table if not exists swarm.bead_claims (
  repo_id           text not null,
  bead_id           text not null,
  claimed_by        integer not null check (claimed_by >= 1),
  claimed_at        timestamptz not null,
  heartbeat_at      timestamptz not null,
  lease_expires_at  timestamptz not null,
  status            text not null default 'in_progress' check (status in ('in_progress', 'completed', 'blocked')),
  session           text,
  fence             bigint not null check (fence >= 1),
  lease_ms          integer not null check (lease_ms >= 1),
  primary key (repo_id, bead_id)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

create unique index if not exists one_bead_per_agent on swarm.bead_claims (repo_id, claimed_by) where status = 'in_progress';
create index if not exists claims_by_lease on swarm.bead_claims (repo_id, lease_expires_at) where status = 'in_progress';


-- 4. What was tried --------------------------------------------------------------------------------------------------
-- Append-only tables have no foreign keys: the key-share lock of a foreign key would make SKIP LOCKED skip a ready bead.

create table if not exists swarm.stage_history (
  id              bigserial primary key,
  repo_id         text not null,
  agent_id        integer not null,
  bead_id         text not null,
  stage           text not null,
  attempt_number  integer not null check (attempt_number >= 1),
  status          text not null check (status in ('started', 'passed', 'failed', 'error')),
  result          text,
  feedback        text,
  transcript      text,
  fence           bigint not null,
  session_id      text,
  started_at      timestamptz not null,
  completed_at    timestamptz,
  duration_ms     bigint check (duration_ms >= 0)
);
create index if not exists stage_history_bead on swarm.stage_history (repo_id, bead_id, id);

create table if not exists swarm.stage_artifacts (
  id                bigserial primary key,
  repo_id           text not null,
  stage_history_id  bigint not null,
  artifact_type     text not null check (artifact_type in (
    'contract_document', 'requirements', 'system_context', 'invariants', 'data_flow', 'implementation_plan',
    'acceptance_criteria', 'error_handling', 'test_scenarios', 'validation_gates', 'success_metrics',
    'implementation_code', 'modified_files', 'implementation_notes', 'test_output', 'test_results', 'coverage_report',
    'validation_report', 'failure_details', 'adversarial_report', 'regression_report', 'quality_gate_report',
    'stage_log', 'retry_packet', 'skill_invocation', 'error_message', 'feedback')),
  content           text not null,
  content_hash      text not null,
  metadata          jsonb not null default '{}',
  trust             text not null default 'claimed' check (trust in ('claimed', 'verified')),
  created_at        timestamptz not null default clock_timestamp(),
  unique (stage_history_id, artifact_type, content_hash, trust)
);

create table if not exists swarm.agent_run_logs (
  id           bigserial primary key,
  repo_id      text not null,
  agent_id     integer not null,
  bead_id      text,
  stage        text,
  session_id   text,
  iteration    integer,
  log_content  text not null,
  created_at   timestamptz not null default clock_timestamp()
);


-- 5. What was said ---------------------------------------------------------------------------------------------------
-- Messages and broadcasts take their place in the stream from the event that they append: column seq.

create table if not exists swarm.agent_messages (
  id             bigserial primary key,
  from_repo_id   text not null,
  from_agent_id  integer not null check (from_agent_id >= 1),
  to_repo_id     text not null,
  to_agent_id    integer not null check (to_agent_id >= 1),
  bead_id        text,
  message_type   text not null check (message_type in (
    'contract_ready', 'implementation_ready', 'qa_complete', 'qa_failed', 'red_queen_failed', 'implementation_retry',
    'artifact_available', 'stage_complete', 'stage_failed', 'blocking_issue', 'coordination')),
  subject        text not null default '',
  body           text not null,
  metadata       jsonb not null default '{}',
  thread_id      bigint,
  reply_to       bigint,
  importance     text not null default 'normal' check (importance in ('low', 'normal', 'high', 'urgent')),
  ack_required   boolean not null default false,
  deadline_at    timestamptz,
  overdue_at     timestamptz,
  seq            bigint not null,
  read           boolean not null default false,
  read_at        timestamptz,
  created_at     timestamptz not null default clock_timestamp()
);
create index if not exists messages_to on swarm.agent_messages (to_repo_id, to_agent_id, id);
create index if not exists messages_unread on swarm.agent_messages (to_repo_id, to_agent_id, id) where not read;
create index if not exists messages_from on swarm.agent_messages (from_repo_id, from_agent_id, id);
create index if not exists messages_by_bead on swarm.agent_messages (to_repo_id, bead_id, id) where bead_id is not null;
create index if not exists messages_due on swarm.agent_messages (to_repo_id, deadline_at) where deadline_at is not null and overdue_at is null;
create index if not exists messages_by_thread on swarm.agent_messages (to_repo_id, thread_id, id) where thread_id is not null;

create table if not exists swarm.message_receipts (
  message_id    bigint not null,
  agent_id      integer not null,
  delivered_at  timestamptz,
  read_at       timestamptz,
  acked_at      timestamptz,
  primary key (message_id, agent_id)
);

create table if not exists swarm.broadcast_log (
  id          bigserial primary key,
  repo_id     text not null,
  from_agent  text not null,
  msg         text not null,
  seq         bigint not null,
  created_at  timestamptz not null default clock_timestamp()
);
create index if not exists broadcasts_by_repo on swarm.broadcast_log (repo_id, id);

create table if not exists swarm.broadcast_receipts (
  broadcast_id  bigint not null,
  agent_id      integer not null,
  seen_at       timestamptz not null,
  primary key (broadcast_id, agent_id)
);

create table if not exists swarm.resource_locks (
  repo_id   text not null,
  resource  text not null check (resource <> ''),
  agent     text not null check (agent <> ''),
  mode      text not null default 'exclusive' check (mode in ('exclusive', 'shared')),
  fence     bigint not null,
  since     timestamptz not null,
  until_at  timestamptz not null,
  primary key (repo_id, resource, agent)
);


-- 6. What happened ---------------------------------------------------------------------------------------------------

create table if not exists swarm.execution_events (
  seq                       bigint primary key default swarm.next_event_seq(),
  schema_version            integer not null default 1 check (schema_version >= 1),
  event_type                text not null,
  entity_id                 text not null,
  repo_id                   text not null,
  bead_id                   text,
  agent_id                  integer,
  stage                     text,
  causation_id              text,
  run_id                    text,
  session_id                text,
  diagnostics_category      text,
  diagnostics_retryable     boolean,
  diagnostics_next_command  text,
  diagnostics_detail        text,
  payload                   jsonb not null default '{}',
  created_at                timestamptz not null default clock_timestamp()
);
create index if not exists events_by_repo on swarm.execution_events (repo_id, seq);
create index if not exists events_by_bead on swarm.execution_events (repo_id, bead_id, seq) where bead_id is not null;

create table if not exists swarm.command_audit (
  seq         bigserial primary key,
  t           timestamptz not null default clock_timestamp(),
  repo_id     text not null,
  agent_id    integer,
  cmd         text not null,
  rid         text,
  args        jsonb not null,
  ok          boolean not null,
  ms          double precision not null check (ms >= 0),
  error_code  text,
  changes     jsonb
);

-- Every write carries a key, inserted before anything else, with the reply beside it. Sent again under the same key, a
-- write waits here for the first one to end, then gets its reply: that settles an outcome lost with a connection.
create table if not exists swarm.operations (
  repo_id     text not null,
  key         text not null,
  cmd         text not null,
  body_hash   text not null,
  reply       jsonb,
  created_at  timestamptz not null default clock_timestamp(),
  primary key (repo_id, key)
) with (fillfactor = 60);
create index if not exists operations_by_age on swarm.operations (created_at);

create or replace function swarm.event_json(e swarm.execution_events) returns jsonb language sql stable as $$
  select jsonb_strip_nulls(jsonb_build_object(
      'sequence', e.seq, 'payload_version', e.schema_version, 'timestamp', swarm.iso(e.created_at),
      'event_type', e.event_type, 'entity_id', e.entity_id, 'bead_id', e.bead_id, 'agent_id', e.agent_id,
      'stage', e.stage, 'causation_id', e.causation_id, 'run_id', e.run_id, 'session_id', e.session_id,
      'diagnostics', case when e.diagnostics_category is not null then jsonb_build_object(
        'category', e.diagnostics_category, 'retryable', e.diagnostics_retryable,
        'next_command', e.diagnostics_next_command, 'detail', e.diagnostics_detail) end))
    || jsonb_build_object('payload', e.payload)
$$;


-- 7. One call per command --------------------------------------------------------------------------------------------
-- swarm.run takes the operation key, calls swarm.do_<verb>(repo, args, proc), keeps the reply and writes the audit row,
-- all in one transaction. `args` is what the client asked for and part of the operation's identity; `proc` is what the
-- process added (its session, its own fence) and is not. A function answers {"d": {...}}, or {"refused": {...}}
-- decided before its first write. An answer that says that nothing happened is "transient": its key stays free, so
-- that a waiting request can ask again under the same key.

create or replace function swarm.refused(
  code text, msg text, area text default null, ctx jsonb default '{}', fix jsonb default null, needs jsonb default null
) returns jsonb language sql immutable as $$
  select jsonb_build_object('refused', jsonb_strip_nulls(
    jsonb_build_object('code', code, 'area', area, 'msg', msg, 'fix', fix, 'needs', needs)) || jsonb_build_object('ctx', ctx))
$$;

-- Large texts are not kept twice: an audit row of more than 4 kB keeps the names and sizes of its fields.
create or replace function swarm.audit_args(args jsonb) returns jsonb language plpgsql stable as $$
begin
  if pg_column_size(args) <= 4096 then
    return args;
  end if;
  return (select jsonb_object_agg(key, case when pg_column_size(value) <= 256 then value
                                            else to_jsonb(pg_column_size(value) || ' bytes') end) from jsonb_each(args));
end $$;

create or replace function swarm.run(
  p_repo text, p_cmd text, p_args jsonb, p_proc jsonb, p_key text, p_rid text default null
) returns jsonb language plpgsql volatile as $$
declare
  v_start  timestamptz := clock_timestamp();
  v_reply  jsonb;
begin
  perform set_config('lock_timeout', '10s', true);
  v_reply := swarm.take_key(p_repo, p_cmd, p_args, p_key);
  if v_reply is not null then
    return v_reply;
  end if;
  return swarm.carry_out(p_repo, p_cmd, p_args, p_proc, p_key, p_rid, v_start);
end $$;

-- The same, then a wake-up for those who wait, in a transaction of its own and in the same round trip. Nobody is woken when nothing
-- has happened: those who wait ask again and again. Not within a transaction.
create or replace procedure swarm.run_and_wake(
  p_repo text, p_cmd text, p_args jsonb, p_proc jsonb, p_key text, p_rid text, inout r jsonb
) language plpgsql as $$
begin
  r := swarm.run(p_repo, p_cmd, p_args, p_proc, p_key, p_rid);
  if not r ?| array['refused', 'transient', 'replayed'] then
    commit;
    perform pg_notify('swarm', p_repo);
  end if;
end $$;

-- Null when the key is new; else the reply of its first send, once that has ended.
create or replace function swarm.take_key(p_repo text, p_cmd text, p_args jsonb, p_key text) returns jsonb language plpgsql volatile as $$
declare
  v_hash   text := md5(p_cmd || p_args::text);
  v_prior  swarm.operations;
begin
  insert into swarm.operations (repo_id, key, cmd, body_hash) values (p_repo, p_key, p_cmd, v_hash) on conflict do nothing;
  if found then
    return null;
  end if;
  select * into v_prior from swarm.operations where repo_id = p_repo and key = p_key;
  return swarm.replay(v_prior, v_hash);
end $$;

-- What comes after the key: the verb's own function, its reply beside the key, the audit.
create or replace function swarm.carry_out(
  p_repo text, p_cmd text, p_args jsonb, p_proc jsonb, p_key text, p_rid text, p_start timestamptz
) returns jsonb language plpgsql volatile as $$
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
  if v_reply ? 'transient' then
    delete from swarm.operations where repo_id = p_repo and key = p_key;
    return v_reply;
  elsif v_reply ? 'refused' then
    delete from swarm.operations where repo_id = p_repo and key = p_key;
  else
    update swarm.operations set reply = v_reply where repo_id = p_repo and key = p_key;
  end if;
  insert into swarm.command_audit (repo_id, agent_id, cmd, rid, args, ok, ms, error_code)
    values (p_repo, (p_args ->> 'agent_id')::integer, p_cmd, p_rid, swarm.audit_args(p_args), not v_reply ? 'refused',
            extract(epoch from clock_timestamp() - p_start) * 1000, v_reply #>> '{refused,code}');
  if random() < 0.002 then
    perform swarm.forget_operations();
  end if;
  return v_reply;
end $$;

create or replace function swarm.replay(p_prior swarm.operations, p_hash text) returns jsonb language plpgsql stable as $$
begin
  if p_prior.key is null then
    return swarm.refused('CONFLICT', 'the first send of this key was refused while this one waited; send it again', 'claim');
  end if;
  if p_prior.body_hash <> p_hash then
    return swarm.refused('CONFLICT', format('the key %s was used for another request (%s)', p_prior.key, p_prior.cmd), 'claim',
      jsonb_build_object('field', 'idem', 'idem', p_prior.key, 'cmd', p_prior.cmd, 'used_at', swarm.iso(p_prior.created_at)));
  end if;
  return p_prior.reply || jsonb_build_object('replayed', true);
end $$;

-- Operation keys are kept 24 hours unless configured otherwise.
create or replace function swarm.forget_operations() returns void language sql volatile as $$
  delete from swarm.operations where (repo_id, key) in (
    select repo_id, key from swarm.operations
    where created_at < clock_timestamp() - make_interval(secs => coalesce(
      (select (config ->> 'operation_ttl_ms')::double precision / 1000 from swarm.swarm_config), 86400))
    order by created_at limit 2000 for update skip locked)
$$;

create or replace function swarm.emit(
  p_repo text, p_type text, p_entity text, p_bead text, p_agent integer, p_stage text, p_payload jsonb
) returns void language plpgsql volatile as $$
begin
  insert into swarm.execution_events (event_type, entity_id, repo_id, bead_id, agent_id, stage, payload)
    values (p_type, p_entity, p_repo, p_bead, p_agent, p_stage, p_payload);
end $$;

-- The default workflow. A failed check goes back to implement with feedback; three attempts, then the bead is blocked.
create or replace function swarm.ensure_repo(p_repo text, p_path text default null) returns void language plpgsql volatile as $$
begin
  if exists (select from swarm.repos where repo_id = p_repo and (p_path is null or path is not null)) then
    return;
  end if;
  insert into swarm.repos (repo_id, name, path) values (p_repo, p_repo, p_path)
    on conflict (repo_id) do update set path = coalesce(swarm.repos.path, excluded.path);
  insert into swarm.workflows (repo_id, name) values (p_repo, 'default') on conflict do nothing;
  if not found then
    return;
  end if;
  insert into swarm.workflow_stages (repo_id, name, stage, position, role, on_fail) values
    (p_repo, 'default', 'contract',  1, '{planner,test_writer}', null),
    (p_repo, 'default', 'implement', 2, '{implementer}', null),
    (p_repo, 'default', 'qa',        3, '{reviewer}', 'implement'),
    (p_repo, 'default', 'red-queen', 4, '{reviewer}', 'implement')
    on conflict do nothing;
end $$;

-- A root makes itself known: its path, and the workflows of its configuration ({name: {stages}}) as rows. Workflows that
-- the configuration does not name stay. A stage that an open bead is at cannot go. A repo belongs to one directory, unless
-- others join it; on the root's own embedded server (`cluster`) it belongs to wherever the directory is now.
create or replace function swarm.do_init_repo(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_repo       swarm.repos;
  v_path       text := a ->> 'path';
  v_name       text;
  v_stages     jsonb;
  v_old        jsonb;
  v_rows       jsonb := '{}';
  v_gone       text[];
  v_stuck      record;
  v_added      text[] := '{}';
  v_updated    text[] := '{}';
  v_unchanged  text[] := '{}';
begin
  perform swarm.lock_links(p_repo);
  select * into v_repo from swarm.repos where repo_id = p_repo;
  if v_repo.path <> v_path and not coalesce((a ->> 'join')::boolean, false) and current_setting('cluster_name') is distinct from a ->> 'cluster' then
    return swarm.refused('EXISTS', format('repo %s of this database belongs to %s; take another name, or share its backlog with join', p_repo, v_repo.path),
      null, jsonb_build_object('field', 'repo', 'got', p_repo, 'path', v_repo.path, 'here', v_path),
      jsonb_build_object('cmd', 'init', 'repo', left(p_repo, 119) || '-' || left(md5(v_path), 8)));
  end if;
  for v_name, v_stages in select key, value -> 'stages' from jsonb_each(coalesce(a -> 'workflows', '{}')) order by key loop
    select jsonb_agg(jsonb_build_object('stage', e ->> 'name', 'position', n, 'role', e -> 'roles', 'gate', e -> 'gate',
        'timeout_ms', coalesce(e -> 'timeout_ms', '3000'), 'on_pass', e -> 'on_pass', 'on_fail', e -> 'on_fail',
        'max_attempts', e -> 'max_attempts') order by n)
      into v_stages from jsonb_array_elements(v_stages) with ordinality x(e, n);
    select coalesce(jsonb_agg(jsonb_build_object('stage', stage, 'position', position, 'role', role, 'gate', gate,
        'timeout_ms', timeout_ms, 'on_pass', on_pass, 'on_fail', on_fail, 'max_attempts', max_attempts) order by position), '[]')
      into v_old from swarm.workflow_stages where repo_id = p_repo and name = v_name;
    if (select jsonb_agg(jsonb_strip_nulls(e)) from jsonb_array_elements(v_stages) e)
       is not distinct from (select jsonb_agg(jsonb_strip_nulls(e)) from jsonb_array_elements(v_old) e) then
      v_unchanged := v_unchanged || v_name;
      continue;
    end if;
    v_rows := v_rows || jsonb_build_object(v_name, v_stages);
    v_gone := array(select e ->> 'stage' from jsonb_array_elements(v_old) e
      except select e ->> 'stage' from jsonb_array_elements(v_stages) e);
    if v_gone <> '{}' then
      -- Whoever moves a bead has locked it before reading where to: nobody is on the way to a stage that goes.
      lock table swarm.bead_backlog in exclusive mode;
      select stage, count(*) as n, min(bead_id) as bead_id into v_stuck from swarm.bead_backlog
        where repo_id = p_repo and workflow = v_name and stage = any(v_gone) and swarm.is_open(status) group by stage order by stage limit 1;
      if found then
        return swarm.refused('CONFLICT', format('stage %s of workflow %s cannot go: %s open beads are at it, like %s', v_stuck.stage, v_name, v_stuck.n, v_stuck.bead_id),
          'stage', jsonb_build_object('field', format('workflows.%s.stages', v_name), 'stage', v_stuck.stage, 'bead_id', v_stuck.bead_id, 'beads', v_stuck.n),
          jsonb_build_object('cmd', 'show', 'bead_id', v_stuck.bead_id));
      end if;
    end if;
    if v_old = '[]' then
      v_added := v_added || v_name;
    else
      v_updated := v_updated || v_name;
    end if;
  end loop;

  if v_repo.id is null then
    perform swarm.ensure_repo(p_repo, v_path);
  elsif v_repo.path is distinct from v_path and v_path is not null and not coalesce((a ->> 'join')::boolean, false) then
    update swarm.repos set path = v_path where repo_id = p_repo;
  elsif v_rows = '{}' then
    return jsonb_build_object('transient', true, 'd', jsonb_build_object('repo', p_repo, 'changed', false,
      'workflows', jsonb_build_object('added', '[]'::jsonb, 'updated', '[]'::jsonb, 'unchanged', to_jsonb(v_unchanged))));
  end if;
  for v_name, v_stages in select key, value from jsonb_each(v_rows) loop
    insert into swarm.workflows (repo_id, name) values (p_repo, v_name) on conflict do nothing;
    delete from swarm.workflow_stages where repo_id = p_repo and name = v_name;
    insert into swarm.workflow_stages (repo_id, name, stage, position, role, gate, timeout_ms, on_pass, on_fail, max_attempts)
      select p_repo, v_name, e ->> 'stage', (e ->> 'position')::integer,
        case when jsonb_typeof(e -> 'role') = 'array' then swarm.texts(e -> 'role') end,
        case when jsonb_typeof(e -> 'gate') = 'array' then e -> 'gate' end, (e ->> 'timeout_ms')::integer,
        e ->> 'on_pass', e ->> 'on_fail', (e ->> 'max_attempts')::integer
      from jsonb_array_elements(v_stages) e;
  end loop;
  return jsonb_build_object('d', jsonb_build_object('repo', p_repo, 'changed', true, 'workflows',
    jsonb_build_object('added', to_jsonb(v_added), 'updated', to_jsonb(v_updated), 'unchanged', to_jsonb(v_unchanged))));
end $$;

-- After a failover or a restore the numbers of the log may be given out again: with a new name, old cursors are refused
-- instead of skipping what they never saw.
create or replace function swarm.do_new_log(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_id text;
begin
  update swarm.swarm_config set log_id = substr(md5(gen_random_uuid()::text), 1, 8) returning log_id into v_id;
  return jsonb_build_object('d', jsonb_build_object('log_id', v_id));
end $$;

create or replace function swarm.first_stage(p_repo text, p_workflow text) returns text language sql stable as $$
  select stage from swarm.workflow_stages where repo_id = p_repo and name = p_workflow order by position limit 1
$$;

create or replace function swarm.unknown_agent(p_repo text, p_agent integer) returns jsonb language sql stable as $$
  select swarm.refused('NOTFOUND', format('no agent %s in repo %s', p_agent, p_repo), null,
    jsonb_build_object('field', 'agent_id', 'got', p_agent),
    case when p_agent <= 100 then jsonb_build_object('cmd', 'register', 'count', p_agent)
         else jsonb_build_object('cmd', 'register') end)
$$;

-- The id that was probably meant: the same ignoring case, else one that contains it or is contained in it.
create or replace function swarm.unknown_bead(p_repo text, p_bead text, p_request jsonb default null) returns jsonb
language plpgsql stable as $$
declare
  v_near text;
begin
  select bead_id into v_near from swarm.bead_backlog
    where repo_id = p_repo and (lower(bead_id) = lower(btrim(p_bead)) or replace(lower(bead_id), '_', '-') = replace(lower(btrim(p_bead)), '_', '-'))
    order by bead_id limit 1;
  if v_near is null and length(p_bead) >= 3 then
    select bead_id into v_near from swarm.bead_backlog
      where repo_id = p_repo and (bead_id like p_bead || '%' or bead_id like '%' || p_bead or p_bead like bead_id || '%')
      order by length(bead_id), bead_id limit 1;
  end if;
  return swarm.refused('NOTFOUND', format('no bead %s in repo %s', p_bead, p_repo), null,
    jsonb_strip_nulls(jsonb_build_object('field', 'bead_id', 'got', p_bead, 'nearest', v_near)),
    case when v_near is not null and p_request is not null then p_request || jsonb_build_object('bead_id', v_near)
         else jsonb_build_object('cmd', 'beads') end);
end $$;


-- 8. Agents ----------------------------------------------------------------------------------------------------------

create or replace function swarm.do_register(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_ids   integer[] := '{}';
  v_id    integer;
  v_role  text := a ->> 'role';
  v_new   integer[] := '{}';
begin
  perform pg_advisory_xact_lock(hashtext('swarm:register:' || p_repo));
  perform swarm.ensure_repo(p_repo);
  if a ? 'count' then
    for v_id in 1 .. (a ->> 'count')::integer loop
      insert into swarm.agent_state (repo_id, agent_id, role, host) values (p_repo, v_id, v_role, p ->> 'host')
        on conflict (repo_id, agent_id) do nothing;
      if found then
        v_new := v_new || v_id;
      elsif v_role is not null then
        update swarm.agent_state set role = v_role where repo_id = p_repo and agent_id = v_id and role is distinct from v_role;
      end if;
      v_ids := v_ids || v_id;
    end loop;
  else
    select agent_id into v_id from swarm.agent_state where repo_id = p_repo and name = a ->> 'name';
    if v_id is null then
      select coalesce(max(agent_id), 0) + 1 into v_id from swarm.agent_state where repo_id = p_repo;
      insert into swarm.agent_state (repo_id, agent_id, name, role, host) values (p_repo, v_id, a ->> 'name', v_role, p ->> 'host');
      v_new := v_new || v_id;
    elsif v_role is not null then
      update swarm.agent_state set role = v_role where repo_id = p_repo and agent_id = v_id and role is distinct from v_role;
    end if;
    v_ids := v_ids || v_id;
  end if;
  foreach v_id in array v_new loop
    perform swarm.emit(p_repo, 'agent_registered', 'agent:' || v_id, null, v_id, null,
      jsonb_strip_nulls(jsonb_build_object('name', a ->> 'name', 'role', v_role)));
  end loop;
  return jsonb_build_object('d', jsonb_build_object('agent_ids', to_jsonb(v_ids)));
end $$;


-- 9. Readiness -------------------------------------------------------------------------------------------------------
-- open_blockers = number of distinct beads this one waits for that exist and are neither completed nor cancelled.
-- Whoever adds a link holds the repo's advisory lock and its blockers FOR SHARE; whoever finishes a bead locks the bead
-- first and reads its dependants in a later statement. So one of the two always sees the other.

create or replace function swarm.is_open(p_status text) returns boolean language sql immutable parallel safe as
$$ select p_status not in ('completed', 'cancelled') $$;

create or replace function swarm.blocking(p_kind text) returns boolean language sql immutable parallel safe as
$$ select p_kind in ('blocks', 'parent-child') $$;

create or replace function swarm.count_blockers(p_repo text, p_bead text) returns integer language sql stable as $$
  select count(distinct l.other_id)::integer
  from swarm.bead_links l join swarm.bead_backlog o on o.repo_id = l.repo_id and o.bead_id = l.other_id
  where l.repo_id = p_repo and l.bead_id = p_bead and swarm.blocking(l.kind) and swarm.is_open(o.status)
$$;

-- Applies a finished (-1) or reopened (+1) blocker to those who wait for it, in id order.
create or replace function swarm.shift_dependants(p_repo text, p_bead text, p_delta integer) returns integer
language plpgsql volatile as $$
declare
  v_ids bigint[];
begin
  select array_agg(id) into v_ids from (
    select b.id from swarm.bead_backlog b
    where b.repo_id = p_repo and b.bead_id in (
      select l.bead_id from swarm.bead_links l where l.repo_id = p_repo and l.other_id = p_bead and swarm.blocking(l.kind))
    order by b.id for no key update) locked;
  if v_ids is null then
    return 0;
  end if;
  update swarm.bead_backlog set open_blockers = open_blockers + p_delta where id = any(v_ids);
  return cardinality(v_ids);
end $$;

create or replace function swarm.lock_links(p_repo text) returns void language sql volatile as
$$ select pg_advisory_xact_lock(hashtext('swarm:links:' || p_repo)) $$;

-- Locks the beads somebody is about to wait for, in id order, so that none of them finishes unseen.
create or replace function swarm.lock_blockers(p_repo text, p_beads text[]) returns void language plpgsql volatile as $$
begin
  perform 1 from swarm.bead_backlog where repo_id = p_repo and bead_id = any(p_beads) order by id for share;
end $$;

-- The cycle that the new edges (rows of {bead, other}) would close, as the list of beads along it, or null. One walk in
-- depth over what the new edges reach, on numbered beads: linear, so that an import of thousands can ask at once.
create or replace function swarm.find_cycle(p_repo text, p_edges jsonb) returns text[] language plpgsql stable as $$
declare
  v_names  text[];     -- the beads, numbered from 1
  v_to     integer[];  -- where the edges lead, those of the first bead first
  v_next   integer[];  -- per bead, its first edge in v_to that has not been followed
  v_end    integer[];  -- per bead, its last edge in v_to
  v_state  integer[];  -- per bead: 0 new, 1 on the path, 2 done
  v_path   integer[] := '{}';
  v_depth  integer;
  v_bead   integer;
  v_other  integer;
begin
  with recursive edge as materialized (
    select e ->> 'bead' as bead, e ->> 'other' as other, n from jsonb_array_elements(p_edges) with ordinality x(e, n)
  ), reach as (
    select bead from edge
    union
    select other from edge
    union
    select l.other_id from reach r join swarm.bead_links l
      on l.repo_id = p_repo and l.bead_id = r.bead and swarm.blocking(l.kind)
  ), numbered as materialized (
    select r.bead, (row_number() over (order by min(e.n) nulls last, r.bead))::integer as k
    from reach r left join edge e on e.bead = r.bead group by r.bead
  ), step as materialized (
    select b.k as bead, o.k as other from (
      select bead, other from edge
      union
      select l.bead_id, l.other_id from reach r join swarm.bead_links l
        on l.repo_id = p_repo and l.bead_id = r.bead and swarm.blocking(l.kind)) x
    join numbered b on b.bead = x.bead join numbered o on o.bead = x.other
  ), span as (
    select n.k, count(s.other)::integer as steps from numbered n left join step s on s.bead = n.k group by n.k
  ), place as (
    select k, steps, (sum(steps) over (order by k))::integer as up_to from span
  )
  select (select array_agg(bead order by k) from numbered), (select array_agg(other order by bead, other) from step),
      array_agg(up_to - steps + 1 order by k), array_agg(up_to order by k)
    into v_names, v_to, v_next, v_end from place;

  v_state := array_fill(0, array[coalesce(cardinality(v_names), 0)]);
  for v_root in 1 .. coalesce(cardinality(v_names), 0) loop
    continue when v_state[v_root] <> 0;
    v_depth := 1;
    v_path[1] := v_root;
    v_state[v_root] := 1;
    while v_depth > 0 loop
      v_bead := v_path[v_depth];
      if v_next[v_bead] > v_end[v_bead] then
        v_state[v_bead] := 2;
        v_depth := v_depth - 1;
        continue;
      end if;
      v_other := v_to[v_next[v_bead]];
      v_next[v_bead] := v_next[v_bead] + 1;
      if v_state[v_other] = 1 then
        return array(select v_names[k] from unnest(v_path[array_position(v_path, v_other) : v_depth]) with ordinality x(k, n) order by n)
          || v_names[v_other];
      elsif v_state[v_other] = 0 then
        v_depth := v_depth + 1;
        v_path[v_depth] := v_other;
        v_state[v_other] := 1;
      end if;
    end loop;
  end loop;
  return null;
end $$;

create or replace function swarm.refused_cycle(p_cycle text[]) returns jsonb language sql stable as $$
  select swarm.refused('CONFLICT', 'these dependencies form a cycle: ' || array_to_string(p_cycle, ' -> '), 'claim',
    jsonb_build_object('field', 'depends_on', 'cycle', to_jsonb(p_cycle)))
$$;

create or replace function swarm.texts(p_array jsonb) returns text[] language sql immutable as
$$ select coalesce(array_agg(t order by n), '{}') from jsonb_array_elements_text(p_array) with ordinality as x(t, n) $$;

create or replace function swarm.do_enqueue(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_beads   jsonb := '[]';
  v_bead    jsonb;
  v_at      integer := 0;
  v_id      text;
  v_old     swarm.bead_backlog;
  v_differs text[];
  v_missing text;
  v_edges   jsonb;
  v_cycle   text[];
  v_ids     text[] := '{}';
  v_made    integer := 0;
  v_stage   text;
  v_flow    text;
begin
  perform swarm.lock_links(p_repo);
  perform swarm.ensure_repo(p_repo);
  for v_bead in select * from jsonb_array_elements(a -> 'beads') loop
    v_id := v_bead ->> 'bead_id';
    if v_id is null then
      loop
        v_id := 'bead-' || nextval('swarm.made_bead_ids');
        exit when not exists (select from swarm.bead_backlog where repo_id = p_repo and bead_id = v_id);
      end loop;
    end if;
    if v_id = any(v_ids) then
      return swarm.refused('INVALID', format('bead %s stands twice in this request', v_id), 'request',
        jsonb_build_object('kind', 'InvalidValue', 'field', format('beads[%s].bead_id', v_at), 'got', v_id));
    end if;
    v_ids := v_ids || v_id;
    v_flow := coalesce(v_bead ->> 'workflow', 'default');
    v_stage := swarm.first_stage(p_repo, v_flow);
    if v_stage is null then
      return swarm.refused('NOTFOUND', format('no workflow %s in repo %s', v_flow, p_repo), null,
        jsonb_build_object('field', format('beads[%s].workflow', v_at), 'got', v_flow), jsonb_build_object('cmd', 'workflows'));
    end if;
    select * into v_old from swarm.bead_backlog where repo_id = p_repo and bead_id = v_id;
    if v_old.id is not null then
      v_differs := array_remove(array[
        case when v_bead ->> 'title' <> v_old.title then 'title' end,
        case when v_bead ->> 'description' <> v_old.description then 'description' end,
        case when v_bead ->> 'priority' <> v_old.priority then 'priority' end,
        case when v_bead ->> 'bead_type' <> v_old.bead_type then 'bead_type' end,
        case when v_bead ? 'labels' and not (swarm.texts(v_bead -> 'labels') @> v_old.labels
          and v_old.labels @> swarm.texts(v_bead -> 'labels')) then 'labels' end,
        case when v_bead ? 'metadata' and v_bead -> 'metadata' <> v_old.metadata then 'metadata' end,
        case when v_bead ? 'depends_on' and coalesce((select array_agg(distinct d order by d) from unnest(swarm.texts(v_bead -> 'depends_on')) d), '{}')
          <> coalesce((select array_agg(distinct other_id order by other_id) from swarm.bead_links
               where repo_id = p_repo and bead_id = v_id and kind = 'blocks'), '{}') then 'depends_on' end], null);
      if v_differs <> '{}' then
        return swarm.refused('EXISTS', format('bead %s exists and differs in %s', v_id, array_to_string(v_differs, ', ')), null,
          jsonb_build_object('field', format('beads[%s]', v_at), 'bead_id', v_id, 'differs', to_jsonb(v_differs)),
          jsonb_build_object('cmd', 'update', 'bead_id', v_id)
            || (select jsonb_object_agg(f, v_bead -> f) from unnest(v_differs) f));
      end if;
    else
      v_beads := v_beads || jsonb_build_array(v_bead || jsonb_build_object('bead_id', v_id, 'workflow', v_flow, 'stage', v_stage, 'at', v_at));
    end if;
    v_at := v_at + 1;
  end loop;

  select jsonb_agg(jsonb_build_object('bead', b ->> 'bead_id', 'other', d, 'at', b -> 'at')) into v_edges
    from jsonb_array_elements(v_beads) b, jsonb_array_elements_text(b -> 'depends_on') d;
  if v_edges is not null then
    select e ->> 'other', (e ->> 'at')::integer into v_missing, v_at from jsonb_array_elements(v_edges) e
      where not (e ->> 'other' = any(v_ids))
        and not exists (select from swarm.bead_backlog where repo_id = p_repo and bead_id = e ->> 'other') limit 1;
    if v_missing is not null then
      return swarm.refused('NOTFOUND', format('no bead %s in repo %s to depend on', v_missing, p_repo), null,
        jsonb_build_object('field', format('beads[%s].depends_on', v_at), 'got', v_missing),
        jsonb_build_object('cmd', 'beads'));
    end if;
    perform swarm.lock_blockers(p_repo, array(select e ->> 'other' from jsonb_array_elements(v_edges) e));
    v_cycle := swarm.find_cycle(p_repo, v_edges);
    if v_cycle is not null then
      return swarm.refused_cycle(v_cycle);
    end if;
  end if;

  for v_bead in select * from jsonb_array_elements(v_beads) loop
    perform swarm.insert_bead(p_repo, v_bead);
    v_made := v_made + 1;
  end loop;
  if v_edges is not null then
    insert into swarm.bead_links (repo_id, bead_id, other_id, kind)
      select p_repo, e ->> 'bead', e ->> 'other', 'blocks' from jsonb_array_elements(v_edges) e on conflict do nothing;
    update swarm.bead_backlog b set open_blockers = swarm.count_blockers(p_repo, b.bead_id)
      where b.repo_id = p_repo and b.bead_id in (select e ->> 'bead' from jsonb_array_elements(v_edges) e);
  end if;
  return jsonb_build_object('d', jsonb_build_object('bead_ids', to_jsonb(v_ids), 'added', v_made));
end $$;

-- Inserts one bead that is known not to exist. Links to and from it may be there already and begin to count.
create or replace function swarm.insert_bead(p_repo text, b jsonb) returns void language plpgsql volatile as $$
declare
  v_status text := coalesce(b ->> 'status', 'pending');
  v_now    timestamptz := clock_timestamp();
begin
  insert into swarm.bead_backlog (repo_id, bead_id, title, description, priority, status, bead_type, labels, metadata,
      workflow, stage, created_at, updated_at, finished_at)
    values (p_repo, b ->> 'bead_id', coalesce(b ->> 'title', ''), coalesce(b ->> 'description', ''),
      coalesce(b ->> 'priority', 'p2'), v_status, coalesce(b ->> 'bead_type', 'task'),
      swarm.texts(coalesce(b -> 'labels', '[]')), coalesce(b -> 'metadata', '{}'),
      b ->> 'workflow', case when v_status = 'completed' then 'done' else b ->> 'stage' end,
      coalesce((b ->> 'created_at')::timestamptz, v_now), coalesce((b ->> 'updated_at')::timestamptz, v_now),
      case when v_status in ('completed', 'cancelled') then coalesce((b ->> 'finished_at')::timestamptz, v_now) end);
  if exists (select from swarm.bead_links where repo_id = p_repo and bead_id = b ->> 'bead_id') then
    perform swarm.recount(p_repo, array[b ->> 'bead_id']);
  end if;
  if swarm.is_open(v_status) then
    perform swarm.shift_dependants(p_repo, b ->> 'bead_id', 1);
  end if;
  perform swarm.emit(p_repo, 'bead_enqueued', b ->> 'bead_id', b ->> 'bead_id', null, null,
    jsonb_build_object('priority', coalesce(b ->> 'priority', 'p2'), 'status', v_status));
end $$;

-- Metadata of a tracker's bead without what its export renews: times, and a status that shares one of ours with another.
create or replace function swarm.lasting(m jsonb) returns jsonb language sql immutable parallel safe as $$
  select m - (array['created_at', 'updated_at', 'closed_at']
    || case when m ->> 'status' in ('pinned', 'hooked') then array['status'] else '{}' end)
$$;

-- Import: beads from a tracker, then their links. A bead that is there already keeps its status and progress; what
-- describes it is brought up to date. Links whose other bead is unknown are kept and
-- count once it arrives. Whole sets at a time, by hash: plans made for the table as it was before, row by row, would
-- take a time that grows with the square of the import.
create or replace function swarm.do_import(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile
set enable_nestloop = off as $$
declare
  b           jsonb;
  v_old       swarm.bead_backlog;
  v_stage     text;
  v_now       timestamptz;
  v_new       text[];
  v_differ    jsonb;
  v_links     jsonb;
  v_edges     jsonb;
  v_cycle     text[];
  v_closing   jsonb;
  v_problems  jsonb := '[]';
  v_updated   integer := 0;
  v_reopened  integer := 0;
  v_linked    integer;
begin
  perform swarm.lock_links(p_repo);
  perform swarm.ensure_repo(p_repo);
  v_stage := swarm.first_stage(p_repo, 'default');
  v_now := clock_timestamp();
  select coalesce(array_agg(x.b ->> 'bead_id') filter (where o.id is null), '{}'),
      coalesce(jsonb_agg(x.b order by o.id) filter (where o.id is not null), '[]')
    into v_new, v_differ
    from jsonb_array_elements(a -> 'beads') x(b)
    left join swarm.bead_backlog o on o.repo_id = p_repo and o.bead_id = x.b ->> 'bead_id'
    where o.id is null or ((a ->> 'reopen')::boolean and o.status = 'completed' and x.b ->> 'status' = 'pending')
      or (o.title, o.description, o.priority, o.bead_type, o.labels, swarm.lasting(o.metadata)) is distinct from
        (x.b ->> 'title', x.b ->> 'description', x.b ->> 'priority', x.b ->> 'bead_type', swarm.texts(x.b -> 'labels'),
          swarm.lasting(x.b -> 'metadata'));

  insert into swarm.bead_backlog (repo_id, bead_id, title, description, priority, status, bead_type, labels, metadata,
      workflow, stage, created_at, updated_at, finished_at)
    select p_repo, x.b ->> 'bead_id', x.b ->> 'title', x.b ->> 'description', x.b ->> 'priority', x.b ->> 'status',
      x.b ->> 'bead_type', swarm.texts(x.b -> 'labels'), x.b -> 'metadata',
      'default', case when x.b ->> 'status' = 'completed' then 'done' else v_stage end,
      coalesce((x.b ->> 'created_at')::timestamptz, v_now), coalesce((x.b ->> 'updated_at')::timestamptz, v_now),
      case when not swarm.is_open(x.b ->> 'status') then coalesce((x.b ->> 'finished_at')::timestamptz, v_now) end
    from jsonb_array_elements(a -> 'beads') with ordinality x(b, n) join unnest(v_new) i on i = x.b ->> 'bead_id' order by n;
  insert into swarm.execution_events (event_type, entity_id, repo_id, bead_id, payload)
    select 'bead_enqueued', x.b ->> 'bead_id', p_repo, x.b ->> 'bead_id',
      jsonb_build_object('priority', x.b -> 'priority', 'status', x.b -> 'status')
    from jsonb_array_elements(a -> 'beads') with ordinality x(b, n) join unnest(v_new) i on i = x.b ->> 'bead_id' order by n;
  for b in select * from jsonb_array_elements(v_differ) loop
    select * into v_old from swarm.bead_backlog where repo_id = p_repo and bead_id = b ->> 'bead_id' for no key update;
    if (a ->> 'reopen')::boolean and v_old.status = 'completed' and b ->> 'status' = 'pending' then
      perform swarm.reopen_bead(v_old, coalesce(swarm.first_stage(p_repo, v_old.workflow), v_stage), null);
      v_reopened := v_reopened + 1;
    end if;
    update swarm.bead_backlog set title = b ->> 'title', description = b ->> 'description', priority = b ->> 'priority',
        bead_type = b ->> 'bead_type', labels = swarm.texts(b -> 'labels'), metadata = b -> 'metadata', updated_at = clock_timestamp()
      where id = v_old.id and (title, description, priority, bead_type, labels, swarm.lasting(metadata)) is distinct from
        (b ->> 'title', b ->> 'description', b ->> 'priority', b ->> 'bead_type', swarm.texts(b -> 'labels'), swarm.lasting(b -> 'metadata'));
    if found then
      perform swarm.emit(p_repo, 'bead_updated', v_old.bead_id, v_old.bead_id, null, null, '{"by": "import"}');
      v_updated := v_updated + 1;
    end if;
  end loop;

  -- Of a cycle, the link that stands last is left out, until there is none.
  select coalesce(jsonb_agg(l || jsonb_build_object('n', n) order by n), '[]') into v_links
    from jsonb_array_elements(a -> 'links') with ordinality x(l, n)
    where not exists (select from swarm.bead_links k where k.repo_id = p_repo and k.bead_id = l ->> 'bead_id'
      and k.other_id = l ->> 'other_id' and k.kind = l ->> 'kind');
  loop
    select jsonb_agg(jsonb_build_object('bead', l -> 'bead_id', 'other', l -> 'other_id')) into v_edges
      from jsonb_array_elements(v_links) l where swarm.blocking(l ->> 'kind');
    exit when v_edges is null;
    v_cycle := swarm.find_cycle(p_repo, v_edges);
    exit when v_cycle is null;
    select l into v_closing from jsonb_array_elements(v_links) l, generate_subscripts(v_cycle, 1) i
      where swarm.blocking(l ->> 'kind') and l ->> 'bead_id' = v_cycle[i] and l ->> 'other_id' = v_cycle[i + 1]
      order by (l ->> 'n')::integer desc limit 1;
    exit when v_closing is null;
    v_problems := v_problems || jsonb_build_object('line', v_closing -> 'line', 'kind', 'cycle', 'msg',
      'a dependency is left out, it closes the cycle ' || array_to_string(v_cycle, ' -> '));
    select coalesce(jsonb_agg(l order by (l ->> 'n')::integer), '[]') into v_links
      from jsonb_array_elements(v_links) l where l -> 'n' <> v_closing -> 'n';
  end loop;
  select v_problems || coalesce(jsonb_agg(jsonb_build_object('line', l -> 'line', 'kind', 'unresolved', 'msg', format(
      '%s waits for %s, and %s is not here; the link counts once it is', l ->> 'bead_id', l ->> 'other_id',
      case when o.id is null then l ->> 'other_id' else l ->> 'bead_id' end)) order by (l ->> 'n')::integer), '[]')
    into v_problems from jsonb_array_elements(v_links) l
    left join swarm.bead_backlog d on d.repo_id = p_repo and d.bead_id = l ->> 'bead_id'
    left join swarm.bead_backlog o on o.repo_id = p_repo and o.bead_id = l ->> 'other_id'
    where swarm.blocking(l ->> 'kind') and (d.id is null or o.id is null);
  if (a ->> 'strict')::boolean and v_problems <> '[]' then
    -- Found only after the first write: the one refusal that raises, so that everything is rolled back.
    raise exception using errcode = 'SW001', message = 'refused', detail = swarm.refused('INVALID',
      format('nothing was imported: %s problems, the first on line %s', jsonb_array_length(v_problems), v_problems -> 0 ->> 'line'),
      'request', jsonb_build_object('problems', v_problems))::text;
  end if;
  insert into swarm.bead_links (repo_id, bead_id, other_id, kind)
    select p_repo, l ->> 'bead_id', l ->> 'other_id', l ->> 'kind' from jsonb_array_elements(v_links) l on conflict do nothing;
  get diagnostics v_linked = row_count;
  perform swarm.recount(p_repo, array(
    select l ->> 'bead_id' from jsonb_array_elements(v_links) l where swarm.blocking(l ->> 'kind')
    union
    select l.bead_id from swarm.bead_links l join unnest(v_new) i on i = l.bead_id where l.repo_id = p_repo
    union
    select l.bead_id from swarm.bead_links l join unnest(v_new) i on i = l.other_id where l.repo_id = p_repo));
  if cardinality(v_new) >= 500 then
    -- Otherwise every session would go on with plans for a small table until autovacuum looks.
    analyze swarm.bead_backlog, swarm.bead_links;
  end if;
  return jsonb_build_object('d', jsonb_build_object('added', cardinality(v_new), 'updated', v_updated, 'unchanged',
    jsonb_array_length(a -> 'beads') - cardinality(v_new) - jsonb_array_length(v_differ),
    'reopened', v_reopened, 'links', v_linked, 'problems', v_problems));
end $$;

-- Counts the open blockers of these beads afresh, after links or beads were added. Caller holds the links lock. The
-- blockers are locked before they are counted, in a statement of its own.
create or replace function swarm.recount(p_repo text, p_beads text[]) returns void language plpgsql volatile as $$
begin
  perform swarm.lock_blockers(p_repo, array(select distinct l.other_id from swarm.bead_links l join unnest(p_beads) d on d = l.bead_id
    where l.repo_id = p_repo and swarm.blocking(l.kind)));
  perform 1 from swarm.bead_backlog where repo_id = p_repo and bead_id = any(p_beads) order by id for no key update;
  update swarm.bead_backlog b set open_blockers = x.n
    from (select d, count(distinct o.bead_id)::integer as n from unnest(p_beads) d
      left join swarm.bead_links l on l.repo_id = p_repo and l.bead_id = d and swarm.blocking(l.kind)
      left join swarm.bead_backlog o on o.repo_id = p_repo and o.bead_id = l.other_id and swarm.is_open(o.status)
      group by d) x
    where b.repo_id = p_repo and b.bead_id = x.d and b.open_blockers <> x.n;
end $$;

-- Sets right what the invariants find wrong: the counts are deltas, and a fault in one would stay.
create or replace function swarm.do_recount(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_wrong  text[];
begin
  perform swarm.lock_links(p_repo);
  v_wrong := array(select bead_id from swarm.bead_backlog b
    where repo_id = p_repo and open_blockers <> swarm.count_blockers(p_repo, bead_id) order by bead_id);
  perform swarm.recount(p_repo, v_wrong);
  return jsonb_build_object('d', jsonb_build_object('recounted', to_jsonb(v_wrong)));
end $$;

-- Caller holds the links lock. The blocker is locked before its status is read, in a statement of its own.
create or replace function swarm.add_link(p_repo text, p_bead text, p_other text, p_kind text) returns void
language plpgsql volatile as $$
begin
  perform swarm.lock_blockers(p_repo, array[p_other]);
  if swarm.blocking(p_kind)
     and not exists (select from swarm.bead_links where repo_id = p_repo and bead_id = p_bead and other_id = p_other and swarm.blocking(kind))
     and exists (select from swarm.bead_backlog where repo_id = p_repo and bead_id = p_other and swarm.is_open(status)) then
    update swarm.bead_backlog set open_blockers = open_blockers + 1 where repo_id = p_repo and bead_id = p_bead;
  end if;
  insert into swarm.bead_links (repo_id, bead_id, other_id, kind) values (p_repo, p_bead, p_other, p_kind) on conflict do nothing;
end $$;

create or replace function swarm.drop_link(p_repo text, p_bead text, p_other text, p_kind text) returns void
language plpgsql volatile as $$
begin
  perform swarm.lock_blockers(p_repo, array[p_other]);
  delete from swarm.bead_links where repo_id = p_repo and bead_id = p_bead and other_id = p_other and kind = p_kind;
  if found and swarm.blocking(p_kind)
     and not exists (select from swarm.bead_links where repo_id = p_repo and bead_id = p_bead and other_id = p_other and swarm.blocking(kind))
     and exists (select from swarm.bead_backlog where repo_id = p_repo and bead_id = p_other and swarm.is_open(status)) then
    update swarm.bead_backlog set open_blockers = open_blockers - 1 where repo_id = p_repo and bead_id = p_bead;
  end if;
end $$;


-- 10. Claiming -------------------------------------------------------------------------------------------------------

-- Ends the claim on a bead that the caller has locked: the running attempt is closed as `error` with the reason, the
-- agent is free again. Does not touch the bead.
create or replace function swarm.end_claim(b swarm.bead_backlog, p_reason text) returns integer language plpgsql volatile as $$
declare
  v_agent integer;
begin
  delete from swarm.bead_claims where repo_id = b.repo_id and bead_id = b.bead_id and status = 'in_progress'
    returning claimed_by into v_agent;
  if v_agent is null then
    return null;
  end if;
  update swarm.stage_history set status = 'error', result = p_reason, completed_at = clock_timestamp(),
      duration_ms = greatest(0, extract(epoch from clock_timestamp() - started_at) * 1000)
    where repo_id = b.repo_id and bead_id = b.bead_id and status = 'started';
  update swarm.agent_state set bead_id = null, current_stage = null, stage_started_at = null, status = 'idle',
      last_update = clock_timestamp()
    where repo_id = b.repo_id and agent_id = v_agent and bead_id = b.bead_id;
  return v_agent;
end $$;

-- Up to 100 expired beads go back to pending. Nothing is waited for: whoever holds a lock on one is dealing with it.
create or replace function swarm.expire_leases(p_repo text) returns integer language plpgsql volatile as $$
declare
  c        record;
  b        swarm.bead_backlog;
  v_ended  integer := 0;
  v_now    timestamptz := clock_timestamp();  -- a variable: compared with the function itself no index would be used
begin
  for c in
    select bead_id, claimed_by from swarm.bead_claims
    where repo_id = p_repo and status = 'in_progress' and lease_expires_at < v_now
    order by lease_expires_at limit 100
  loop
    perform 1 from swarm.agent_state where repo_id = p_repo and agent_id = c.claimed_by for no key update skip locked;
    continue when not found;
    select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = c.bead_id for no key update skip locked;
    continue when not found;
    perform 1 from swarm.bead_claims where repo_id = p_repo and bead_id = c.bead_id and claimed_by = c.claimed_by
      and status = 'in_progress' and lease_expires_at < clock_timestamp() for update;
    continue when not found;
    perform swarm.end_claim(b, 'lease_expired');
    update swarm.bead_backlog set status = 'pending', updated_at = clock_timestamp() where id = b.id;
    perform swarm.emit(p_repo, 'lease_expired', b.bead_id, b.bead_id, c.claimed_by, b.stage, jsonb_build_object('fence', b.fence));
    v_ended := v_ended + 1;
  end loop;
  return v_ended;
end $$;

-- Number of the attempt that would start now: tries of this stage since the bead was (re)opened, not counting those
-- that ended without an outcome, plus one.
create or replace function swarm.next_attempt(b swarm.bead_backlog, p_stage text) returns integer language sql stable as $$
  select 1 + count(*)::integer from swarm.stage_history h
  where h.repo_id = b.repo_id and h.bead_id = b.bead_id and h.stage = p_stage and h.fence > b.attempts_from
    and h.status <> 'started' and h.result not in ('lease_expired', 'released', 'cancelled', 'noop')
$$;

create or replace function swarm.may_do(p_repo text, p_workflow text, p_stage text, p_role text) returns boolean language sql stable as $$
  select p_role is null or exists (select from swarm.workflow_stages
    where repo_id = p_repo and name = p_workflow and stage = p_stage and (role is null or p_role = any(role)))
$$;

-- Gives a locked bead to an agent: a new fence, a new claim, a started attempt of its current stage. Two events.
create or replace function swarm.give_bead(b swarm.bead_backlog, p_agent integer, p_session text, p_lease_ms integer)
returns swarm.bead_backlog language plpgsql volatile as $$
declare
  v_now  timestamptz := clock_timestamp();
begin
  b.attempt := swarm.next_attempt(b, b.stage);
  update swarm.bead_backlog set status = 'in_progress', fence = fence + 1, attempt = b.attempt, updated_at = v_now
    where id = b.id returning * into b;
  insert into swarm.bead_claims (repo_id, bead_id, claimed_by, claimed_at, heartbeat_at, lease_expires_at, session, fence, lease_ms)
    values (b.repo_id, b.bead_id, p_agent, v_now, v_now, v_now + make_interval(secs => p_lease_ms / 1000.0), p_session, b.fence, p_lease_ms)
    on conflict (repo_id, bead_id) do update set claimed_by = excluded.claimed_by, claimed_at = v_now, heartbeat_at = v_now,
      lease_expires_at = excluded.lease_expires_at, status = 'in_progress', session = excluded.session,
      fence = excluded.fence, lease_ms = excluded.lease_ms;
  insert into swarm.stage_history (repo_id, agent_id, bead_id, stage, attempt_number, status, fence, session_id, started_at)
    values (b.repo_id, p_agent, b.bead_id, b.stage, b.attempt, 'started', b.fence, p_session, v_now);
  update swarm.agent_state set bead_id = b.bead_id, current_stage = b.stage, stage_started_at = v_now, status = 'working',
      last_update = v_now, feedback = b.feedback,
      implementation_attempt = case when b.stage = 'implement' then b.attempt else implementation_attempt end
    where repo_id = b.repo_id and agent_id = p_agent;
  insert into swarm.execution_events (event_type, entity_id, repo_id, bead_id, agent_id, stage, session_id, payload) values
    ('bead_claimed', b.bead_id, b.repo_id, b.bead_id, p_agent, b.stage, p_session,
      jsonb_build_object('fence', b.fence, 'lease_ms', p_lease_ms)),
    ('stage_started', b.bead_id, b.repo_id, b.bead_id, p_agent, b.stage, p_session, jsonb_build_object('attempt', b.attempt));
  return b;
end $$;

create or replace function swarm.claim_json(b swarm.bead_backlog, p_lease_ms integer, p_held boolean) returns jsonb language sql stable as $$
  select jsonb_build_object('d', jsonb_strip_nulls(jsonb_build_object('stage', b.stage, 'attempt', b.attempt, 'feedback', b.feedback,
      'fence', b.fence, 'lease_ms', p_lease_ms, 'held', p_held)) || jsonb_build_object(
    'bead', jsonb_build_object('bead_id', b.bead_id, 'title', b.title, 'description', b.description,
                               'priority', b.priority, 'labels', to_jsonb(b.labels))))
$$;

-- Why a claim found nothing. Counts stop at 10,000: nobody acts differently beyond, and counting must stay cheap.
create or replace function swarm.none_json(p_repo text, p_filtered boolean) returns jsonb language plpgsql stable as $$
declare
  v_pending  integer;
  v_working  integer;
  v_reason   text;
begin
  select count(*) into v_pending from (select from swarm.bead_backlog where repo_id = p_repo and status = 'pending' limit 10000) x;
  select count(*) into v_working from (select from swarm.bead_backlog where repo_id = p_repo and status = 'in_progress' limit 10000) x;
  v_reason := case
    when (select swarm_status from swarm.swarm_config) = 'paused' then 'paused'
    when p_filtered and exists (select from swarm.bead_backlog where repo_id = p_repo and status = 'pending' and open_blockers = 0) then 'no_match'
    when v_working > 0 then 'waiting'
    when v_pending > 0 or exists (select from swarm.bead_backlog where repo_id = p_repo and status in ('blocked', 'failed')) then 'blocked'
    else 'empty' end;
  return jsonb_build_object('transient', true, 'd',
    jsonb_build_object('bead', null, 'reason', v_reason, 'pending', v_pending, 'in_progress', v_working));
end $$;

-- The first ready bead the agent may do, locked. The planner is held to the ready indexes: with statistics from an
-- emptier table it would choose to sort. When every ready bead is locked by somebody, wait for the first of them rather
-- than answer that there is none.
create or replace function swarm.pick_bead(p_repo text, p_role text, p_labels text[], p_types text[])
returns swarm.bead_backlog language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off as $$
declare
  b     swarm.bead_backlog;
  v_id  bigint;
begin
  for i in 1 .. 20 loop
    if p_role is null and p_labels is null and p_types is null then
      select * into b from swarm.bead_backlog x
        where x.repo_id = p_repo and x.status = 'pending' and x.open_blockers = 0
        order by x.priority, x.created_at, x.id limit 1 for no key update skip locked;
    elsif p_role is null then
      select * into b from swarm.bead_backlog x
        where x.repo_id = p_repo and x.status = 'pending' and x.open_blockers = 0
          and (p_labels is null or x.labels @> p_labels) and (p_types is null or x.bead_type = any(p_types))
        order by x.priority, x.created_at, x.id limit 1 for no key update skip locked;
    else
      for v_id in
        select c.id from swarm.workflow_stages s cross join lateral (
          select x.id, x.priority, x.created_at from swarm.bead_backlog x
          where x.repo_id = p_repo and x.workflow = s.name and x.stage = s.stage and x.status = 'pending' and x.open_blockers = 0
            and (p_labels is null or x.labels @> p_labels) and (p_types is null or x.bead_type = any(p_types))
          order by x.priority, x.created_at, x.id limit 64) c
        where s.repo_id = p_repo and (s.role is null or p_role = any(s.role))
        order by c.priority, c.created_at, c.id limit 64
      loop
        select * into b from swarm.bead_backlog x where x.id = v_id and x.status = 'pending' and x.open_blockers = 0
          and swarm.may_do(p_repo, x.workflow, x.stage, p_role) for no key update skip locked;
        exit when b.id is not null;
      end loop;
    end if;
    if b.id is not null then
      return b;
    end if;
    select x.id into v_id from swarm.bead_backlog x
      where x.repo_id = p_repo and x.status = 'pending' and x.open_blockers = 0
        and (p_labels is null or x.labels @> p_labels) and (p_types is null or x.bead_type = any(p_types))
        and swarm.may_do(p_repo, x.workflow, x.stage, p_role)
      order by x.priority, x.created_at, x.id limit 1;
    if v_id is null then
      return null;
    end if;
    select * into b from swarm.bead_backlog x where x.id = v_id and x.status = 'pending' and x.open_blockers = 0
      and swarm.may_do(p_repo, x.workflow, x.stage, p_role) for no key update;
    if b.id is not null then
      return b;
    end if;
  end loop;
  return null;
end $$;

-- Whether asking for a bead now may find one: a cheap look for those who wait.
create or replace function swarm.claimable(p_repo text, p_agent integer) returns boolean language plpgsql volatile as $$
declare
  v_now timestamptz := clock_timestamp();
begin
  return exists (select from swarm.bead_backlog where repo_id = p_repo and status = 'pending' and open_blockers = 0)
    or exists (select from swarm.bead_claims where repo_id = p_repo and status = 'in_progress' and lease_expires_at < v_now)
    or exists (select from swarm.bead_claims where repo_id = p_repo and status = 'in_progress' and claimed_by = p_agent);
end $$;

create or replace function swarm.do_claim_next(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_agent    swarm.agent_state;
  b          swarm.bead_backlog;
  c          swarm.bead_claims;
  v_session  text := p ->> 'session';
  v_lease    integer := coalesce((a ->> 'lease_ms')::integer, (p ->> 'lease_ms')::integer, 900000);
  v_labels   text[] := case when a ? 'labels' then swarm.texts(a -> 'labels') end;
  v_types    text[] := case when a ? 'bead_types' then swarm.texts(a -> 'bead_types') end;
begin
  select * into v_agent from swarm.agent_state where repo_id = p_repo and agent_id = (a ->> 'agent_id')::integer for no key update;
  if not found then
    return swarm.unknown_agent(p_repo, (a ->> 'agent_id')::integer);
  end if;
  perform swarm.expire_leases(p_repo);

  select * into c from swarm.bead_claims where repo_id = p_repo and claimed_by = v_agent.agent_id and status = 'in_progress';
  if found then
    select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = c.bead_id for no key update;
    select * into c from swarm.bead_claims where repo_id = p_repo and bead_id = b.bead_id and claimed_by = v_agent.agent_id and status = 'in_progress';
    if found then
      if c.session = v_session then
        v_lease := coalesce((a ->> 'lease_ms')::integer, c.lease_ms);
      else
        update swarm.bead_backlog set fence = fence + 1, updated_at = clock_timestamp() where id = b.id returning * into b;
        update swarm.stage_history set fence = b.fence, session_id = v_session
          where repo_id = p_repo and bead_id = b.bead_id and status = 'started';
        insert into swarm.execution_events (event_type, entity_id, repo_id, bead_id, agent_id, stage, session_id, payload) values
          ('bead_claimed', b.bead_id, p_repo, b.bead_id, v_agent.agent_id, b.stage, v_session,
           jsonb_build_object('fence', b.fence, 'lease_ms', v_lease, 'held', true));
      end if;
      update swarm.bead_claims set session = v_session, fence = b.fence, lease_ms = v_lease, heartbeat_at = clock_timestamp(),
          lease_expires_at = clock_timestamp() + make_interval(secs => v_lease / 1000.0)
        where repo_id = p_repo and bead_id = b.bead_id;
      return swarm.claim_json(b, v_lease, true);
    end if;
  end if;

  if (select swarm_status from swarm.swarm_config) <> 'paused' then
    b := swarm.pick_bead(p_repo, v_agent.role, v_labels, v_types);
    if b.id is not null then
      b := swarm.give_bead(b, v_agent.agent_id, v_session, v_lease);
      return swarm.claim_json(b, v_lease, false);
    end if;
  end if;
  if (a ->> 'require')::boolean then
    return swarm.refused('NOTFOUND', 'there is no bead to claim', null,
      swarm.none_json(p_repo, v_agent.role is not null or v_labels is not null or v_types is not null) -> 'd' - 'bead',
      jsonb_build_object('cmd', 'status'));
  end if;
  return swarm.none_json(p_repo, v_agent.role is not null or v_labels is not null or v_types is not null);
end $$;

-- Renewal by the process that holds the claim: compare and set on fence and unexpired lease, nothing else is touched.
create or replace function swarm.renew_lease(p_repo text, p_agent integer, p_bead text, p_fence bigint) returns boolean
language plpgsql volatile as $$
begin
  update swarm.bead_claims set heartbeat_at = clock_timestamp(),
      lease_expires_at = clock_timestamp() + make_interval(secs => lease_ms / 1000.0)
    where repo_id = p_repo and bead_id = p_bead and claimed_by = p_agent and fence = p_fence and status = 'in_progress'
      and lease_expires_at > clock_timestamp();
  return found;
end $$;


-- 11. Working --------------------------------------------------------------------------------------------------------
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
    return swarm.unknown_bead(p_repo, v_bead, a || jsonb_build_object('cmd', p ->> 'cmd'));
  end if;
  select * into c from swarm.bead_claims where repo_id = p_repo and bead_id = v_bead and status = 'in_progress';
  if c.claimed_by is distinct from v_agent then
    return swarm.refused('CONFLICT', case
        when c.claimed_by is not null then format('bead %s is held by agent %s now', v_bead, c.claimed_by)
        else format('agent %s does not hold bead %s (it is %s)', v_agent, v_bead, b.status) end, 'claim',
      jsonb_strip_nulls(jsonb_build_object('bead_id', v_bead, 'holder', c.claimed_by, 'status', b.status, 'fence', v_fence, 'current_fence', b.fence)),
      v_again);
  end if;
  if v_fence <> b.fence then
    return swarm.refused('CONFLICT', format('fence %s of bead %s is old, it is %s now: another process of agent %s took over', v_fence, v_bead, b.fence, v_agent),
      'claim', jsonb_build_object('bead_id', v_bead, 'fence', v_fence, 'current_fence', b.fence), v_again);
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

-- Content is stored once per attempt, type and trust.
create or replace function swarm.store_artifact(
  p_repo text, p_history bigint, p_type text, p_content text, p_metadata jsonb, p_trust text
) returns boolean language plpgsql volatile as $$
begin
  insert into swarm.stage_artifacts (repo_id, stage_history_id, artifact_type, content, content_hash, metadata, trust)
    values (p_repo, p_history, p_type, p_content, encode(sha256(convert_to(p_content, 'UTF8')), 'hex'), p_metadata, p_trust)
    on conflict do nothing;
  return found;
end $$;

create or replace function swarm.do_complete_stage(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_hold        jsonb := swarm.hold(p_repo, a, p || '{"cmd": "complete-stage"}');
  v_agent       integer := (a ->> 'agent_id')::integer;
  v_outcome     text := a ->> 'outcome';
  b             swarm.bead_backlog;
  s             swarm.workflow_stages;
  t             swarm.workflow_stages;
  v_history     swarm.stage_history;
  v_transition  text;
  v_target      text;
  v_attempt     integer;
  v_kept        boolean := false;
  v_now         timestamptz;
  v_lease       integer;
  e             jsonb;
  v_trust       text := case when (p ->> 'verified')::boolean then 'verified' else 'claimed' end;
begin
  if v_hold ? 'refused' then
    return v_hold;
  end if;
  v_now := clock_timestamp();
  select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = v_hold ->> 'bead_id';
  if a ->> 'stage' <> b.stage then
    return swarm.refused('CONFLICT', format('bead %s is at stage %s, not %s', b.bead_id, b.stage, a ->> 'stage'), 'stage',
      jsonb_build_object('field', 'stage', 'got', a ->> 'stage', 'current', b.stage),
      a || jsonb_build_object('cmd', 'complete-stage', 'stage', b.stage));
  end if;
  select * into s from swarm.workflow_stages where repo_id = p_repo and name = b.workflow and stage = b.stage;
  select * into v_history from swarm.stage_history
    where repo_id = p_repo and bead_id = b.bead_id and status = 'started' order by id desc limit 1;
  -- Fails closed: the last run of this very gate, by swarm and in this attempt, must have exited with 0.
  if v_outcome = 'passed' and s.gate is not null and coalesce(case
      when v_trust = 'verified' then (select (x ->> 'exit_code')::integer from jsonb_array_elements(a -> 'evidence') x where x -> 'gate' = s.gate)
      else (select (metadata ->> 'exit_code')::integer from swarm.stage_artifacts
        where stage_history_id = v_history.id and trust = 'verified' and metadata -> 'gate' = s.gate order by id desc limit 1) end, -1) <> 0 then
    return swarm.refused('CONFLICT', format('stage %s has a gate: it passes only when swarm has run it and it exited with 0', b.stage), 'stage',
      jsonb_build_object('stage', b.stage, 'gate', s.gate), jsonb_build_object('cmd', 'run-once', 'agent_id', v_agent));
  end if;

  if v_outcome = 'passed' then
    v_target := coalesce(s.on_pass, (select stage from swarm.workflow_stages
      where repo_id = p_repo and name = b.workflow and position > s.position order by position limit 1), 'done');
    v_transition := case when v_target = 'done' then 'finalize' else 'advance' end;
  else
    v_target := case when v_outcome = 'failed' then coalesce(s.on_fail, b.stage) else b.stage end;
    v_transition := 'retry';
  end if;

  update swarm.stage_history set status = v_outcome, result = v_transition, feedback = a ->> 'feedback', completed_at = v_now,
      duration_ms = greatest(0, extract(epoch from v_now - started_at) * 1000)
    where id = v_history.id;
  b.attempt := swarm.next_attempt(b, v_target);
  if v_transition = 'retry' then
    select * into t from swarm.workflow_stages where repo_id = p_repo and name = b.workflow and stage = v_target;
    if b.attempt > coalesce(t.max_attempts, (select max_implementation_attempts from swarm.swarm_config)) then
      v_transition := 'block';
      update swarm.stage_history set result = 'block' where id = v_history.id;
    end if;
  end if;
  v_attempt := case when v_transition in ('finalize', 'block') then v_history.attempt_number else b.attempt end;

  for e in select * from jsonb_array_elements(a -> 'artifacts') loop
    if swarm.store_artifact(p_repo, v_history.id, e ->> 'artifact_type', e ->> 'content', coalesce(e -> 'metadata', '{}'), 'claimed') then
      perform swarm.emit(p_repo, 'artifact_stored', b.bead_id, b.bead_id, v_agent, b.stage,
        jsonb_build_object('artifact_type', e ->> 'artifact_type', 'trust', 'claimed'));
    end if;
  end loop;
  for e in select * from jsonb_array_elements(a -> 'evidence') loop
    if swarm.store_artifact(p_repo, v_history.id, 'quality_gate_report', coalesce(e ->> 'output', ''), e - 'output', v_trust) then
      perform swarm.emit(p_repo, 'artifact_stored', b.bead_id, b.bead_id, v_agent, b.stage,
        jsonb_build_object('artifact_type', 'quality_gate_report', 'trust', v_trust));
    end if;
    b.commit_hash := coalesce(e ->> 'commit', b.commit_hash);
  end loop;
  if v_outcome = 'passed' and (v_trust = 'verified' or s.gate is not null) then
    b.verification_status := 'verified';
  elsif v_outcome = 'passed' and a ? 'evidence' and b.verification_status = 'unverified' then
    b.verification_status := 'claimed';
  end if;

  insert into swarm.execution_events (event_type, entity_id, repo_id, bead_id, agent_id, stage, session_id, payload) values
    ('stage_completed', b.bead_id, p_repo, b.bead_id, v_agent, b.stage, p ->> 'session', jsonb_strip_nulls(jsonb_build_object(
       'outcome', v_outcome, 'attempt', v_history.attempt_number, 'feedback', left(a ->> 'feedback', 500)))),
    ('transition_' || case v_transition when 'block' then 'blocked' else v_transition end, b.bead_id, p_repo, b.bead_id, v_agent, b.stage,
       p ->> 'session', jsonb_build_object('from', b.stage, 'to', case v_transition when 'block' then 'blocked' else v_target end));

  b.feedback := case when v_outcome = 'passed' then null else a ->> 'feedback' end;
  if v_transition in ('finalize', 'block') then
    update swarm.bead_backlog set status = case v_transition when 'finalize' then 'completed' else 'blocked' end,
        stage = case v_transition when 'finalize' then 'done' else v_target end, attempt = v_attempt, feedback = b.feedback,
        verification_status = b.verification_status, commit_hash = b.commit_hash, updated_at = v_now,
        finished_at = case v_transition when 'finalize' then v_now end
      where id = b.id;
    update swarm.bead_claims set status = case v_transition when 'finalize' then 'completed' else 'blocked' end, heartbeat_at = v_now
      where repo_id = p_repo and bead_id = b.bead_id;
    update swarm.agent_state set bead_id = null, current_stage = null, stage_started_at = null, status = 'idle', feedback = null, last_update = v_now
      where repo_id = p_repo and agent_id = v_agent;
    if v_transition = 'finalize' then
      perform swarm.shift_dependants(p_repo, b.bead_id, -1);
    end if;
  else
    v_kept := coalesce((p ->> 'keep')::boolean, true)
      and swarm.may_do(p_repo, b.workflow, v_target, (select role from swarm.agent_state where repo_id = p_repo and agent_id = v_agent));
    update swarm.bead_backlog set status = case when v_kept then 'in_progress' else 'pending' end, stage = v_target, attempt = v_attempt,
        retry_count = retry_count + (v_transition = 'retry')::integer, feedback = b.feedback,
        verification_status = b.verification_status, commit_hash = b.commit_hash, updated_at = v_now
      where id = b.id;
    if v_kept then
      v_lease := swarm.renew_held(p_repo, b.bead_id, null);
      insert into swarm.stage_history (repo_id, agent_id, bead_id, stage, attempt_number, status, fence, session_id, started_at)
        values (p_repo, v_agent, b.bead_id, v_target, v_attempt, 'started', b.fence, p ->> 'session', v_now);
      update swarm.agent_state set current_stage = v_target, stage_started_at = v_now, feedback = b.feedback, last_update = v_now,
          implementation_attempt = case when v_target = 'implement' then v_attempt else implementation_attempt end
        where repo_id = p_repo and agent_id = v_agent;
      insert into swarm.execution_events (event_type, entity_id, repo_id, bead_id, agent_id, stage, session_id, payload) values
        ('stage_started', b.bead_id, p_repo, b.bead_id, v_agent, v_target, p ->> 'session', jsonb_build_object('attempt', v_attempt));
    else
      perform swarm.end_claim(b, v_transition);
    end if;
  end if;
  return jsonb_build_object('d', jsonb_build_object('transition', v_transition,
    'stage', case v_transition when 'finalize' then 'done' else v_target end, 'attempt', v_attempt, 'kept', v_kept));
end $$;

-- Verbs that run a command of their own first and write afterwards. They are sent again under their key like any other
-- write: so they look for the reply before they run anything, and what they did comes in as `p`, beside the request.
create or replace function swarm.prior_reply(p_repo text, p_cmd text, p_args jsonb, p_key text) returns jsonb language sql stable as $$
  select swarm.replay(o, md5(p_cmd || p_args::text)) from swarm.operations o where repo_id = p_repo and key = p_key and reply is not null
$$;

-- What an agent holds and what is to be run for it: the gate of the current stage, and the gate of the stage `qa`.
create or replace function swarm.held_work(p_repo text, p_agent integer, p_bead text, p_fence bigint) returns jsonb language plpgsql volatile as $$
declare
  v_hold  jsonb := swarm.hold(p_repo, jsonb_strip_nulls(jsonb_build_object('agent_id', p_agent, 'bead_id', p_bead, 'fence', p_fence)), '{"cmd": "show"}');
  b       swarm.bead_backlog;
begin
  if v_hold ? 'refused' then
    return v_hold;
  end if;
  select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = v_hold ->> 'bead_id';
  return (swarm.claim_json(b, (select lease_ms from swarm.bead_claims where repo_id = p_repo and bead_id = b.bead_id), true) -> 'd')
    || coalesce((select jsonb_strip_nulls(jsonb_build_object('gate', s.gate, 'timeout_ms', s.timeout_ms))
        from swarm.workflow_stages s where s.repo_id = p_repo and s.name = b.workflow and s.stage = b.stage), '{}')
    || coalesce((select jsonb_build_object('qa', jsonb_build_object('gate', s.gate, 'timeout_ms', s.timeout_ms))
        from swarm.workflow_stages s where s.repo_id = p_repo and s.name = b.workflow and s.stage = 'qa' and s.gate is not null), '{}');
end $$;

-- `p`: complete (the stage's completion, as complete-stage takes it), attempt (which it is), ran (what the answer says of the command),
-- verified (swarm ran the stage's gate), lease_ms (of a claim that is kept by a process that now ends). What the command itself
-- completed or released stands.
create or replace function swarm.do_run_once(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  k        jsonb := p -> 'complete';
  v_state  text;
  v_reply  jsonb;
  b        swarm.bead_backlog;
  h        swarm.stage_history;
begin
  select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = k ->> 'bead_id' for no key update;
  v_state := swarm.claim_state(p_repo, (k ->> 'agent_id')::integer, b.bead_id, (k ->> 'fence')::bigint, k ->> 'stage', (p ->> 'attempt')::integer);
  if v_state in ('moved', 'ended') then
    h := swarm.attempt_under(p_repo, b.bead_id, (k ->> 'fence')::bigint, k ->> 'stage', (p ->> 'attempt')::integer);
    return jsonb_build_object('d', jsonb_build_object('ran', p -> 'ran',
      'transition', case when h.result in ('advance', 'retry', 'finalize', 'block') then h.result else 'noop' end,
      'stage', b.stage, 'attempt', b.attempt, 'kept', v_state = 'moved', 'by_command', true));
  end if;
  v_reply := swarm.do_complete_stage(p_repo, k, p - '{complete,ran,attempt}'::text[]);
  if v_reply ? 'refused' then
    return v_reply;
  end if;
  if (v_reply #>> '{d,kept}')::boolean and p ? 'lease_ms' then
    perform swarm.renew_held(p_repo, p #>> '{complete,bead_id}', (p ->> 'lease_ms')::integer);
  end if;
  return jsonb_build_object('d', jsonb_build_object('ran', p -> 'ran') || (v_reply -> 'd'));
end $$;

-- The steps of the loop have been written one by one; this keeps its answer.
create or replace function swarm.do_agent(p_repo text, a jsonb, p jsonb) returns jsonb language sql immutable as
$$ select jsonb_build_object('d', p -> 'summary') $$;

-- The latest row of an attempt of a stage under a fence.
create or replace function swarm.attempt_under(
  p_repo text, p_bead text, p_fence bigint, p_stage text, p_attempt integer
) returns swarm.stage_history language plpgsql stable as $$
declare
  h  swarm.stage_history;
begin
  select * into h from swarm.stage_history where repo_id = p_repo and bead_id = p_bead and fence = p_fence
    and stage = p_stage and attempt_number = p_attempt order by id desc limit 1;
  return h;
end $$;

-- How the claim stands under which an attempt was begun: `held`; `moved`, held but at another attempt, since whoever speaks for the
-- agent completed this one; `ended`, this one was completed or released so, and with it the claim; `lost` otherwise.
create or replace function swarm.claim_state(
  p_repo text, p_agent integer, p_bead text, p_fence bigint, p_stage text, p_attempt integer
) returns text language plpgsql stable as $$
declare
  c  swarm.bead_claims;
  h  swarm.stage_history;
begin
  select * into c from swarm.bead_claims where repo_id = p_repo and bead_id = p_bead and status = 'in_progress' and claimed_by = p_agent;
  h := swarm.attempt_under(p_repo, p_bead, p_fence, p_stage, p_attempt);
  return case
    when h.id is null then 'lost'
    when c.fence = p_fence then case h.status when 'started' then 'held' else 'moved' end
    when h.status = 'started' or c.claimed_at < h.completed_at then 'lost'
    when exists (select from swarm.stage_history where repo_id = p_repo and bead_id = p_bead and fence = p_fence
      and id >= h.id and result in ('lease_expired', 'cancelled')) then 'lost'
    else 'ended' end;
end $$;

-- The end of a command that ran under a claim of its own. `p`: claim {agent_id, bead_id, fence, stage, attempt}, complete (as
-- complete-stage takes it) or else release (the reason), verified, ran (what the answer says of the command); or the summary of
-- several. No claim is kept: its process goes away. What the command itself completed or released stands.
create or replace function swarm.do_work(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  k        jsonb := p -> 'claim';
  v_hold   jsonb;
  v_state  text;
  v_reply  jsonb := '{"d": {}}';
  b        swarm.bead_backlog;
  h        swarm.stage_history;
begin
  if p ? 'summary' then
    return jsonb_build_object('d', p -> 'summary');
  end if;
  v_hold := swarm.hold(p_repo, k, p || '{"cmd": "work"}');
  v_state := swarm.claim_state(p_repo, (k ->> 'agent_id')::integer, k ->> 'bead_id', (k ->> 'fence')::bigint, k ->> 'stage', (k ->> 'attempt')::integer);
  if v_state = 'lost' then
    v_reply := v_hold;
  elsif v_state = 'held' and p ? 'complete' then
    v_reply := swarm.do_complete_stage(p_repo, p -> 'complete', p - '{complete,claim,ran}'::text[] || '{"keep": false}');
  elsif v_state in ('held', 'moved') then
    v_reply := swarm.do_release(p_repo, jsonb_strip_nulls(k - '{stage,attempt}'::text[] || jsonb_build_object('reason', p -> 'release')), p);
  end if;
  if v_reply ? 'refused' then
    return v_reply;
  end if;
  select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = k ->> 'bead_id';
  h := swarm.attempt_under(p_repo, b.bead_id, (k ->> 'fence')::bigint, k ->> 'stage', (k ->> 'attempt')::integer);
  return jsonb_build_object('d', jsonb_strip_nulls(
    jsonb_build_object('bead_id', b.bead_id, 'stage', h.stage, 'attempt', h.attempt_number)
    || case when h.result in ('advance', 'retry', 'finalize', 'block')
         then jsonb_build_object('outcome', h.status, 'transition', h.result) else '{}' end
    || case when v_state <> 'held' then jsonb '{"by_command": true}' else '{}' end
    || (p -> 'ran')
    || jsonb_build_object('status', b.status, 'next_stage', b.stage)));
end $$;

-- Evidence of a gate that swarm ran, stored with the running attempt; decides nothing. `p`: evidence, ran.
create or replace function swarm.do_qa(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_hold     jsonb := swarm.hold(p_repo, a, p || '{"cmd": "qa"}');
  v_history  swarm.stage_history;
begin
  if v_hold ? 'refused' then
    return v_hold;
  end if;
  select * into v_history from swarm.stage_history
    where repo_id = p_repo and bead_id = v_hold ->> 'bead_id' and status = 'started' order by id desc limit 1;
  if swarm.store_artifact(p_repo, v_history.id, 'quality_gate_report', p #>> '{evidence,output}', (p -> 'evidence') - 'output', 'verified') then
    perform swarm.emit(p_repo, 'artifact_stored', v_history.bead_id, v_history.bead_id, v_history.agent_id, v_history.stage,
      jsonb_build_object('artifact_type', 'quality_gate_report', 'trust', 'verified'));
  end if;
  perform swarm.renew_held(p_repo, v_history.bead_id, null);
  return jsonb_build_object('d', p -> 'ran');
end $$;

create or replace function swarm.do_heartbeat(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_agent  integer := (a ->> 'agent_id')::integer;
  v_hold   jsonb;
  v_lease  integer;
  v_bead   text := coalesce(a ->> 'bead_id', p ->> 'bead_id');
begin
  if v_bead is null and not exists (select from swarm.bead_claims
      where repo_id = p_repo and claimed_by = v_agent and status = 'in_progress') then
    update swarm.agent_state set last_update = clock_timestamp() where repo_id = p_repo and agent_id = v_agent;
    if not found then
      return swarm.unknown_agent(p_repo, v_agent);
    end if;
  else
    v_hold := swarm.hold(p_repo, a, p || '{"cmd": "heartbeat"}');
    if v_hold ? 'refused' then
      return v_hold;
    end if;
    v_bead := v_hold ->> 'bead_id';
    v_lease := swarm.renew_held(p_repo, v_bead, (a ->> 'lease_ms')::integer);
    update swarm.agent_state set last_update = clock_timestamp() where repo_id = p_repo and agent_id = v_agent;
  end if;
  if a ? 'note' then
    perform swarm.emit(p_repo, 'progress', coalesce(v_bead, 'agent:' || v_agent), v_bead, v_agent,
      (select stage from swarm.bead_backlog where repo_id = p_repo and bead_id = v_bead),
      jsonb_build_object('phase', 'executing', 'note', a ->> 'note'));
  end if;
  return jsonb_build_object('d', jsonb_strip_nulls(jsonb_build_object('bead_id', v_bead, 'lease_ms', v_lease)));
end $$;

create or replace function swarm.do_release(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_hold  jsonb := swarm.hold(p_repo, a, p || '{"cmd": "release"}');
  v_to    text := coalesce(a ->> 'to', 'pending');
  b       swarm.bead_backlog;
begin
  if v_hold ? 'refused' then
    return v_hold;
  end if;
  select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = v_hold ->> 'bead_id';
  perform swarm.end_claim(b, 'released');
  update swarm.bead_backlog set status = v_to, updated_at = clock_timestamp(),
      feedback = case when v_to = 'blocked' then coalesce(a ->> 'reason', feedback) else feedback end
    where id = b.id;
  perform swarm.emit(p_repo, 'bead_released', b.bead_id, b.bead_id, (a ->> 'agent_id')::integer, b.stage,
    jsonb_strip_nulls(jsonb_build_object('to', v_to, 'reason', a ->> 'reason', 'fence', b.fence)));
  return jsonb_build_object('d', jsonb_build_object('bead_id', b.bead_id, 'status', v_to));
end $$;

-- Repeats a stage: the running attempt ends without an outcome and a new one of the named stage begins. Back or again, never ahead.
create or replace function swarm.do_start_stage(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_hold   jsonb := swarm.hold(p_repo, a, p || '{"cmd": "start-stage"}');
  v_agent  integer := (a ->> 'agent_id')::integer;
  b        swarm.bead_backlog;
  v_stage  text;
  v_here   integer;
  v_there  integer;
begin
  if v_hold ? 'refused' then
    return v_hold;
  end if;
  select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = v_hold ->> 'bead_id';
  v_stage := coalesce(a ->> 'stage', b.stage);
  select position into v_here from swarm.workflow_stages where repo_id = p_repo and name = b.workflow and stage = b.stage;
  select position into v_there from swarm.workflow_stages where repo_id = p_repo and name = b.workflow and stage = v_stage;
  if v_there is null or v_there > v_here then
    return swarm.refused('CONFLICT', format('bead %s is at stage %s; only this stage or an earlier one can be started again, not %s', b.bead_id, b.stage, v_stage),
      'stage', jsonb_build_object('field', 'stage', 'got', v_stage, 'current', b.stage),
      a || jsonb_build_object('cmd', 'start-stage', 'stage', b.stage));
  end if;
  update swarm.stage_history set status = 'error', result = 'noop', completed_at = clock_timestamp(),
      duration_ms = greatest(0, extract(epoch from clock_timestamp() - started_at) * 1000)
    where repo_id = p_repo and bead_id = b.bead_id and status = 'started';
  b.attempt := swarm.next_attempt(b, v_stage);
  update swarm.bead_backlog set stage = v_stage, attempt = b.attempt, updated_at = clock_timestamp() where id = b.id;
  insert into swarm.stage_history (repo_id, agent_id, bead_id, stage, attempt_number, status, fence, session_id, started_at)
    values (p_repo, v_agent, b.bead_id, v_stage, b.attempt, 'started', b.fence, p ->> 'session', clock_timestamp());
  perform swarm.renew_held(p_repo, b.bead_id, null);
  update swarm.agent_state set current_stage = v_stage, stage_started_at = clock_timestamp(), last_update = clock_timestamp()
    where repo_id = p_repo and agent_id = v_agent;
  insert into swarm.execution_events (event_type, entity_id, repo_id, bead_id, agent_id, stage, session_id, payload) values
    ('transition_noop', b.bead_id, p_repo, b.bead_id, v_agent, b.stage, p ->> 'session', jsonb_build_object('from', b.stage, 'to', v_stage)),
    ('stage_started', b.bead_id, p_repo, b.bead_id, v_agent, v_stage, p ->> 'session', jsonb_build_object('attempt', b.attempt));
  return jsonb_build_object('d', jsonb_build_object('bead_id', b.bead_id, 'stage', v_stage, 'attempt', b.attempt));
end $$;


-- 12. Steering the backlog -------------------------------------------------------------------------------------------

-- Gives a named bead to a named agent; its process picks it up with claim-next.
create or replace function swarm.do_assign(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_agent  integer := (a ->> 'agent_id')::integer;
  v_lease  integer := coalesce((a ->> 'lease_ms')::integer, 900000);
  b        swarm.bead_backlog;
  v_held   text;
  v_role   text;
begin
  select role into v_role from swarm.agent_state where repo_id = p_repo and agent_id = v_agent for no key update;
  if not found then
    return swarm.unknown_agent(p_repo, v_agent);
  end if;
  select bead_id into v_held from swarm.bead_claims where repo_id = p_repo and claimed_by = v_agent and status = 'in_progress';
  if v_held is not null then
    return swarm.refused('CONFLICT', format('agent %s already holds bead %s', v_agent, v_held), 'claim',
      jsonb_build_object('agent_id', v_agent, 'bead_id', v_held), jsonb_build_object('cmd', 'release', 'agent_id', v_agent, 'bead_id', v_held));
  end if;
  select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = a ->> 'bead_id' for no key update;
  if not found then
    return swarm.unknown_bead(p_repo, a ->> 'bead_id', a || '{"cmd": "assign"}');
  end if;
  if b.status <> 'pending' or b.open_blockers > 0 then
    return swarm.refused('CONFLICT', case when b.status <> 'pending' then format('bead %s is %s, not pending', b.bead_id, b.status)
        else format('bead %s waits for %s other beads', b.bead_id, b.open_blockers) end, 'claim',
      jsonb_build_object('bead_id', b.bead_id, 'status', b.status, 'open_blockers', b.open_blockers),
      jsonb_build_object('cmd', 'show', 'bead_id', b.bead_id));
  end if;
  if not swarm.may_do(p_repo, b.workflow, b.stage, v_role) then
    return swarm.refused('CONFLICT', format('stage %s of bead %s is not for role %s', b.stage, b.bead_id, v_role), 'stage',
      jsonb_build_object('stage', b.stage, 'role', v_role), jsonb_build_object('cmd', 'workflows'));
  end if;
  b := swarm.give_bead(b, v_agent, null, v_lease);
  return jsonb_build_object('d', jsonb_build_object('bead_id', b.bead_id, 'agent_id', v_agent, 'stage', b.stage,
    'attempt', b.attempt, 'fence', b.fence, 'lease_ms', v_lease));
end $$;

create or replace function swarm.do_update(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  b          swarm.bead_backlog;
  v_id       text := a ->> 'bead_id';
  v_old      text[];
  v_new      text[];
  v_other    text;
  v_cycle    text[];
  v_changed  text[];
  v_status   text := a ->> 'status';
begin
  if a ? 'depends_on' then
    perform swarm.lock_links(p_repo);
    v_new := swarm.texts(a -> 'depends_on');
    v_old := array(select other_id from swarm.bead_links where repo_id = p_repo and bead_id = v_id and kind = 'blocks');
    perform swarm.lock_blockers(p_repo, v_new || v_old);
  end if;
  select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = v_id for no key update;
  if not found then
    return swarm.unknown_bead(p_repo, v_id, a || '{"cmd": "update"}');
  end if;
  if v_status is not null and b.status = 'completed' then
    return swarm.refused('CONFLICT', format('bead %s is completed', v_id), 'claim', jsonb_build_object('status', b.status),
      jsonb_build_object('cmd', 'reopen', 'bead_id', v_id));
  end if;
  if a ? 'depends_on' then
    foreach v_other in array v_new loop
      if not exists (select from swarm.bead_backlog where repo_id = p_repo and bead_id = v_other) then
        return swarm.refused('NOTFOUND', format('no bead %s in repo %s to depend on', v_other, p_repo), null,
          jsonb_build_object('field', 'depends_on', 'got', v_other), jsonb_build_object('cmd', 'beads'));
      end if;
      if not v_other = any(v_old) then
        v_cycle := swarm.find_cycle(p_repo, jsonb_build_array(jsonb_build_object('bead', v_id, 'other', v_other)));
        if v_cycle is not null then
          return swarm.refused_cycle(v_cycle);
        end if;
      end if;
    end loop;
    if not (v_old @> v_new and v_new @> v_old) then
      v_changed := array['depends_on'];
    end if;
  end if;
  v_changed := v_changed || array_remove(array[
    case when a ->> 'title' <> b.title then 'title' end, case when a ->> 'description' <> b.description then 'description' end,
    case when a ->> 'priority' <> b.priority then 'priority' end,
    case when a ? 'bead_type' and a ->> 'bead_type' <> b.bead_type then 'bead_type' end,
    case when a ? 'labels' and swarm.texts(a -> 'labels') <> b.labels then 'labels' end,
    case when a ? 'metadata' and a -> 'metadata' <> b.metadata then 'metadata' end,
    case when v_status <> b.status then 'status' end], null);
  if v_changed = '{}' or v_changed is null then
    return jsonb_build_object('d', jsonb_build_object('bead_id', v_id, 'changed', '[]'::jsonb));
  end if;

  if a ? 'depends_on' then
    foreach v_other in array v_old loop
      if not v_other = any(v_new) then
        perform swarm.drop_link(p_repo, v_id, v_other, 'blocks');
      end if;
    end loop;
    foreach v_other in array v_new loop
      perform swarm.add_link(p_repo, v_id, v_other, 'blocks');
    end loop;
  end if;
  if v_status <> b.status then
    perform swarm.end_claim(b, case v_status when 'cancelled' then 'cancelled' else 'released' end);
    if swarm.is_open(b.status) <> swarm.is_open(v_status) then
      perform swarm.shift_dependants(p_repo, v_id, case when swarm.is_open(v_status) then 1 else -1 end);
    end if;
  end if;
  update swarm.bead_backlog set title = coalesce(a ->> 'title', title), description = coalesce(a ->> 'description', description),
      priority = coalesce(a ->> 'priority', priority), bead_type = coalesce(a ->> 'bead_type', bead_type),
      labels = case when a ? 'labels' then swarm.texts(a -> 'labels') else labels end,
      metadata = coalesce(a -> 'metadata', metadata), status = coalesce(v_status, status), updated_at = clock_timestamp(),
      finished_at = case when v_status is null then finished_at when v_status = 'cancelled' then clock_timestamp() end
    where id = b.id;
  perform swarm.emit(p_repo, 'bead_updated', v_id, v_id, (a ->> 'agent_id')::integer, b.stage,
    jsonb_strip_nulls(jsonb_build_object('changed', to_jsonb(v_changed), 'status', v_status)));
  return jsonb_build_object('d', jsonb_build_object('bead_id', v_id, 'changed', to_jsonb(v_changed)));
end $$;

create or replace function swarm.do_cancel(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  b        swarm.bead_backlog;
  v_agent  integer;
begin
  select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = a ->> 'bead_id' for no key update;
  if not found then
    return swarm.unknown_bead(p_repo, a ->> 'bead_id', a || '{"cmd": "cancel"}');
  end if;
  if b.status = 'cancelled' then
    return jsonb_build_object('d', jsonb_build_object('bead_id', b.bead_id, 'status', 'cancelled', 'was', 'cancelled'));
  end if;
  if b.status = 'completed' then
    return swarm.refused('CONFLICT', format('bead %s is completed', b.bead_id), 'claim', jsonb_build_object('status', b.status),
      jsonb_build_object('cmd', 'show', 'bead_id', b.bead_id));
  end if;
  v_agent := swarm.end_claim(b, 'cancelled');
  update swarm.bead_backlog set status = 'cancelled', updated_at = clock_timestamp(), finished_at = clock_timestamp(),
    feedback = coalesce(a ->> 'reason', feedback) where id = b.id;
  perform swarm.shift_dependants(p_repo, b.bead_id, -1);
  perform swarm.emit(p_repo, 'state_change', b.bead_id, b.bead_id, v_agent, b.stage,
    jsonb_strip_nulls(jsonb_build_object('from', b.status, 'to', 'cancelled', 'reason', a ->> 'reason')));
  return jsonb_build_object('d', jsonb_build_object('bead_id', b.bead_id, 'status', 'cancelled', 'was', b.status));
end $$;

-- Back to pending at a stage, with fresh attempts. The caller has locked the bead.
create or replace function swarm.reopen_bead(b swarm.bead_backlog, p_stage text, p_feedback text) returns void language plpgsql volatile as $$
begin
  perform swarm.end_claim(b, 'cancelled');
  update swarm.bead_backlog set status = 'pending', stage = p_stage, attempt = 1, retry_count = 0, attempts_from = fence,
      feedback = p_feedback, finished_at = null, verification_status = 'unverified', updated_at = clock_timestamp()
    where id = b.id;
  delete from swarm.bead_claims where repo_id = b.repo_id and bead_id = b.bead_id;
  if not swarm.is_open(b.status) then
    perform swarm.shift_dependants(b.repo_id, b.bead_id, 1);
  end if;
  perform swarm.emit(b.repo_id, 'state_change', b.bead_id, b.bead_id, null, p_stage,
    jsonb_build_object('from', b.status, 'to', 'pending'));
end $$;

create or replace function swarm.do_reopen(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  b        swarm.bead_backlog;
  v_stage  text;
begin
  select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = a ->> 'bead_id' for no key update;
  if not found then
    return swarm.unknown_bead(p_repo, a ->> 'bead_id', a || '{"cmd": "reopen"}');
  end if;
  v_stage := coalesce(a ->> 'stage', case when b.stage = 'done' or not swarm.is_open(b.status)
    then swarm.first_stage(p_repo, b.workflow) else b.stage end);
  if not exists (select from swarm.workflow_stages where repo_id = p_repo and name = b.workflow and stage = v_stage) then
    return swarm.refused('CONFLICT', format('workflow %s has no stage %s', b.workflow, v_stage), 'stage',
      jsonb_build_object('field', 'stage', 'got', v_stage), jsonb_build_object('cmd', 'reopen', 'bead_id', b.bead_id));
  end if;
  if b.status in ('pending', 'in_progress') then
    return swarm.refused('CONFLICT', format('bead %s is %s already', b.bead_id, b.status), 'claim',
      jsonb_build_object('status', b.status), jsonb_build_object('cmd', 'show', 'bead_id', b.bead_id));
  end if;
  perform swarm.reopen_bead(b, v_stage, a ->> 'feedback');
  return jsonb_build_object('d', jsonb_build_object('bead_id', b.bead_id, 'status', 'pending', 'stage', v_stage, 'was', b.status));
end $$;


-- 13. Appends: events, messages, broadcasts --------------------------------------------------------------------------
-- They contend for no row, so lines that are already waiting travel as one statement. Each call appends one event; a
-- message or broadcast takes its place in the stream from it. One reply per call, in order.

create or replace function swarm.append(p_calls jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_start    timestamptz := clock_timestamp();
  c          jsonb;
  v_replies  jsonb[];
  n          integer := 0;
begin
  perform set_config('lock_timeout', '10s', true);
  -- all keys before the first event: who waits here for another send of its key holds no place in the log
  for c in select x from jsonb_array_elements(p_calls) x loop
    v_replies := v_replies || array[swarm.take_key(c ->> 'repo', c ->> 'cmd', c -> 'args', c ->> 'key')];
  end loop;
  for c in select x from jsonb_array_elements(p_calls) x loop
    n := n + 1;
    if v_replies[n] is null then
      v_replies[n] := swarm.carry_out(c ->> 'repo', c ->> 'cmd', c -> 'args', c -> 'proc', c ->> 'key', c ->> 'rid', v_start);
    end if;
  end loop;
  return to_jsonb(v_replies);
end $$;

create or replace function swarm.do_record_event(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  d      jsonb := a -> 'diagnostics';
  v_seq  bigint;
begin
  insert into swarm.execution_events (event_type, entity_id, repo_id, bead_id, agent_id, stage, causation_id, run_id, session_id,
      diagnostics_category, diagnostics_retryable, diagnostics_next_command, diagnostics_detail, payload, schema_version, created_at)
    values (a ->> 'event_type', a ->> 'entity_id', p_repo, a ->> 'bead_id', (a ->> 'agent_id')::integer, a ->> 'stage',
      a ->> 'causation_id', a ->> 'run_id', coalesce(a ->> 'session_id', p ->> 'session'),
      d ->> 'category', (d ->> 'retryable')::boolean, d ->> 'next_command', d ->> 'detail',
      coalesce(a -> 'payload', '{}'), coalesce((a ->> 'payload_version')::integer, 1), coalesce((a ->> 'timestamp')::timestamptz, clock_timestamp()))
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
  insert into swarm.execution_events (event_type, entity_id, repo_id, bead_id, agent_id, session_id, payload)
    values ('message_sent', 'agent:' || v_from, p_repo, a ->> 'bead_id', v_from, p ->> 'session',
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
    values ('broadcast_sent', 'agent:' || (a ->> 'from'), p_repo, substring(a ->> 'from' from '^[0-9]{1,9}$')::integer, p ->> 'session', '{}')
    returning seq into v_seq;
  insert into swarm.broadcast_log (repo_id, from_agent, msg, seq) values (p_repo, a ->> 'from', a ->> 'msg', v_seq) returning id into v_id;
  return jsonb_build_object('d', jsonb_build_object('broadcast_id', v_id, 'sequence', v_seq));
end $$;

create or replace function swarm.check_sender(p_repo text, p_from text) returns jsonb language sql stable as $$
  select case when p_from ~ '^[0-9]{1,9}$' and not exists (select from swarm.agent_state where repo_id = p_repo and agent_id = p_from::integer)
    then swarm.unknown_agent(p_repo, p_from::integer) else '{}' end
$$;

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
create or replace function swarm.message_extras(m swarm.agent_messages) returns jsonb language sql stable as $$
  select jsonb_strip_nulls(jsonb_build_object('thread_id', m.thread_id, 'reply_to', m.reply_to, 'importance', nullif(m.importance, 'normal'),
    'ack_required', nullif(m.ack_required, false), 'deadline_at', swarm.iso(m.deadline_at)))
$$;

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

-- Unread first, oldest first; read unless peeked. Broadcasts of the last day that this agent has not seen come along.
create or replace function swarm.do_inbox(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_agent       integer := (a ->> 'agent_id')::integer;
  v_limit       integer := coalesce((a ->> 'limit')::integer, 20);
  v_unread      boolean := coalesce((a ->> 'unread')::boolean, true);
  v_ids         bigint[];
  v_broadcasts  bigint[];
  v_now         timestamptz;
  v_since       timestamptz;
  v_messages    jsonb;
begin
  select created_at into v_since from swarm.agent_state where repo_id = p_repo and agent_id = v_agent for no key update;
  if not found then
    return swarm.unknown_agent(p_repo, v_agent);
  end if;
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
  v_broadcasts := array(select l.id from swarm.broadcast_log l
    where l.repo_id = p_repo and l.created_at >= greatest(v_since, v_now - interval '1 day') and l.from_agent <> v_agent::text
      and (not v_unread or not exists (select from swarm.broadcast_receipts r where r.broadcast_id = l.id and r.agent_id = v_agent))
    order by l.id limit v_limit);
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
    'broadcasts', coalesce((select jsonb_agg(jsonb_build_object('broadcast_id', l.id, 'from', l.from_agent, 'msg', l.msg, 'at', swarm.iso(l.created_at)) order by l.id)
      from swarm.broadcast_log l where l.id = any(v_broadcasts)), '[]'),
    'unread', (select count(*) from swarm.agent_messages where to_repo_id = p_repo and to_agent_id = v_agent and not read)));
end $$;

create or replace function swarm.do_ack(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_agent   integer := (a ->> 'agent_id')::integer;
  v_wanted  bigint[] := array(select t::bigint from jsonb_array_elements_text(a -> 'message_ids') t);
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


-- 14. Locks on resources ---------------------------------------------------------------------------------------------

create or replace function swarm.do_lock(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_resource  text := a ->> 'resource';
  v_agent     text := a ->> 'agent';
  v_mode      text := coalesce(a ->> 'mode', 'exclusive');
  v_ttl       integer := coalesce((a ->> 'ttl_ms')::integer, 60000);
  v_now       timestamptz;
  v_other     swarm.resource_locks;
  v_mine      swarm.resource_locks;
  v_sender    jsonb := swarm.check_sender(p_repo, a ->> 'agent');
begin
  if v_sender ? 'refused' then
    return v_sender;
  end if;
  perform pg_advisory_xact_lock(hashtext('swarm:lock:' || p_repo || ':' || v_resource));
  v_now := clock_timestamp();
  select * into v_other from swarm.resource_locks where repo_id = p_repo and resource = v_resource and agent <> v_agent
    and until_at > v_now and (mode = 'exclusive' or v_mode = 'exclusive') order by until_at desc limit 1;
  if found then
    return swarm.refused('BUSY', format('%s is locked by %s', v_resource, v_other.agent), null,
      jsonb_build_object('resource', v_resource, 'holder', v_other.agent, 'mode', v_other.mode, 'until_at', swarm.iso(v_other.until_at),
        'remaining_ms', ceil(extract(epoch from v_other.until_at - v_now) * 1000)::bigint),
      a || jsonb_build_object('cmd', 'lock'));
  end if;
  select * into v_mine from swarm.resource_locks where repo_id = p_repo and resource = v_resource and agent = v_agent and until_at > v_now;
  delete from swarm.resource_locks where repo_id = p_repo and resource = v_resource and until_at <= v_now and agent <> v_agent;
  insert into swarm.resource_locks (repo_id, resource, agent, mode, fence, since, until_at)
    values (p_repo, v_resource, v_agent, v_mode, nextval('swarm.lock_fence'), v_now, v_now + make_interval(secs => v_ttl / 1000.0))
    on conflict (repo_id, resource, agent) do update set mode = excluded.mode, until_at = excluded.until_at,
      fence = case when v_mine.agent is null then excluded.fence else swarm.resource_locks.fence end,
      since = case when v_mine.agent is null then excluded.since else swarm.resource_locks.since end
    returning * into v_other;
  perform swarm.emit(p_repo, case when v_mine.agent is null then 'lock_acquired' else 'lock_renewed' end, 'resource:' || v_resource, null,
    substring(v_agent from '^[0-9]{1,9}$')::integer, null,
    jsonb_build_object('resource', v_resource, 'mode', v_mode, 'ttl_ms', v_ttl, 'fence', v_other.fence));
  return jsonb_build_object('d', jsonb_build_object('resource', v_resource, 'agent', v_agent, 'mode', v_mode, 'fence', v_other.fence,
    'until_at', swarm.iso(v_other.until_at), 'renewed', v_mine.agent is not null));
end $$;

create or replace function swarm.do_unlock(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_resource  text := a ->> 'resource';
  v_agent     text := a ->> 'agent';
  v_other     swarm.resource_locks;
begin
  perform pg_advisory_xact_lock(hashtext('swarm:lock:' || p_repo || ':' || v_resource));
  select * into v_other from swarm.resource_locks where repo_id = p_repo and resource = v_resource and agent = v_agent and until_at > clock_timestamp();
  if not found then
    select * into v_other from swarm.resource_locks where repo_id = p_repo and resource = v_resource and until_at > clock_timestamp() order by until_at desc limit 1;
    if found then
      return swarm.refused('CONFLICT', format('%s is locked by %s, not by %s', v_resource, v_other.agent, v_agent), 'claim',
        jsonb_build_object('resource', v_resource, 'holder', v_other.agent), jsonb_build_object('cmd', 'locks'));
    end if;
    return swarm.refused('NOTFOUND', format('%s is not locked', v_resource), null,
      jsonb_build_object('field', 'resource', 'got', v_resource), jsonb_build_object('cmd', 'locks'));
  end if;
  delete from swarm.resource_locks where repo_id = p_repo and resource = v_resource and agent = v_agent;
  perform swarm.emit(p_repo, 'lock_released', 'resource:' || v_resource, null, substring(v_agent from '^[0-9]{1,9}$')::integer, null,
    jsonb_build_object('resource', v_resource, 'fence', v_other.fence));
  return jsonb_build_object('d', jsonb_build_object('resource', v_resource, 'agent', v_agent, 'held_ms',
    floor(extract(epoch from clock_timestamp() - v_other.since) * 1000)::bigint));
end $$;


-- 15. Looking --------------------------------------------------------------------------------------------------------

-- One bead as people see it: without its text in lists, with it when asked for.
create or replace function swarm.bead_json(b swarm.bead_backlog, p_full boolean) returns jsonb language sql stable as $$
  select jsonb_strip_nulls(jsonb_build_object('bead_id', b.bead_id, 'title', b.title, 'status', b.status, 'priority', b.priority,
      'stage', b.stage, 'attempt', b.attempt, 'open_blockers', b.open_blockers, 'bead_type', b.bead_type, 'labels', to_jsonb(b.labels)))
    || case when not p_full then '{}'::jsonb else jsonb_strip_nulls(jsonb_build_object('description', b.description, 'workflow', b.workflow,
      'retry_count', b.retry_count, 'feedback', b.feedback, 'fence', b.fence, 'verification_status', b.verification_status,
      'commit_hash', b.commit_hash, 'pr_url', b.pr_url, 'created_at', swarm.iso(b.created_at), 'updated_at', swarm.iso(b.updated_at),
      'finished_at', swarm.iso(b.finished_at))) || jsonb_build_object('metadata', b.metadata) end
$$;

create or replace function swarm.claim_row_json(c swarm.bead_claims) returns jsonb language sql volatile as $$
  select jsonb_build_object('bead_id', c.bead_id, 'agent_id', c.claimed_by, 'fence', c.fence, 'claimed_at', swarm.iso(c.claimed_at),
    'heartbeat_at', swarm.iso(c.heartbeat_at), 'lease_expires_at', swarm.iso(c.lease_expires_at),
    'remaining_ms', greatest(0, ceil(extract(epoch from c.lease_expires_at - clock_timestamp()) * 1000))::bigint)
$$;

create or replace function swarm.show_bead(p_repo text, p_bead text) returns jsonb language plpgsql volatile as $$
declare
  b  swarm.bead_backlog;
begin
  select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = p_bead;
  if not found then
    return swarm.unknown_bead(p_repo, p_bead, '{"cmd": "show"}');
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

create or replace function swarm.agent_json(s swarm.agent_state, p_full boolean) returns jsonb language sql stable as $$
  select jsonb_strip_nulls(jsonb_build_object('agent_id', s.agent_id, 'name', s.name, 'role', s.role, 'status', s.status,
      'bead_id', s.bead_id, 'stage', s.current_stage, 'last_update', swarm.iso(s.last_update)))
    || case when not p_full then '{}'::jsonb else jsonb_strip_nulls(jsonb_build_object('host', s.host, 'feedback', s.feedback,
      'stage_started_at', swarm.iso(s.stage_started_at), 'implementation_attempt', s.implementation_attempt,
      'created_at', swarm.iso(s.created_at), 'unread', (select count(*) from swarm.agent_messages m
        where m.to_repo_id = s.repo_id and m.to_agent_id = s.agent_id and not m.read))) end
$$;

create or replace function swarm.lock_json(l swarm.resource_locks) returns jsonb language sql volatile as $$
  select jsonb_build_object('resource', l.resource, 'agent', l.agent, 'mode', l.mode, 'fence', l.fence, 'since', swarm.iso(l.since),
    'until_at', swarm.iso(l.until_at), 'remaining_ms', greatest(0, ceil(extract(epoch from l.until_at - clock_timestamp()) * 1000))::bigint)
$$;

-- Text as a list shows it: its beginning.
create or replace function swarm.cut(p_text text, p_max integer) returns text language sql immutable parallel safe as
$$ select case when length(p_text) > p_max then left(p_text, p_max - 1) || '…' else p_text end $$;

create or replace function swarm.attempt_json(h swarm.stage_history, p_max integer) returns jsonb language sql volatile as $$
  select jsonb_strip_nulls(jsonb_build_object('bead_id', h.bead_id, 'stage', h.stage, 'attempt', h.attempt_number,
    'agent_id', h.agent_id, 'status', h.status, 'result', h.result, 'feedback', swarm.cut(h.feedback, p_max),
    'started_at', swarm.iso(h.started_at), 'duration_ms', coalesce(h.duration_ms,
      greatest(0, floor(extract(epoch from clock_timestamp() - h.started_at) * 1000))::bigint)))
$$;

create or replace function swarm.message_json(m swarm.agent_messages, p_max integer) returns jsonb language sql stable as $$
  select jsonb_strip_nulls(jsonb_build_object('message_id', m.id, 'from', m.from_agent_id, 'to', m.to_agent_id,
      'message_type', m.message_type, 'subject', nullif(m.subject, ''), 'bead_id', m.bead_id, 'body', swarm.cut(m.body, p_max),
      'at', swarm.iso(m.created_at), 'state', case when r.acked_at is not null then 'acked' when r.read_at is not null then 'read'
        when r.delivered_at is not null then 'delivered' else 'queued' end,
      'delivered_at', swarm.iso(r.delivered_at), 'read_at', swarm.iso(r.read_at), 'acked_at', swarm.iso(r.acked_at)))
    || swarm.message_extras(m)
    from (select) x left join swarm.message_receipts r on r.message_id = m.id and r.agent_id = m.to_agent_id
$$;

-- What claim-next would do now, found without a lock: the same order and filters, and leases that have run out count as
-- given back. `others` says of the beads next in order why it is not them.
create or replace function swarm.next_bead(p_repo text, a jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_agent   integer := (a ->> 'agent_id')::integer;
  v_role    text;
  v_labels  text[] := case when a ? 'labels' then swarm.texts(a -> 'labels') end;
  v_types   text[] := case when a ? 'bead_types' then swarm.texts(a -> 'bead_types') end;
  v_now     timestamptz := clock_timestamp();
  v_paused  boolean := (select swarm_status = 'paused' from swarm.swarm_config);
  v_held    boolean := false;
  v_others  jsonb;
  b         swarm.bead_backlog;
begin
  if v_agent is not null then
    select role into v_role from swarm.agent_state where repo_id = p_repo and agent_id = v_agent;
    if not found then
      return swarm.unknown_agent(p_repo, v_agent);
    end if;
    select x.* into b from swarm.bead_claims c join swarm.bead_backlog x on x.repo_id = c.repo_id and x.bead_id = c.bead_id
      where c.repo_id = p_repo and c.claimed_by = v_agent and c.status = 'in_progress' and c.lease_expires_at >= v_now;
    v_held := found;
  end if;
  if not v_held and not v_paused then
    select x.* into b from (
      (select x.id from swarm.bead_backlog x
        where v_role is null and x.repo_id = p_repo and x.status = 'pending' and x.open_blockers = 0
          and (v_labels is null or x.labels @> v_labels) and (v_types is null or x.bead_type = any(v_types))
        order by x.priority, x.created_at, x.id limit 1)
      union all
      select c.id from swarm.workflow_stages s cross join lateral (
        select x.id from swarm.bead_backlog x
        where x.repo_id = p_repo and x.workflow = s.name and x.stage = s.stage and x.status = 'pending' and x.open_blockers = 0
          and (v_labels is null or x.labels @> v_labels) and (v_types is null or x.bead_type = any(v_types))
        order by x.priority, x.created_at, x.id limit 1) c
      where v_role is not null and s.repo_id = p_repo and (s.role is null or v_role = any(s.role))
      union all
      select x.id from (select bead_id from swarm.bead_claims
          where repo_id = p_repo and status = 'in_progress' and lease_expires_at < v_now order by lease_expires_at limit 100) c
        join swarm.bead_backlog x on x.repo_id = p_repo and x.bead_id = c.bead_id
        where x.status = 'in_progress' and x.open_blockers = 0 and swarm.may_do(p_repo, x.workflow, x.stage, v_role)
          and (v_labels is null or x.labels @> v_labels) and (v_types is null or x.bead_type = any(v_types))
    ) i join swarm.bead_backlog x on x.id = i.id order by x.priority, x.created_at, x.id limit 1;
  end if;

  select coalesce(jsonb_agg(jsonb_build_object('bead_id', o.bead_id, 'why_not', case
      when o.open_blockers > 0 then 'waits for ' || coalesce((select string_agg(w.other_id, ', ' order by w.other_id) from (
        select distinct l.other_id from swarm.bead_links l join swarm.bead_backlog k on k.repo_id = l.repo_id and k.bead_id = l.other_id
        where l.repo_id = p_repo and l.bead_id = o.bead_id and swarm.blocking(l.kind) and swarm.is_open(k.status)
        order by l.other_id limit 3) w), 'others') || case when o.open_blockers > 3 then format(' and %s more', o.open_blockers - 3) else '' end
      when not swarm.may_do(p_repo, o.workflow, o.stage, v_role) then format('its stage %s is not for role %s', o.stage, v_role)
      when not o.labels @> v_labels then 'it lacks a label asked for'
      when not o.bead_type = any(v_types) then format('it is of type %s', o.bead_type)
      when v_held then format('agent %s holds a bead already', v_agent)
      when v_paused then 'the swarm is paused'
      else 'it comes later' end) order by o.priority, o.created_at, o.id), '[]')
    into v_others from (
      (select * from swarm.bead_backlog x where x.repo_id = p_repo and x.status = 'pending' and x.open_blockers = 0
        and x.id is distinct from b.id order by x.priority, x.created_at, x.id limit 5)
      union all
      (select * from swarm.bead_backlog x where x.repo_id = p_repo and x.status = 'pending' and x.open_blockers > 0
        and x.id is distinct from b.id order by x.priority, x.created_at, x.id limit 5)
      order by priority, created_at, id limit 5) o;
  if b.id is null then
    return (swarm.none_json(p_repo, v_role is not null or v_labels is not null or v_types is not null) -> 'd')
      || jsonb_build_object('others', v_others);
  end if;
  return jsonb_strip_nulls(jsonb_build_object('stage', b.stage, 'attempt', case when v_held then b.attempt else swarm.next_attempt(b, b.stage) end,
      'feedback', b.feedback, 'held', v_held, 'why', case
        when v_held then format('agent %s holds it', v_agent)
        when b.status = 'in_progress' then 'its lease has run out, and it is the first by priority, then age'
        else 'the first ready one by priority, then age' end)) || jsonb_build_object(
    'bead', jsonb_build_object('bead_id', b.bead_id, 'title', b.title, 'priority', b.priority, 'labels', to_jsonb(b.labels)), 'others', v_others);
end $$;

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
    'ready', (select count(*) from swarm.bead_backlog where repo_id = p_repo and status = 'pending' and open_blockers = 0),
    'agents', (select coalesce(jsonb_object_agg(status, n), '{}') from (
      select status, count(*) as n from swarm.agent_state where repo_id = p_repo group by status) x),
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
    return swarm.unknown_bead(p_repo, v_bead, a - 'limit' || '{"cmd": "history"}');
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
    return swarm.unknown_bead(p_repo, v_bead, a - 'limit' || '{"cmd": "artifacts"}');
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
    return swarm.unknown_bead(p_repo, p_bead, '{"cmd": "resume-context"}');
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

-- Removes a repo that load-profile made, with everything in it; refuses any other name. Audit rows up to p_audit_from
-- are older than the repo. Runs that were killed half-way are removed an hour later.
create or replace function swarm.forget_load_profile(p_repo text, p_audit_from bigint) returns integer language plpgsql volatile as $$
declare
  v_repo     text;
  v_removed  integer := 0;
begin
  if p_repo !~ '^load-profile-[0-9a-f]{8,32}$' then
    raise exception 'swarm: % is not a repo of load-profile', p_repo;
  end if;
  for v_repo in
    select repo_id from swarm.repos where repo_id = p_repo
      or (repo_id ~ '^load-profile-[0-9a-f]{8,32}$' and created_at < clock_timestamp() - interval '1 hour')
  loop
    delete from swarm.stage_history where repo_id = v_repo;
    delete from swarm.bead_claims where repo_id = v_repo;
    delete from swarm.bead_links where repo_id = v_repo;
    delete from swarm.bead_backlog where repo_id = v_repo;
    delete from swarm.agent_state where repo_id = v_repo;
    delete from swarm.execution_events where repo_id = v_repo;
    delete from swarm.operations where repo_id = v_repo;
    delete from swarm.workflows where repo_id = v_repo;
    delete from swarm.repos where repo_id = v_repo;
    v_removed := v_removed + 1;
  end loop;
  delete from swarm.command_audit where seq > p_audit_from and repo_id = p_repo;
  return v_removed;
end $$;

-- What must hold whatever was killed: for the self-check and the demo, and for anybody in psql.
--   lost: finished according to the log but not in the backlog, or in progress with nobody holding it
--   doubled: held twice at the same time, or finished twice without being reopened in between
--   miscounted: open_blockers is not what a recount says
create or replace function swarm.invariants(p_repo text) returns jsonb language sql stable as $$
  with bead as materialized (
    select * from swarm.bead_backlog where repo_id = p_repo
  ), claim as materialized (
    select bead_id from swarm.bead_claims where repo_id = p_repo and status = 'in_progress'
  ), ending as materialized (
    select bead_id, max(seq) as seq,
        count(*) filter (where event_type = 'transition_finalize') as finished,
        count(*) filter (where event_type = 'state_change' and payload ->> 'from' = 'completed') as reopened,
        (array_agg(event_type order by seq desc))[1] as last
      from swarm.execution_events
      where repo_id = p_repo and (event_type = 'transition_finalize'
        or event_type = 'state_change' and 'completed' in (payload ->> 'from', payload ->> 'to'))
      group by bead_id
  ), held as materialized (
    select bead_id, started_at, max(coalesce(completed_at, 'infinity'))
      over (partition by bead_id order by id rows between unbounded preceding and 1 preceding) as before
      from swarm.stage_history where repo_id = p_repo
  )
  select jsonb_build_object(
    'beads', (select count(*) from bead),
    'completed', (select count(*) from bead where status = 'completed'),
    'blocked', (select count(*) from bead where status in ('blocked', 'failed')),
    'retried', (select coalesce(sum(retry_count), 0) from bead),
    'leases', (select count(*) from claim),
    'lost', (select count(*) from bead b left join ending e using (bead_id) left join claim c using (bead_id)
      where (e.last = 'transition_finalize' and b.status <> 'completed') or (b.status = 'in_progress' and c.bead_id is null)),
    'doubled', (select count(*) from (select bead_id from held where started_at < before
      union select bead_id from ending where finished > reopened + 1) x),
    'miscounted', (select count(*) from bead b where b.open_blockers <> swarm.count_blockers(p_repo, b.bead_id)))
$$;

-- Removes what a self-check made; the logs keep what happened.
create or replace function swarm.do_forget_smoke(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
begin
  if p_repo !~ '^smoke-' then
    return swarm.refused('INVALID', format('%s is no self-check', p_repo));
  end if;
  delete from swarm.stage_artifacts where repo_id = p_repo;
  delete from swarm.stage_history where repo_id = p_repo;
  delete from swarm.bead_claims where repo_id = p_repo;
  delete from swarm.bead_links where repo_id = p_repo;
  delete from swarm.bead_backlog where repo_id = p_repo;
  delete from swarm.agent_state where repo_id = p_repo;
  delete from swarm.workflows where repo_id = p_repo;
  delete from swarm.repos where repo_id = p_repo;
  delete from swarm.operations where repo_id = p_repo;
  return '{"d": {}}';
end $$;


-- 16. Streams -------------------------------------------------------------------------------------------------------
-- Readers follow the one event log; a message or a broadcast is sent in place of the event that it appended.

create index if not exists messages_by_seq on swarm.agent_messages (seq);
create index if not exists broadcasts_by_seq on swarm.broadcast_log (seq);

create or replace function swarm.item_kind(p_type text) returns text language sql immutable parallel safe as
$$ select case p_type when 'message_sent' then 'message' when 'broadcast_sent' then 'broadcast' else 'event' end $$;

-- An event of one of these types that came without a message or broadcast, recorded by hand, is an event like others.
create or replace function swarm.log_item(e swarm.execution_events) returns jsonb language sql stable as $$
  select coalesce(case e.event_type
    when 'message_sent' then (
      select jsonb_build_object('kind', 'message', 'repo', e.repo_id, 'from', e.agent_id, 'to', jsonb_agg(m.to_agent_id order by m.id),
          'message_ids', jsonb_agg(m.id order by m.id), 'message_type', min(m.message_type), 'body', min(m.body), 'at', swarm.iso(e.created_at))
        || jsonb_strip_nulls(jsonb_build_object('subject', nullif(min(m.subject), ''), 'bead_id', min(m.bead_id), 'thread_id', min(m.thread_id),
          'reply_to', min(m.reply_to), 'importance', nullif(min(m.importance), 'normal'), 'ack_required', nullif(bool_or(m.ack_required), false),
          'deadline_at', swarm.iso(min(m.deadline_at))))
      from swarm.agent_messages m where m.seq = e.seq having count(*) > 0)
    when 'broadcast_sent' then (
      select jsonb_build_object('kind', 'broadcast', 'repo', e.repo_id, 'broadcast_id', l.id, 'from', l.from_agent, 'msg', l.msg, 'at', swarm.iso(e.created_at))
      from swarm.broadcast_log l where l.seq = e.seq) end,
    jsonb_build_object('kind', 'event', 'repo', e.repo_id) || swarm.event_json(e))
$$;

-- Whether a row is for this agent: a message to it, any broadcast, its own events, those of the bead that it holds.
create or replace function swarm.concerns(e swarm.execution_events, p_agent integer) returns boolean language sql stable as $$
  select case e.event_type
    when 'message_sent' then exists (select from swarm.agent_messages m where m.seq = e.seq and m.to_agent_id = p_agent)
    when 'broadcast_sent' then true
    else e.agent_id = p_agent or (e.bead_id is not null and exists (select from swarm.bead_claims c
      where c.repo_id = e.repo_id and c.bead_id = e.bead_id and c.claimed_by = p_agent and c.status = 'in_progress')) end
$$;

-- A named cursor remembers how far its reader has acked. It is held under a lease with a fence, like a bead.
create table if not exists swarm.cursors (
  repo_id           text not null,
  name              text not null check (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'),
  seq               bigint not null check (seq >= 0),
  holder            text,
  fence             bigint not null default 0,
  lease_expires_at  timestamptz,
  updated_at        timestamptz not null default clock_timestamp(),
  primary key (repo_id, name)
) with (fillfactor = 50);

-- Takes the cursor for a session, or says who has it. A new cursor starts at p_start.
create or replace function swarm.take_cursor(p_repo text, p_name text, p_session text, p_lease_ms integer, p_start bigint) returns jsonb
language plpgsql volatile as $$
declare
  c      swarm.cursors;
  v_now  timestamptz;
begin
  insert into swarm.cursors (repo_id, name, seq) values (p_repo, p_name, p_start) on conflict do nothing;
  select * into c from swarm.cursors where repo_id = p_repo and name = p_name for update;
  v_now := clock_timestamp();
  if c.holder is distinct from p_session and c.lease_expires_at > v_now then
    return swarm.refused('BUSY', format('the cursor %s is held by another reader', p_name), null,
      jsonb_build_object('cursor', p_name, 'acked', c.seq,
        'remaining_ms', ceil(extract(epoch from c.lease_expires_at - v_now) * 1000)::bigint));
  end if;
  update swarm.cursors set holder = p_session, fence = fence + 1, updated_at = v_now,
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

-- What a reader that streams for an agent has handed over counts as delivered.
create or replace function swarm.mark_delivered(p_agent integer, p_seqs jsonb) returns void language sql volatile as $$
  insert into swarm.message_receipts (message_id, agent_id, delivered_at)
    select m.id, p_agent, clock_timestamp() from jsonb_array_elements_text(p_seqs) s
      join swarm.agent_messages m on m.seq = s::bigint and m.to_agent_id = p_agent
    on conflict (message_id, agent_id) do nothing
$$;


-- A page of the backlog with everything an export needs. A link between parent and child is the child's, as in the trackers.
create or replace function swarm.export_beads(p_repo text, p_after bigint, p_limit integer) returns jsonb language sql stable as $$
  with page as materialized (
    select * from swarm.bead_backlog where repo_id = p_repo and id > p_after order by id limit p_limit
  ), bound as (
    select coalesce(max(id), p_after) as last from page
  )
  select jsonb_build_object('last', bound.last,
    'more', exists (select from swarm.bead_backlog where repo_id = p_repo and id > bound.last),
    'rows', coalesce((select jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
        'bead_id', b.bead_id, 'title', b.title, 'description', b.description, 'priority', b.priority, 'status', b.status,
        'bead_type', b.bead_type, 'labels', to_jsonb(b.labels), 'created_at', swarm.iso(b.created_at),
        'updated_at', swarm.iso(b.updated_at), 'finished_at', swarm.iso(b.finished_at)))
      || jsonb_build_object('metadata', b.metadata, 'links', coalesce((
        select jsonb_agg(jsonb_build_object('bead_id', l.bead_id, 'other_id', l.other_id, 'kind', l.kind) order by l.kind, l.bead_id, l.other_id)
        from swarm.bead_links l where l.repo_id = p_repo
          and ((l.bead_id = b.bead_id and l.kind <> 'parent-child') or (l.other_id = b.bead_id and l.kind = 'parent-child'))), '[]'))
      order by b.id) from page b), '[]'))
  from bound
$$;

-- What doctor looks at in one repo: counts that must be 0, each with some of the culprits.
create or replace function swarm.doctor_json(p_repo text) returns jsonb language plpgsql volatile as $$
declare
  v_now  timestamptz := clock_timestamp();
begin
  return jsonb_build_object(
    'repo', (select jsonb_build_object('path', path, 'workflows', (select count(*) from swarm.workflows where repo_id = p_repo))
      from swarm.repos where repo_id = p_repo),
    'log_id', (select log_id from swarm.swarm_config),
    'blockers', (select jsonb_build_object('count', count(*), 'some', coalesce(jsonb_agg(bead_id) filter (where k <= 5), '[]')) from (
      select b.bead_id, row_number() over (order by b.id) as k from swarm.bead_backlog b
        left join (select l.bead_id, count(distinct l.other_id) as n from swarm.bead_links l
            join swarm.bead_backlog o on o.repo_id = l.repo_id and o.bead_id = l.other_id
          where l.repo_id = p_repo and swarm.blocking(l.kind) and swarm.is_open(o.status) group by l.bead_id) c on c.bead_id = b.bead_id
        where b.repo_id = p_repo and b.open_blockers <> coalesce(c.n, 0)) x),
    'expired', (select jsonb_build_object('count', count(*), 'some', coalesce(jsonb_agg(bead_id) filter (where k <= 5), '[]')) from (
      select bead_id, row_number() over (order by lease_expires_at) as k from swarm.bead_claims
        where repo_id = p_repo and status = 'in_progress' and lease_expires_at < v_now) x),
    'agents', (select jsonb_build_object('count', count(*), 'some', coalesce(jsonb_agg(agent_id) filter (where k <= 5), '[]')) from (
      select coalesce(s.agent_id, c.claimed_by) as agent_id, row_number() over (order by coalesce(s.agent_id, c.claimed_by)) as k
        from (select * from swarm.agent_state where repo_id = p_repo) s
        full join (select * from swarm.bead_claims where repo_id = p_repo and status = 'in_progress') c on c.claimed_by = s.agent_id
        where s.bead_id is distinct from c.bead_id) x));
end $$;


-- 17. Retention ----------------------------------------------------------------------------------------------------
-- Removes events and audit rows of all repos that are older than a time, at most `rows` numbers at once, and moves log_floor with
-- them in the same transaction: a reader below it is told, never skipped. `proc.settled` is a number up to which the log is final.
create or replace function swarm.do_prune(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_before   timestamptz := (a ->> 'before')::timestamptz;
  v_floor    bigint;
  v_upto     bigint;
  v_keep     bigint;
  v_events   bigint := 0;
  v_audit    bigint := 0;
begin
  select log_floor into v_floor from swarm.swarm_config for update;
  select min(seq) into v_keep from swarm.execution_events where seq > v_floor and created_at >= v_before;
  v_upto := least(coalesce(v_keep - 1, (p ->> 'settled')::bigint), (p ->> 'settled')::bigint, v_floor + (p ->> 'rows')::bigint);
  if v_upto > v_floor then
    delete from swarm.execution_events where seq <= v_upto;
    get diagnostics v_events = row_count;
    update swarm.swarm_config set log_floor = v_upto;
  else
    v_upto := v_floor;
  end if;
  delete from swarm.command_audit where seq in (select seq from swarm.command_audit where t < v_before order by seq limit (p ->> 'rows')::bigint);
  get diagnostics v_audit = row_count;
  return jsonb_build_object('d', jsonb_build_object('events', v_events, 'audit', v_audit, 'log_floor', v_upto,
    'more', v_upto < least(coalesce(v_keep - 1, (p ->> 'settled')::bigint), (p ->> 'settled')::bigint) or v_audit = (p ->> 'rows')::bigint));
end $$;


-- 18. Steps that change existing tables ------------------------------------------------------------------------------
-- Numbered; a step runs when the database's schema_version is below its number, then sets it. Version 1 is the above.
