-- What would be claimed.

-- What claim-next would do now, found without a lock: the same order and filters, and leases that have run out count as
-- given back. `others` says of the beads next in order why it is not them.
create or replace function swarm.next_bead(p_repo text, a jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_agent   integer := (a ->> 'agent_id')::integer;
  v_role    text;
  v_labels  text[] := case when a ? 'labels' then swarm.texts(a -> 'labels') end;
  v_types   text[] := case when a ? 'bead_types' then swarm.texts(a -> 'bead_types') end;
  v_now     timestamptz := clock_timestamp();
  v_paused  boolean := (select swarm_status = 'paused' from swarm.swarm_config);
  v_held    boolean := false;
  v_others  jsonb;
  b         swarm.bead_backlog;
begin
  if v_agent is not null then
    select role into v_role from swarm.agent_state where repo_id = p_repo and agent_id = v_agent;
    if not found then
      return swarm.unknown_agent(p_repo, v_agent);
    end if;
    select x.* into b from swarm.bead_claims c join swarm.bead_backlog x on x.repo_id = c.repo_id and x.bead_id = c.bead_id
      where c.repo_id = p_repo and c.claimed_by = v_agent and c.status = 'in_progress' and c.lease_expires_at >= v_now;
    v_held := found;
  end if;
  if not v_held and not v_paused then
    select x.* into b from (
      (select x as id from swarm.candidates(p_repo, v_agent, v_role, v_labels, v_types) x limit 1)
      union all
      select x.id from (select bead_id from swarm.bead_claims
          where repo_id = p_repo and status = 'in_progress' and lease_expires_at < v_now order by lease_expires_at limit 100) c
        join swarm.bead_backlog x on x.repo_id = p_repo and x.bead_id = c.bead_id
        where x.status = 'in_progress' and x.open_blockers = 0 and swarm.may_do(p_repo, x.workflow, x.stage, v_role) and not swarm.is_kept(x, v_agent)
          and (v_labels is null or x.labels @> v_labels) and (v_types is null or x.bead_type = any(v_types))
    ) i join swarm.bead_backlog x on x.id = i.id order by x.priority, x.created_at, x.id limit 1;
  end if;

  select coalesce(jsonb_agg(jsonb_build_object('bead_id', o.bead_id, 'why_not', case
      when o.open_blockers > 0 then 'waits for ' || coalesce((select string_agg(w.other_id, ', ' order by w.other_id) from (
        select distinct l.other_id from swarm.bead_links l join swarm.bead_backlog k on k.repo_id = l.repo_id and k.bead_id = l.other_id
        where l.repo_id = p_repo and l.bead_id = o.bead_id and swarm.blocking(l.kind) and swarm.is_open(k.status)
        order by l.other_id limit 3) w), 'others') || case when o.open_blockers > 3 then format(' and %s more', o.open_blockers - 3) else '' end
      when o.not_for = 0 then format('swarm itself does its stage %s', o.stage)
      when swarm.is_kept(o, v_agent) then format('its stage %s checks the work of agent %s, so another agent does it', o.stage, v_agent)
      when not swarm.may_do(p_repo, o.workflow, o.stage, v_role) then format('its stage %s is not for role %s', o.stage, v_role)
      when not o.labels @> v_labels then 'it lacks a label asked for'
      when not o.bead_type = any(v_types) then format('it is of type %s', o.bead_type)
      when v_held then format('agent %s holds a bead already', v_agent)
      when v_paused then 'the swarm is paused'
      else 'it comes later' end) order by o.priority, o.created_at, o.id), '[]')
    into v_others from (
      (select * from swarm.bead_backlog x where x.repo_id = p_repo and x.status = 'pending' and x.open_blockers = 0
        and x.id is distinct from b.id order by x.priority, x.created_at, x.id limit 5)
      union all
      (select * from swarm.bead_backlog x where x.repo_id = p_repo and x.status = 'pending' and x.open_blockers > 0
        and x.id is distinct from b.id order by x.priority, x.created_at, x.id limit 5)
      order by priority, created_at, id limit 5) o;
  if b.id is null then
    return (swarm.none_json(p_repo, v_agent, v_role, v_labels, v_types) -> 'd')
      || jsonb_build_object('others', v_others);
  end if;
  return jsonb_strip_nulls(jsonb_build_object('stage', b.stage, 'attempt', case when v_held then b.attempt else swarm.next_attempt(b, b.stage) end,
      'feedback', b.feedback, 'held', v_held, 'why', case
        when v_held then format('agent %s holds it', v_agent)
        when b.status = 'in_progress' then 'its lease has run out, and it is the first by priority, then age'
        else 'the first ready one by priority, then age' end)) || jsonb_build_object(
    'bead', jsonb_build_object('bead_id', b.bead_id, 'title', b.title, 'priority', b.priority, 'labels', to_jsonb(b.labels)), 'others', v_others);
end $$;
