-- Gates that a bead has not passed.

create or replace function swarm.has_gate(s swarm.workflow_stages) returns boolean language sql stable
begin atomic
  select s.gate_hash is not null;
end;

-- Whether this evidence is of a run of the gate that the stage has now.
create or replace function swarm.of_gate(s swarm.workflow_stages, p_evidence jsonb) returns boolean language sql stable
begin atomic
  select p_evidence ->> 'gate_hash' = s.gate_hash;
end;

-- The first stage with a gate that the bead has not passed since it was last worked on at that stage or an earlier one;
-- null when there is none. What counts is a passed stage with evidence of swarm's own that its gate exited with 0.
create or replace function swarm.unpassed_gate(b swarm.bead_backlog) returns text language sql stable as $$
  select s.stage from swarm.workflow_stages s
    where s.repo_id = b.repo_id and s.name = b.workflow and swarm.has_gate(s) and not exists (
      select from swarm.stage_history h join swarm.stage_artifacts e on e.stage_history_id = h.id
        where h.repo_id = b.repo_id and h.bead_id = b.bead_id and h.stage = s.stage and h.status = 'passed'
          and e.trust = 'verified' and e.metadata ->> 'exit_code' = '0' and swarm.of_gate(s, e.metadata)
          and not exists (select from swarm.stage_history l
            where l.repo_id = b.repo_id and l.bead_id = b.bead_id and l.id > h.id and not exists (
              select from swarm.workflow_stages t where t.repo_id = s.repo_id and t.name = s.name
                and t.stage = l.stage and t.position > s.position)))
    order by s.position limit 1
$$;

-- The stage to go on at when p_stage is asked for: none behind a gate that the bead has not passed.
create or replace function swarm.allowed_stage(b swarm.bead_backlog, p_stage text) returns text language sql stable as $$
  select stage from swarm.workflow_stages
    where repo_id = b.repo_id and name = b.workflow and stage in (p_stage, swarm.unpassed_gate(b))
    order by position limit 1
$$;
