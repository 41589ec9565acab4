-- Which process a worker is, so that others of its machine can tell whether it still runs.
alter table if exists swarm.hosts add column if not exists process text;
