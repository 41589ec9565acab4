-- swarm: every table and index of the database, readable top to bottom.
--
-- Idempotent: running it again changes nothing. This is the final form; a database that an earlier version made is brought to it by the
-- numbered steps of sql/steps, which run before (see sql/steps/README.md when you change a table). The functions stand in sql/functions and are loaded after this file, in the order
-- of their numbers: rules that must be atomic with the data (claiming, readiness, transitions) live there, once; what is
-- configuration (workflows, limits) is rows here. Every function can be called from psql:
--
--   select swarm.run('my-repo', 'claim-next', '{"agent_id":1}', '{}', gen_random_uuid()::text, null);

-- Two processes that initialise at once would collide on the catalogues; the second waits, then finds all in place.
select pg_advisory_xact_lock(hashtext('swarm:schema'));

create schema if not exists swarm;


-- 1. Time and numbers ------------------------------------------------------------------------------------------------
-- clock_timestamp(), never now(): now() stands still at the start of the transaction and would order a claim before
-- the release that it waited for.

create or replace function swarm.iso(t timestamptz) returns text language sql immutable parallel safe
return to_char(t at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');

create sequence if not exists swarm.event_seq cache 1;
create sequence if not exists swarm.lock_fence cache 1;
create sequence if not exists swarm.made_bead_ids cache 1;

-- The transaction's id is taken before the sequence number. Readers rely on it: whoever holds a smaller number than
-- one they can see had its transaction id before, so waiting for transaction ids to end settles the gaps.
create or replace function swarm.next_event_seq() returns bigint language sql volatile
return case when pg_catalog.pg_current_xact_id() is not null then pg_catalog.nextval('swarm.event_seq') end;


-- Checks of the tables that every claim writes are domains: a CHECK of a table is parsed and planned again at every INSERT and UPDATE, a
-- domain's once in a session, and only for the columns that are set.
do $$
declare
  d  text[];
begin
  foreach d slice 1 in array array[
    ['not_empty', 'text', $c$value <> ''$c$],
    ['positive', 'integer', 'value >= 1'],
    ['not_negative', 'integer', 'value >= 0'],
    ['big_positive', 'bigint', 'value >= 1'],
    ['big_not_negative', 'bigint', 'value >= 0'],
    ['bead_priority', 'text collate "C"', $c$value in ('p0', 'p1', 'p2', 'p3', 'p4')$c$],
    ['bead_status', 'text', $c$value in ('pending', 'in_progress', 'completed', 'blocked', 'failed', 'deferred', 'cancelled')$c$],
    ['bead_verification', 'text', $c$value in ('unverified', 'claimed', 'verified')$c$],
    ['claim_status', 'text', $c$value in ('in_progress', 'completed', 'blocked')$c$],
    ['attempt_status', 'text', $c$value in ('started', 'passed', 'failed', 'error')$c$],
    ['agent_status', 'text', $c$value in ('idle', 'working', 'waiting', 'error', 'done')$c$],
    ['event_version', 'integer', 'value >= 1'],
    ['event_origin', 'text', $c$value in ('system', 'client')$c$],
    ['milliseconds', 'double precision', 'value >= 0']] loop
    if to_regtype('swarm.' || d[1]) is null then
      execute format('create domain swarm.%I as %s check (%s)', d[1], d[2], d[3]);
    end if;
  end loop;
end $$;


-- 2. Repos, agents, configuration ------------------------------------------------------------------------------------

create table if not exists swarm.repos (
  id          serial primary key,
  repo_id     text not null unique,
  name        text not null,
  path        text,
  auth        text not null default 'cooperative' check (auth in ('cooperative', 'tokens')),
  created_at  timestamptz not null default clock_timestamp()
);

-- Who may do what in a repo whose auth is `tokens`. A token itself is kept by its owner only: here is its SHA-256, in hex.
create table if not exists swarm.api_tokens (
  id            bigserial primary key,
  token_hash    text not null unique check (token_hash ~ '^[0-9a-f]{64}$'),
  repo_id       text not null,
  role          text not null check (role in ('observer', 'agent', 'runner', 'operator')),
  agent_id      integer check (agent_id >= 1),
  name          text,
  created_at    timestamptz not null default clock_timestamp(),
  expires_at    timestamptz,
  revoked_at    timestamptz,
  last_used_at  timestamptz,
  check (agent_id is not null or role <> 'agent'),
  check (agent_id is null or role in ('agent', 'runner'))
);
create index if not exists tokens_by_repo on swarm.api_tokens (repo_id, id);

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
  functions_hash               text,
  config                       jsonb not null default '{}'
);

-- The version is that of the highest step: it is set when everything is in place.
insert into swarm.swarm_config (schema_version, swarm_started_at) values (1, clock_timestamp()) on conflict do nothing;

create table if not exists swarm.workflows (
  repo_id  text not null,
  name     text not null,
  primary key (repo_id, name)
);

-- role: who may do the stage; null means anybody. gate, gate_hash: what the command is called whose exit code decides, and the SHA-256 of its
-- words. The words stand in the configuration of a root: a database that others share never names a command to run.
-- on_pass and on_fail name a stage; null means the next one (after the last: done) and the stage itself. independent: not done by the agent
-- whose work it checks; `prefer`: unless nobody else is there who may do it.
create table if not exists swarm.workflow_stages (
  repo_id       text not null,
  name          text not null,
  stage         text not null check (stage <> 'done'),
  position      integer not null check (position >= 1),
  role          text[],
  gate          text,
  gate_hash     text check (gate_hash ~ '^[0-9a-f]{64}$'),
  timeout_ms    integer not null default 3000 check (timeout_ms between 1 and 86400000),
  on_pass       text,
  on_fail       text,
  max_attempts  integer check (max_attempts >= 1),
  independent   text check (independent in ('prefer', 'require')),
  primary key (repo_id, name, stage),
  constraint workflow_stages_gate_named check ((gate is null) = (gate_hash is null)),
  unique (repo_id, name, position),
  foreign key (repo_id, name) references swarm.workflows on delete cascade
);

-- seen_at: when an agent first did something itself; null: somebody registered its number, and it has not come yet.
create table if not exists swarm.agent_state (
  repo_id                 text not null,
  agent_id                swarm.positive not null,
  name                    text,
  role                    text,
  host                    text,
  bead_id                 text,
  current_stage           text,
  stage_started_at        timestamptz,
  status                  swarm.agent_status not null default 'idle',
  last_update             timestamptz not null default clock_timestamp(),
  implementation_attempt  swarm.not_negative not null default 0,
  feedback                text,
  created_at              timestamptz not null default clock_timestamp(),
  seen_at                 timestamptz default clock_timestamp(),
  primary key (repo_id, agent_id),
  unique (repo_id, name)
) with (fillfactor = 70);


-- 3. Beads and who holds them ----------------------------------------------------------------------------------------
-- A bead carries the number of its open blockers, so that readiness costs nothing to ask. The two partial indexes hold
-- ready beads only and match the ORDER BY of a claim exactly, so that a claim costs the same at any backlog size.
-- workflow_given: whoever added the bead has named its workflow, so that no rule of a run gives it another.
-- not_for: the agent whose work is checked at the stage that the bead is at, where that is independent; 0 where swarm itself lands it.

create table if not exists swarm.bead_backlog (
  id                   bigint generated always as identity primary key,
  repo_id              text not null,
  bead_id              swarm.not_empty not null,
  title                text not null default '',
  description          text not null default '',
  priority             swarm.bead_priority not null default 'p2',
  status               swarm.bead_status not null default 'pending',
  bead_type            text not null default 'task',
  labels               text[] not null default '{}',
  category             text,
  lane                 text,
  metadata             jsonb not null default '{}',
  workflow             text not null default 'default',
  workflow_given       boolean not null default false,
  stage                text not null,
  attempt              swarm.positive not null default 1,
  retry_count          swarm.not_negative not null default 0,
  feedback             text,
  open_blockers        swarm.not_negative not null default 0,
  fence                swarm.big_not_negative not null default 0,
  attempts_from        bigint not null default 0,
  verification_status  swarm.bead_verification not null default 'unverified',
  workspace            text,
  commit_hash          text,
  pr_url               text,
  run_id               text,
  wave                 integer,
  not_for              integer,
  created_at           timestamptz not null default clock_timestamp(),
  updated_at           timestamptz not null default clock_timestamp(),
  finished_at          timestamptz,
  unique (repo_id, bead_id)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

create index if not exists bead_ready on swarm.bead_backlog (repo_id, priority, created_at, id)
  where status = 'pending' and open_blockers = 0;
create index if not exists bead_ready_by_stage on swarm.bead_backlog (repo_id, workflow, stage, priority, created_at, id)
  where status = 'pending' and open_blockers = 0;
-- What an agent must leave to others is passed over in one step, however much it is.
create index if not exists bead_ready_not_for on swarm.bead_backlog (repo_id, not_for, workflow, stage, priority, created_at, id)
  where status = 'pending' and open_blockers = 0 and not_for is not null;
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
  claimed_by        swarm.positive not null,
  claimed_at        timestamptz not null,
  heartbeat_at      timestamptz not null,
  lease_expires_at  timestamptz not null,
  status            swarm.claim_status not null default 'in_progress',
  holder            text,
  fence             swarm.big_positive not null,
  lease_ms          swarm.positive not null,
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
  attempt_number  swarm.positive not null,
  status          swarm.attempt_status not null,
  result          text,
  feedback        text,
  transcript      text,
  fence           bigint not null,
  session_id      text,
  started_at      timestamptz not null,
  completed_at    timestamptz,
  duration_ms     swarm.big_not_negative
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
  -- a chunk's place in the log of its session: what is sent again is stored once
  sequence     integer,
  log_content  text not null,
  created_at   timestamptz not null default clock_timestamp()
);
create unique index if not exists log_chunk_once on swarm.agent_run_logs (repo_id, session_id, sequence) where sequence is not null;


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
  schema_version            swarm.event_version not null default 1,
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
  origin                    swarm.event_origin not null default 'system',
  principal                 text,
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
  ms          swarm.milliseconds not null,
  error_code  text,
  changes     jsonb,
  principal   text
);

-- Every write carries a key, locked before anything else and kept here with the reply in the end. Sent again under the same key, a write
-- waits for the first one to end, then gets its reply: that settles an outcome lost with a connection. Keys are each sender's own
-- (swarm.own_key): `key` is who sent it, a newline, and the key as it was sent.
create table if not exists swarm.operations (
  repo_id     text not null,
  key         text not null,
  cmd         text not null,
  body_hash   text not null,
  reply       jsonb,
  created_at  timestamptz not null default clock_timestamp(),
  primary key (repo_id, key)
);
create index if not exists operations_by_age on swarm.operations (created_at);


-- 7. Who follows -----------------------------------------------------------------------------------------------------
-- Readers follow the one event log; a message or a broadcast is sent in place of the event that it appended.

create index if not exists messages_by_seq on swarm.agent_messages (seq);
create index if not exists broadcasts_by_seq on swarm.broadcast_log (seq);

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

-- What a target of notifications knows to be open at its cursor: one row an incident, with the messages that told of it.
create table if not exists swarm.notices (
  repo_id   text not null,
  target    text not null,
  subject   text not null,
  incident  jsonb not null,
  messages  jsonb not null default '[]',
  kept_at   timestamptz not null default clock_timestamp(),
  primary key (repo_id, target, subject)
);


-- 8. Runs, hosts and sessions ------------------------------------------------------------------------------------------
-- What an orchestrator drives. Status is derived from rows with times: there is no counter that a crash could leave wrong.

create table if not exists swarm.swarm_runs (
  repo_id               text not null,
  run_id                text not null,
  status                text not null check (status in
                        ('starting', 'running', 'paused', 'stopping', 'stopped', 'completed', 'failed')),
  pause_reason          text,
  target                integer check (target >= 1),
  waves                 text not null default 'rolling' check (waves in ('rolling', 'strict')),
  config                jsonb not null default '{}',
  started_at            timestamptz not null default clock_timestamp(),
  ended_at              timestamptz,
  -- when a person last went on with it
  resumed_at            timestamptz,
  estimated_completion  timestamptz,
  primary key (repo_id, run_id)
);
create index if not exists runs_open on swarm.swarm_runs (repo_id) where ended_at is null;

create index if not exists bead_by_run on swarm.bead_backlog (repo_id, run_id, status) where run_id is not null;
create index if not exists bead_by_open_wave on swarm.bead_backlog (repo_id, run_id, wave)
  where run_id is not null and status in ('pending', 'in_progress');

create table if not exists swarm.run_waves (
  repo_id       text not null,
  run_id        text not null,
  number        integer not null check (number >= 1),
  status        text not null check (status in ('waiting', 'running', 'completed')),
  started_at    timestamptz,
  completed_at  timestamptz,
  primary key (repo_id, run_id, number)
);

-- A worker process on a machine. capacity: {role: sessions at once}; adapters: {name: {version} or {missing: why}}.
create table if not exists swarm.hosts (
  repo_id       text not null,
  host_id       text not null,
  name          text not null,
  capacity      jsonb not null default '{}',
  adapters      jsonb not null default '{}',
  heartbeat_at  timestamptz not null,
  draining      boolean not null default false,
  free_disk_mb  integer,
  version       text,
  -- <machine>.<pid>.<start>: another worker of the machine can tell whether it still runs
  process       text,
  -- <machine>:<directory with the objects>: hosts with another one hand commits on through the remote
  repository    text,
  primary key (repo_id, host_id)
);

-- Machines that a person has drained by name: workers that start there take nothing new either, until they are let go again.
create table if not exists swarm.drained_machines (
  repo_id  text not null,
  name     text not null,
  reason   text,
  at       timestamptz not null default clock_timestamp(),
  primary key (repo_id, name)
);

-- A session is the order to a host to run one agent program for one stage of a bead, and what became of it.
create table if not exists swarm.agent_sessions (
  repo_id         text not null,
  session_id      text not null,
  run_id          text not null,
  host_id         text not null,
  agent_id        integer not null check (agent_id >= 1),
  role            text,
  adapter         text not null,
  account         text not null default 'default',
  model           text,
  bead_id         text not null,
  stage           text not null,
  attempt         integer not null check (attempt >= 1),
  fence           bigint not null,
  status          text not null check (status in
                  ('assigned', 'starting', 'ready', 'running', 'held', 'asking', 'ending', 'ended')),
  reason          text check (reason in ('completed', 'failed', 'crashed', 'quota', 'budget', 'killed', 'host_lost', 'shutdown',
                  'superseded') or reason like 'stuck:%' or reason like 'not\_started:%'),
  rule            text,
  evidence        text,
  wanted          text,
  wanted_reason   text,
  deadline_at     timestamptz,
  pid             integer,
  marker          text,
  native_id       text,
  workspace       text,
  head_before     text,
  head_after      text,
  tree            text,
  queued_at       timestamptz not null,
  started_at      timestamptz,
  ready_at        timestamptz,
  last_output_at  timestamptz,
  last_tool_at    timestamptz,
  open_tool       text,
  heartbeat_at    timestamptz,
  ended_at        timestamptz,
  exit_code       integer,
  signal          text,
  turns           integer not null default 0,
  tool_calls      integer not null default 0,
  primary key (repo_id, session_id),
  check ((ended_at is null) = (status <> 'ended')),
  check (status <> 'ended' or reason is not null)
) with (fillfactor = 60);
create unique index if not exists one_session_per_agent on swarm.agent_sessions (repo_id, agent_id) where ended_at is null;
create unique index if not exists one_session_per_bead on swarm.agent_sessions (repo_id, bead_id) where ended_at is null;
create index if not exists sessions_by_host on swarm.agent_sessions (repo_id, host_id) where ended_at is null;
create index if not exists sessions_by_run on swarm.agent_sessions (repo_id, run_id, ended_at);
create index if not exists sessions_by_marker on swarm.agent_sessions (marker) where marker is not null;
create index if not exists sessions_by_bead on swarm.agent_sessions (repo_id, bead_id, queued_at);

create table if not exists swarm.session_iterations (
  repo_id     text not null,
  session_id  text not null,
  number      integer not null check (number >= 1),
  status      text not null check (status in ('running', 'completed', 'failed')),
  tool_calls  integer not null default 0 check (tool_calls >= 0),
  started_at  timestamptz not null,
  ended_at    timestamptz,
  qa_result   text not null default 'pending' check (qa_result in ('pending', 'passed', 'failed')),
  primary key (repo_id, session_id, number)
);

create index if not exists iterations_unchecked on swarm.session_iterations (repo_id, session_id) where qa_result = 'pending';

create table if not exists swarm.iteration_qa_results (
  id               bigserial primary key,
  repo_id          text not null,
  session_id       text not null,
  iteration        integer not null,
  result           text not null check (result in ('passed', 'failed')),
  findings         jsonb,
  recommendations  jsonb,
  checked_by       text not null,
  at               timestamptz not null default clock_timestamp()
);

create table if not exists swarm.qa_audits (
  id          bigserial primary key,
  repo_id     text not null,
  run_id      text,
  started_at  timestamptz not null,
  ended_at    timestamptz,
  checked     integer not null default 0,
  ended       integer not null default 0,
  notes       text
);

-- What a session used. A reservation, made when it is assigned, has no settled_at; settling it writes what was really used.
create table if not exists swarm.usage_ledger (
  id           bigserial primary key,
  repo_id      text not null,
  session_id   text not null,
  run_id       text not null,
  bead_id      text not null,
  account      text not null,
  model        text,
  input        bigint not null default 0,
  output       bigint not null default 0,
  cache_read   bigint not null default 0,
  cache_write  bigint not null default 0,
  cost_usd     double precision not null default 0,
  -- what it would probably use, when it was given out; counts until it is settled
  reserve_usd     double precision not null default 0,
  reserve_tokens  bigint not null default 0,
  settled_at   timestamptz,
  at           timestamptz not null default clock_timestamp(),
  unique (repo_id, session_id)
);
create index if not exists usage_by_run on swarm.usage_ledger (repo_id, run_id);
create index if not exists usage_by_bead on swarm.usage_ledger (repo_id, bead_id);

create table if not exists swarm.quota_windows (
  repo_id       text not null,
  account       text not null,
  kind          text not null,
  used_percent  double precision,
  until_at      timestamptz,
  seen_at       timestamptz not null,
  evidence      text,
  primary key (repo_id, account, kind)
);

create table if not exists swarm.questions (
  repo_id      text not null,
  question_id  text not null,
  session_id   text,
  bead_id      text,
  agent_id     integer,
  text         text not null,
  options      jsonb,
  asked_at     timestamptz not null default clock_timestamp(),
  answered_at  timestamptz,
  answer       text,
  answered_by  text,
  primary key (repo_id, question_id)
);
create index if not exists questions_open on swarm.questions (repo_id, asked_at) where answered_at is null;

-- What a person tells a running session; the host takes it with its next heartbeat.
create table if not exists swarm.session_inputs (
  id          bigserial primary key,
  repo_id     text not null,
  session_id  text not null,
  kind        text not null check (kind in ('steer', 'answer')),
  text        text not null,
  question_id text,
  taken_at    timestamptz,
  at          timestamptz not null default clock_timestamp()
);
create index if not exists inputs_open on swarm.session_inputs (repo_id, session_id) where taken_at is null;

-- A bead's way to the target branch. base: the commit that head was tested on; the tree that lands is the tree that was tested.
create table if not exists swarm.landings (
  id         bigserial primary key,
  repo_id    text not null,
  run_id     text,
  bead_id    text not null,
  target     text not null,
  fence      bigint not null,
  candidate  text not null,
  position   integer,
  status     text not null check (status in ('queued', 'testing', 'green', 'landed', 'ejected', 'conflict')),
  base       text,
  tree       text,
  head       text,
  tries      integer not null default 0,
  reason     text,
  -- what the gates said of the tree
  evidence   jsonb,
  queued_at  timestamptz not null default clock_timestamp(),
  at         timestamptz not null default clock_timestamp()
);
create unique index if not exists one_landing_per_bead on swarm.landings (repo_id, bead_id)
  where status in ('queued', 'testing', 'green');

-- Who leads a repo. A stand-by that has seen the same beat for a whole lease by its own clock may take over; the term then grows, and
-- every statement of an older term is refused. expires_at only tells people.
create table if not exists swarm.leadership (
  repo_id     text primary key,
  holder      text not null,
  term        bigint not null check (term >= 1),
  beat        bigint not null default 0,
  expires_at  timestamptz not null
);
