-- A claim belongs to the process that holds it; `session` means the session of an agent.
do $$
begin
  if exists (select from pg_attribute where attrelid = to_regclass('swarm.bead_claims') and attname = 'session' and not attisdropped) then
    alter table swarm.bead_claims rename column session to holder;
  end if;
end $$;

-- Which functions a database has.
alter table swarm.swarm_config add column if not exists functions_hash text;

-- Whether a repo asks for tokens, and whether an agent has ever come.
alter table swarm.repos add column if not exists auth text not null default 'cooperative' check (auth in ('cooperative', 'tokens'));
alter table swarm.agent_state add column if not exists seen_at timestamptz default clock_timestamp();

-- Who says so: the functions of swarm, or a client that recorded an event of its own.
alter table swarm.execution_events add column if not exists origin text not null default 'system' check (origin in ('system', 'client'));
alter table swarm.execution_events add column if not exists principal text;
alter table swarm.command_audit add column if not exists principal text;
