-- In which clone a worker works, so that hosts know when commits have to be handed on.
alter table if exists swarm.hosts add column if not exists repository text;
