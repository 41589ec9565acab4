-- Whether a bead's workflow was named by whoever added it. Of beads that are there nobody knows: all but the default one were.
alter table if exists swarm.bead_backlog add column if not exists workflow_given boolean not null default false;
update swarm.bead_backlog set workflow_given = true where workflow <> 'default' and not workflow_given;
