-- Steering the backlog.

-- Gives a named bead to a named agent; its process picks it up with claim-next.
create or replace function swarm.do_assign(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_agent  integer := (a ->> 'agent_id')::integer;
  v_lease  integer := coalesce((a ->> 'lease_ms')::integer, 900000);
  b        swarm.bead_backlog;
  v_held   text;
  v_role   text;
begin
  select role into v_role from swarm.agent_state where repo_id = p_repo and agent_id = v_agent for no key update;
  if not found then
    return swarm.unknown_agent(p_repo, v_agent);
  end if;
  select bead_id into v_held from swarm.bead_claims where repo_id = p_repo and claimed_by = v_agent and status = 'in_progress';
  if v_held is not null then
    return swarm.refused('CONFLICT', format('agent %s already holds bead %s', v_agent, v_held), 'claim',
      jsonb_build_object('agent_id', v_agent, 'bead_id', v_held), jsonb_build_object('cmd', 'show', 'bead_id', v_held));
  end if;
  select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = a ->> 'bead_id' for no key update;
  if not found then
    return swarm.unknown_bead(p_repo, a ->> 'bead_id');
  end if;
  if b.status <> 'pending' or b.open_blockers > 0 then
    return swarm.refused('CONFLICT', case when b.status <> 'pending' then format('bead %s is %s, not pending', b.bead_id, b.status)
        else format('bead %s waits for %s other beads', b.bead_id, b.open_blockers) end, 'claim',
      jsonb_build_object('bead_id', b.bead_id, 'status', b.status, 'open_blockers', b.open_blockers),
      jsonb_build_object('cmd', 'show', 'bead_id', b.bead_id));
  end if;
  if not swarm.may_do(p_repo, b.workflow, b.stage, v_role) then
    return swarm.refused('CONFLICT', case when b.not_for = 0 then format('stage %s of bead %s is done by swarm itself', b.stage, b.bead_id)
        else format('stage %s of bead %s is not for role %s', b.stage, b.bead_id, v_role) end, 'stage',
      jsonb_build_object('stage', b.stage, 'role', v_role), jsonb_build_object('cmd', 'workflows'));
  end if;
  -- where another agent is only preferred, whoever assigns has chosen
  if swarm.is_kept(b, v_agent, true) then
    return swarm.refused('CONFLICT', format('stage %s of bead %s checks the work of agent %s: it is for another agent', b.stage, b.bead_id, v_agent), 'stage',
      jsonb_build_object('stage', b.stage, 'not_for', v_agent), jsonb_build_object('cmd', 'agents'));
  end if;
  b := swarm.give_bead(b, v_agent, null, v_lease);
  if a ? 'reason' then
    perform swarm.emit(p_repo, 'state_change', b.bead_id, b.bead_id, v_agent, b.stage,
      jsonb_build_object('from', 'pending', 'to', 'in_progress', 'reason', a ->> 'reason'));
  end if;
  return jsonb_build_object('d', jsonb_build_object('bead_id', b.bead_id, 'agent_id', v_agent, 'stage', b.stage,
    'attempt', b.attempt, 'fence', b.fence, 'lease_ms', v_lease));
end $$;

create or replace function swarm.do_update(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  b          swarm.bead_backlog;
  v_id       text := a ->> 'bead_id';
  v_old      text[];
  v_new      text[];
  v_other    text;
  v_cycle    text[];
  v_changed  text[];
  v_status   text := a ->> 'status';
  v_hold     jsonb;
begin
  -- an agent's token writes to the bead that the agent holds
  if p ->> 'principal' like 'agent:%' then
    v_hold := swarm.hold(p_repo, a || jsonb_build_object('agent_id', split_part(p ->> 'principal', ':', 2)::integer), p);
    if v_hold ? 'refused' then
      return v_hold;
    end if;
  end if;
  if a ? 'depends_on' then
    perform swarm.lock_links(p_repo);
    v_new := swarm.texts(a -> 'depends_on');
    v_old := array(select other_id from swarm.bead_links where repo_id = p_repo and bead_id = v_id and kind = 'blocks');
    perform swarm.lock_blockers(p_repo, v_new || v_old);
  end if;
  select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = v_id for no key update;
  if not found then
    return swarm.unknown_bead(p_repo, v_id);
  end if;
  if v_status is not null and b.status = 'completed' then
    return swarm.refused('CONFLICT', format('bead %s is completed', v_id), 'claim', jsonb_build_object('status', b.status),
      jsonb_build_object('cmd', 'show', 'bead_id', v_id));
  end if;
  if a ? 'depends_on' then
    foreach v_other in array v_new loop
      if not exists (select from swarm.bead_backlog where repo_id = p_repo and bead_id = v_other) then
        return swarm.refused('NOTFOUND', format('no bead %s in repo %s to depend on', v_other, p_repo), null,
          jsonb_build_object('field', 'depends_on', 'got', v_other), jsonb_build_object('cmd', 'beads'));
      end if;
    end loop;
    v_cycle := swarm.find_cycle(p_repo, (select jsonb_agg(jsonb_build_object('bead', v_id, 'other', o))
      from unnest(v_new) o where not o = any(v_old)));
    if v_cycle is not null then
      return swarm.refused_cycle(v_cycle);
    end if;
    if not (v_old @> v_new and v_new @> v_old) then
      v_changed := array['depends_on'];
    end if;
  end if;
  v_changed := v_changed || array_remove(array[
    case when a ->> 'title' <> b.title then 'title' end, case when a ->> 'description' <> b.description then 'description' end,
    case when a ->> 'priority' <> b.priority then 'priority' end,
    case when a ? 'bead_type' and a ->> 'bead_type' <> b.bead_type then 'bead_type' end,
    case when a ? 'labels' and swarm.texts(a -> 'labels') <> b.labels then 'labels' end,
    case when a ? 'metadata' and a -> 'metadata' <> b.metadata then 'metadata' end,
    case when v_status <> b.status then 'status' end], null);
  if v_changed = '{}' or v_changed is null then
    return jsonb_build_object('d', jsonb_build_object('bead_id', v_id, 'changed', '[]'::jsonb));
  end if;

  if a ? 'depends_on' then
    delete from swarm.bead_links
      where repo_id = p_repo and bead_id = v_id and kind = 'blocks' and not other_id = any(v_new);
    insert into swarm.bead_links (repo_id, bead_id, other_id, kind)
      select p_repo, v_id, o, 'blocks' from unnest(v_new) o on conflict do nothing;
    perform swarm.recount(p_repo, array[v_id]);
  end if;
  if v_status <> b.status then
    perform swarm.end_claim(b, case v_status when 'cancelled' then 'cancelled' else 'released' end);
    if swarm.is_open(b.status) <> swarm.is_open(v_status) then
      perform swarm.shift_dependants(p_repo, v_id, case when swarm.is_open(v_status) then 1 else -1 end);
    end if;
  end if;
  update swarm.bead_backlog set title = coalesce(a ->> 'title', title), description = coalesce(a ->> 'description', description),
      priority = coalesce(a ->> 'priority', priority), bead_type = coalesce(a ->> 'bead_type', bead_type),
      labels = case when a ? 'labels' then swarm.texts(a -> 'labels') else labels end,
      metadata = coalesce(a -> 'metadata', metadata), status = coalesce(v_status, status), updated_at = clock_timestamp(),
      finished_at = case when v_status is null then finished_at when v_status = 'cancelled' then clock_timestamp() end
    where id = b.id;
  perform swarm.emit(p_repo, 'bead_updated', v_id, v_id, (a ->> 'agent_id')::integer, b.stage,
    jsonb_strip_nulls(jsonb_build_object('changed', to_jsonb(v_changed), 'status', v_status, 'reason', a ->> 'reason')));
  return jsonb_build_object('d', jsonb_build_object('bead_id', v_id, 'changed', to_jsonb(v_changed)));
end $$;

create or replace function swarm.do_cancel(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  b        swarm.bead_backlog;
  v_agent  integer;
begin
  select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = a ->> 'bead_id' for no key update;
  if not found then
    return swarm.unknown_bead(p_repo, a ->> 'bead_id');
  end if;
  if b.status = 'cancelled' then
    return jsonb_build_object('d', jsonb_build_object('bead_id', b.bead_id, 'status', 'cancelled', 'was', 'cancelled'));
  end if;
  if b.status = 'completed' then
    return swarm.refused('CONFLICT', format('bead %s is completed', b.bead_id), 'claim', jsonb_build_object('status', b.status),
      jsonb_build_object('cmd', 'show', 'bead_id', b.bead_id));
  end if;
  v_agent := swarm.end_claim(b, 'cancelled');
  update swarm.bead_backlog set status = 'cancelled', updated_at = clock_timestamp(), finished_at = clock_timestamp(),
    feedback = coalesce(a ->> 'reason', feedback) where id = b.id;
  perform swarm.shift_dependants(p_repo, b.bead_id, -1);
  perform swarm.emit(p_repo, 'state_change', b.bead_id, b.bead_id, v_agent, b.stage,
    jsonb_strip_nulls(jsonb_build_object('from', b.status, 'to', 'cancelled', 'reason', a ->> 'reason')));
  return jsonb_build_object('d', jsonb_build_object('bead_id', b.bead_id, 'status', 'cancelled', 'was', b.status));
end $$;

-- Back to pending at a stage, with fresh attempts. The caller has locked the bead.
create or replace function swarm.reopen_bead(b swarm.bead_backlog, p_stage text, p_feedback text) returns void language plpgsql volatile as $$
begin
  perform swarm.end_claim(b, 'cancelled');
  update swarm.bead_backlog set status = 'pending', stage = p_stage, not_for = swarm.kept_from(b, p_stage), attempt = 1, retry_count = 0, attempts_from = fence,
      feedback = p_feedback, finished_at = null, verification_status = 'unverified', updated_at = clock_timestamp()
    where id = b.id;
  delete from swarm.bead_claims where repo_id = b.repo_id and bead_id = b.bead_id;
  if not swarm.is_open(b.status) then
    perform swarm.shift_dependants(b.repo_id, b.bead_id, 1);
  end if;
  perform swarm.emit(b.repo_id, 'state_change', b.bead_id, b.bead_id, null, p_stage,
    jsonb_strip_nulls(jsonb_build_object('from', b.status, 'to', 'pending', 'reason', left(p_feedback, 500))));
end $$;

-- Goes no further than the first stage with a gate that the bead has not passed; the reply then says what was asked for.
create or replace function swarm.do_reopen(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  b        swarm.bead_backlog;
  v_asked  text;
  v_stage  text;
begin
  select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = a ->> 'bead_id' for no key update;
  if not found then
    return swarm.unknown_bead(p_repo, a ->> 'bead_id');
  end if;
  v_asked := coalesce(a ->> 'stage', case when b.stage = 'done' or not swarm.is_open(b.status)
    then swarm.first_stage(p_repo, b.workflow) else b.stage end);
  if not exists (select from swarm.workflow_stages where repo_id = p_repo and name = b.workflow and stage = v_asked) then
    return swarm.refused('CONFLICT', format('workflow %s has no stage %s', b.workflow, v_asked), 'stage',
      jsonb_build_object('field', 'stage', 'got', v_asked), jsonb_build_object('cmd', 'workflows'));
  end if;
  if b.status in ('pending', 'in_progress') then
    return swarm.refused('CONFLICT', format('bead %s is %s already', b.bead_id, b.status), 'claim',
      jsonb_build_object('status', b.status), jsonb_build_object('cmd', 'show', 'bead_id', b.bead_id));
  end if;
  v_stage := swarm.allowed_stage(b, v_asked);
  perform swarm.reopen_bead(b, v_stage, a ->> 'feedback');
  return jsonb_build_object('d', jsonb_strip_nulls(jsonb_build_object('bead_id', b.bead_id, 'status', 'pending', 'stage', v_stage,
    'asked', case when v_asked <> v_stage then v_asked end, 'was', b.status)));
end $$;
