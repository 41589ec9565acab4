-- What a session would probably use, until it is settled.
alter table if exists swarm.usage_ledger add column if not exists reserve_usd double precision not null default 0;
alter table if exists swarm.usage_ledger add column if not exists reserve_tokens bigint not null default 0;
