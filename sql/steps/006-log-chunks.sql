-- A chunk's place in the log of its session.
alter table if exists swarm.agent_run_logs add column if not exists sequence integer;
