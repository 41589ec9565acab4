-- When a person last went on with a run: failures before that are not held against anybody.
alter table if exists swarm.swarm_runs add column if not exists resumed_at timestamptz;
