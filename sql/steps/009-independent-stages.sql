-- Stages that somebody else does: those of the built-in workflow, where it stands as it was made.
alter table if exists swarm.workflow_stages add column if not exists independent text check (independent in ('prefer', 'require'));
update swarm.workflow_stages s set independent = 'prefer'
  where s.name = 'default' and s.stage in ('qa', 'red-queen') and s.role = '{reviewer}' and s.on_fail = 'implement' and not exists (
    select from swarm.workflow_stages o where o.repo_id = s.repo_id and o.name = s.name
      and (o.gate is not null or o.stage not in ('contract', 'implement', 'qa', 'red-queen', 'land')));

-- Whom a bead is kept from at the stage that it is at.
alter table if exists swarm.bead_backlog add column if not exists not_for integer;
update swarm.bead_backlog b set not_for = 0 where b.stage = 'land' and b.status not in ('completed', 'cancelled');
update swarm.bead_backlog b set not_for = (select h.agent_id from swarm.stage_history h
    where h.repo_id = b.repo_id and h.bead_id = b.bead_id and h.stage = 'implement' and h.status = 'passed' order by h.id desc limit 1)
  from swarm.workflow_stages s
  where s.repo_id = b.repo_id and s.name = b.workflow and s.stage = b.stage and s.independent is not null
    and b.status not in ('completed', 'cancelled');
