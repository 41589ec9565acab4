-- What the gates said of the tree that is to land: a leader that takes over finds it here.
alter table if exists swarm.landings add column if not exists evidence jsonb;
