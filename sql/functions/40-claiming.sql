-- Claiming.

-- Ends the claim on a bead that the caller has locked: the running attempt is closed as `error` with the reason, the
-- agent is free again. Does not touch the bead.
create or replace function swarm.end_claim(b swarm.bead_backlog, p_reason text) returns integer language plpgsql volatile as $$
declare
  v_agent integer;
begin
  delete from swarm.bead_claims where repo_id = b.repo_id and bead_id = b.bead_id and status = 'in_progress'
    returning claimed_by into v_agent;
  if v_agent is null then
    return null;
  end if;
  update swarm.stage_history set status = 'error', result = p_reason, completed_at = clock_timestamp(),
      duration_ms = greatest(0, extract(epoch from clock_timestamp() - started_at) * 1000)
    where repo_id = b.repo_id and bead_id = b.bead_id and status = 'started';
  update swarm.agent_state set bead_id = null, current_stage = null, stage_started_at = null, status = 'idle',
      last_update = clock_timestamp()
    where repo_id = b.repo_id and agent_id = v_agent and bead_id = b.bead_id;
  return v_agent;
end $$;

-- Up to 100 expired beads go back to pending. Nothing is waited for: whoever holds a lock on one is dealing with it.
create or replace function swarm.expire_leases(p_repo text) returns integer language plpgsql volatile as $$
declare
  c        record;
  b        swarm.bead_backlog;
  v_ended  integer := 0;
  v_now    timestamptz := clock_timestamp();  -- a variable: compared with the function itself no index would be used
begin
  for c in
    select bead_id, claimed_by from swarm.bead_claims
    where repo_id = p_repo and status = 'in_progress' and lease_expires_at < v_now
    order by lease_expires_at limit 100
  loop
    perform 1 from swarm.agent_state where repo_id = p_repo and agent_id = c.claimed_by for no key update skip locked;
    continue when not found;
    select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = c.bead_id for no key update skip locked;
    continue when not found;
    perform 1 from swarm.bead_claims where repo_id = p_repo and bead_id = c.bead_id and claimed_by = c.claimed_by
      and status = 'in_progress' and lease_expires_at < clock_timestamp() for update;
    continue when not found;
    perform swarm.end_claim(b, 'lease_expired');
    update swarm.bead_backlog set status = 'pending', updated_at = clock_timestamp() where id = b.id;
    perform swarm.emit(p_repo, 'lease_expired', b.bead_id, b.bead_id, c.claimed_by, b.stage, jsonb_build_object('fence', b.fence));
    v_ended := v_ended + 1;
  end loop;
  return v_ended;
end $$;

-- Number of the attempt that would start now: tries of this stage since the bead was (re)opened, not counting those
-- that ended without an outcome, plus one.
create or replace function swarm.next_attempt(b swarm.bead_backlog, p_stage text) returns integer language sql stable as $$
  select 1 + count(*)::integer from swarm.stage_history h
  where h.repo_id = b.repo_id and h.bead_id = b.bead_id and h.stage = p_stage and h.fence > b.attempts_from
    and h.status <> 'started' and h.result not in ('lease_expired', 'released', 'cancelled', 'noop')
$$;

-- Gives a locked bead to an agent: a new fence, a new claim, a started attempt of its current stage. Two events.
create or replace function swarm.give_bead(b swarm.bead_backlog, p_agent integer, p_holder text, p_lease_ms integer)
returns swarm.bead_backlog language plpgsql volatile as $$
declare
  v_now  timestamptz := clock_timestamp();
begin
  b.attempt := swarm.next_attempt(b, b.stage);
  update swarm.bead_backlog set status = 'in_progress', fence = fence + 1, attempt = b.attempt, updated_at = v_now
    where id = b.id returning * into b;
  insert into swarm.bead_claims (repo_id, bead_id, claimed_by, claimed_at, heartbeat_at, lease_expires_at, holder, fence, lease_ms)
    values (b.repo_id, b.bead_id, p_agent, v_now, v_now, v_now + make_interval(secs => p_lease_ms / 1000.0), p_holder, b.fence, p_lease_ms)
    on conflict (repo_id, bead_id) do update set claimed_by = excluded.claimed_by, claimed_at = v_now, heartbeat_at = v_now,
      lease_expires_at = excluded.lease_expires_at, status = 'in_progress', holder = excluded.holder,
      fence = excluded.fence, lease_ms = excluded.lease_ms;
  insert into swarm.stage_history (repo_id, agent_id, bead_id, stage, attempt_number, status, fence, session_id, started_at)
    values (b.repo_id, p_agent, b.bead_id, b.stage, b.attempt, 'started', b.fence, p_holder, v_now);
  update swarm.agent_state set bead_id = b.bead_id, current_stage = b.stage, stage_started_at = v_now, status = 'working',
      last_update = v_now, feedback = b.feedback,
      implementation_attempt = case when b.stage = 'implement' then b.attempt else implementation_attempt end
    where repo_id = b.repo_id and agent_id = p_agent;
  insert into swarm.execution_events (event_type, entity_id, repo_id, bead_id, agent_id, stage, session_id, payload) values
    ('bead_claimed', b.bead_id, b.repo_id, b.bead_id, p_agent, b.stage, p_holder,
      jsonb_build_object('fence', b.fence, 'lease_ms', p_lease_ms)),
    ('stage_started', b.bead_id, b.repo_id, b.bead_id, p_agent, b.stage, p_holder, jsonb_build_object('attempt', b.attempt));
  return b;
end $$;

create or replace function swarm.claim_json(b swarm.bead_backlog, p_lease_ms integer, p_held boolean) returns jsonb language sql stable
begin atomic
  select jsonb_build_object('d', jsonb_strip_nulls(jsonb_build_object('stage', b.stage, 'attempt', b.attempt, 'feedback', b.feedback,
      'fence', b.fence, 'lease_ms', p_lease_ms, 'held', p_held)) || jsonb_build_object(
    'bead', jsonb_build_object('bead_id', b.bead_id, 'title', b.title, 'description', b.description,
                               'priority', b.priority, 'labels', to_jsonb(b.labels))));
end;

-- Ready beads that the agent may take, in the order of claiming, up to 64 of each stage. A stage whose beads it must leave to others is
-- looked at by whose work they are: so one's own are passed over, however many they are.
create or replace function swarm.candidates(p_repo text, p_agent integer, p_role text, p_labels text[], p_types text[])
returns setof bigint language plpgsql stable rows 64
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off as $$
declare
  v_kept  swarm.workflow_stages[] := swarm.kept_stages(p_repo, p_agent);
begin
  return query
    select c.id from swarm.workflow_stages s cross join lateral (
      select x.id, x.priority, x.created_at from swarm.bead_backlog x
      where x.repo_id = p_repo and x.workflow = s.name and x.stage = s.stage and x.status = 'pending' and x.open_blockers = 0
        and (p_labels is null or x.labels @> p_labels) and (p_types is null or x.bead_type = any(p_types))
      order by x.priority, x.created_at, x.id limit 64) c
    where s.repo_id = p_repo and (p_role is null or s.role is null or p_role = any(s.role)) and not swarm.is_landing(s)
      and cardinality(v_kept) = 0
    order by c.priority, c.created_at, c.id limit 64;
  if cardinality(v_kept) = 0 then
    return;
  end if;
  return query
    with recursive author(agent_id) as (
      (select x.not_for from swarm.bead_backlog x
        where x.repo_id = p_repo and x.status = 'pending' and x.open_blockers = 0 and x.not_for > 0 order by x.not_for limit 1)
      union all
      select (select x.not_for from swarm.bead_backlog x
        where x.repo_id = p_repo and x.status = 'pending' and x.open_blockers = 0 and x.not_for > a.agent_id order by x.not_for limit 1)
        from author a where a.agent_id is not null
    ), stage as materialized (
      select s.name, s.stage, (s.name, s.stage) in (select k.name, k.stage from unnest(v_kept) k) as is_kept from swarm.workflow_stages s
      where s.repo_id = p_repo and (p_role is null or s.role is null or p_role = any(s.role)) and not swarm.is_landing(s)
    )
    select u.id from (
      select c.* from stage s cross join lateral (
        select x.id, x.priority, x.created_at from swarm.bead_backlog x
        where x.repo_id = p_repo and x.workflow = s.name and x.stage = s.stage and x.status = 'pending' and x.open_blockers = 0
          and (p_labels is null or x.labels @> p_labels) and (p_types is null or x.bead_type = any(p_types))
        order by x.priority, x.created_at, x.id limit 64) c
      where not s.is_kept
      union all
      select c.* from stage s cross join author a cross join lateral (
        select x.id, x.priority, x.created_at from swarm.bead_backlog x
        where x.repo_id = p_repo and x.workflow = s.name and x.stage = s.stage and x.status = 'pending' and x.open_blockers = 0
          and x.not_for = a.agent_id and (p_labels is null or x.labels @> p_labels) and (p_types is null or x.bead_type = any(p_types))
        order by x.priority, x.created_at, x.id limit 16) c
      where s.is_kept and a.agent_id <> p_agent
      union all
      -- nobody's work, as after an import: among the first of the stage
      select c.id, c.priority, c.created_at from stage s cross join lateral (
        select x.id, x.priority, x.created_at, x.not_for, x.labels, x.bead_type from swarm.bead_backlog x
        where x.repo_id = p_repo and x.workflow = s.name and x.stage = s.stage and x.status = 'pending' and x.open_blockers = 0
        order by x.priority, x.created_at, x.id limit 64) c
      where s.is_kept and c.not_for is null and (p_labels is null or c.labels @> p_labels) and (p_types is null or c.bead_type = any(p_types))
    ) u order by u.priority, u.created_at, u.id limit 64;
end $$;

-- The first ready bead the agent may do, locked. The planner is held to the ready indexes: with statistics from an
-- emptier table it would choose to sort. When every ready bead is locked by somebody, wait for the first of them rather
-- than answer that there is none.
create or replace function swarm.pick_bead(p_repo text, p_agent integer, p_role text, p_labels text[], p_types text[])
returns swarm.bead_backlog language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off as $$
declare
  b        swarm.bead_backlog;
  v_id     bigint;
  v_first  bigint;
  -- a bead that is kept from the agent since is passed over below: here it is known that there are not many
  v_any    boolean := p_role is null
    and not exists (select from swarm.bead_backlog where repo_id = p_repo and status = 'pending' and open_blockers = 0 and not_for = p_agent)
    and not exists (select from swarm.bead_backlog where repo_id = p_repo and status = 'pending' and open_blockers = 0 and not_for = 0);
  v_own_kept  boolean := not v_any and p_role is null and p_labels is null and p_types is null
    and not exists (select from swarm.workflow_stages s where s.repo_id = p_repo and s.independent = 'prefer' and not swarm.somebody_else(s, p_agent));
begin
  for i in 1 .. 20 loop
    v_first := null;
    if v_any and p_labels is null and p_types is null then
      select * into b from swarm.bead_backlog x
        where x.repo_id = p_repo and x.status = 'pending' and x.open_blockers = 0
          and x.not_for is distinct from p_agent and x.not_for is distinct from 0
        order by x.priority, x.created_at, x.id limit 1 for no key update skip locked;
    elsif v_any then
      select * into b from swarm.bead_backlog x
        where x.repo_id = p_repo and x.status = 'pending' and x.open_blockers = 0
          and x.not_for is distinct from p_agent and x.not_for is distinct from 0
          and (p_labels is null or x.labels @> p_labels) and (p_types is null or x.bead_type = any(p_types))
        order by x.priority, x.created_at, x.id limit 1 for no key update skip locked;
    else
      -- mostly the first that may be taken is among the first: one's own that stand before it are stepped over
      if v_own_kept then
        select x.* into b from (select y.id, y.not_for, y.priority, y.created_at from swarm.bead_backlog y
            where y.repo_id = p_repo and y.status = 'pending' and y.open_blockers = 0
            order by y.priority, y.created_at, y.id limit 64) f
          join swarm.bead_backlog x on x.id = f.id
          where f.not_for is distinct from p_agent and f.not_for is distinct from 0 and x.status = 'pending' and x.open_blockers = 0
            and x.not_for is distinct from p_agent and x.not_for is distinct from 0
          order by f.priority, f.created_at, f.id limit 1 for no key update of x skip locked;
        if b.id is not null then
          return b;
        end if;
      end if;
      for v_id in select swarm.candidates(p_repo, p_agent, p_role, p_labels, p_types) loop
        v_first := coalesce(v_first, v_id);
        select * into b from swarm.bead_backlog x where x.id = v_id and x.status = 'pending' and x.open_blockers = 0
          and swarm.may_do(p_repo, x.workflow, x.stage, p_role) and not swarm.is_kept(x, p_agent) for no key update skip locked;
        exit when b.id is not null;
      end loop;
    end if;
    if b.id is not null then
      return b;
    end if;
    if v_any then
      select x.id into v_first from swarm.bead_backlog x
        where x.repo_id = p_repo and x.status = 'pending' and x.open_blockers = 0
          and x.not_for is distinct from p_agent and x.not_for is distinct from 0
          and (p_labels is null or x.labels @> p_labels) and (p_types is null or x.bead_type = any(p_types))
        order by x.priority, x.created_at, x.id limit 1;
    end if;
    if v_first is null then
      return null;
    end if;
    select * into b from swarm.bead_backlog x where x.id = v_first and x.status = 'pending' and x.open_blockers = 0
      and swarm.may_do(p_repo, x.workflow, x.stage, p_role) and not swarm.is_kept(x, p_agent) for no key update;
    if b.id is not null then
      return b;
    end if;
  end loop;
  return null;
end $$;

-- Whether asking for a bead now may find one: a cheap look for those who wait.
create or replace function swarm.claimable(p_repo text, p_agent integer) returns boolean language plpgsql volatile as $$
declare
  v_now timestamptz := clock_timestamp();
begin
  return exists (select from swarm.bead_backlog where repo_id = p_repo and status = 'pending' and open_blockers = 0)
    or exists (select from swarm.bead_claims where repo_id = p_repo and status = 'in_progress' and lease_expires_at < v_now)
    or exists (select from swarm.bead_claims where repo_id = p_repo and status = 'in_progress' and claimed_by = p_agent);
end $$;

create or replace function swarm.do_claim_next(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_agent    swarm.agent_state;
  b          swarm.bead_backlog;
  c          swarm.bead_claims;
  v_holder  text := p ->> 'holder';
  v_lease    integer := coalesce((a ->> 'lease_ms')::integer, (p ->> 'lease_ms')::integer, 900000);
  v_labels   text[] := case when a ? 'labels' then swarm.texts(a -> 'labels') end;
  v_types    text[] := case when a ? 'bead_types' then swarm.texts(a -> 'bead_types') end;
  v_now      timestamptz;
  v_none     jsonb;
begin
  select * into v_agent from swarm.agent_state where repo_id = p_repo and agent_id = (a ->> 'agent_id')::integer for no key update;
  if not found then
    return swarm.unknown_agent(p_repo, (a ->> 'agent_id')::integer);
  end if;
  v_now := clock_timestamp();
  if exists (select from swarm.bead_claims where repo_id = p_repo and status = 'in_progress' and lease_expires_at < v_now) then
    perform swarm.expire_leases(p_repo);
  end if;

  select * into c from swarm.bead_claims where repo_id = p_repo and claimed_by = v_agent.agent_id and status = 'in_progress';
  if found then
    select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = c.bead_id for no key update;
    select * into c from swarm.bead_claims where repo_id = p_repo and bead_id = b.bead_id and claimed_by = v_agent.agent_id and status = 'in_progress';
    if found then
      if c.holder = v_holder then
        v_lease := coalesce((a ->> 'lease_ms')::integer, c.lease_ms);
      else
        update swarm.bead_backlog set fence = fence + 1, updated_at = clock_timestamp() where id = b.id returning * into b;
        update swarm.stage_history set fence = b.fence, session_id = v_holder
          where repo_id = p_repo and bead_id = b.bead_id and status = 'started';
        insert into swarm.execution_events (event_type, entity_id, repo_id, bead_id, agent_id, stage, session_id, payload) values
          ('bead_claimed', b.bead_id, p_repo, b.bead_id, v_agent.agent_id, b.stage, v_holder,
           jsonb_build_object('fence', b.fence, 'lease_ms', v_lease, 'held', true));
      end if;
      update swarm.bead_claims set holder = v_holder, fence = b.fence, lease_ms = v_lease, heartbeat_at = clock_timestamp(),
          lease_expires_at = clock_timestamp() + make_interval(secs => v_lease / 1000.0)
        where repo_id = p_repo and bead_id = b.bead_id;
      return swarm.claim_json(b, v_lease, true);
    end if;
  end if;

  if (select swarm_status from swarm.swarm_config) <> 'paused' then
    b := swarm.pick_bead(p_repo, v_agent.agent_id, v_agent.role, v_labels, v_types);
    if b.id is not null then
      b := swarm.give_bead(b, v_agent.agent_id, v_holder, v_lease);
      return swarm.claim_json(b, v_lease, false);
    end if;
  end if;
  v_none := swarm.none_json(p_repo, v_agent.agent_id, v_agent.role, v_labels, v_types);
  if coalesce((p ->> 'require')::boolean, (a ->> 'require')::boolean) then
    return swarm.refused('NOTFOUND', 'there is no bead to claim', null, (v_none -> 'd') - 'bead', jsonb_build_object('cmd', 'status'));
  end if;
  return v_none;
end $$;

-- Renewal by the process that holds the claim: compare and set on fence and unexpired lease, nothing else is touched.
create or replace function swarm.renew_lease(p_repo text, p_agent integer, p_bead text, p_fence bigint, p_lease_ms integer default null)
returns boolean language plpgsql volatile as $$
begin
  update swarm.bead_claims set heartbeat_at = clock_timestamp(), lease_ms = coalesce(p_lease_ms, lease_ms),
      lease_expires_at = clock_timestamp() + make_interval(secs => coalesce(p_lease_ms, lease_ms) / 1000.0)
    where repo_id = p_repo and bead_id = p_bead and claimed_by = p_agent and fence = p_fence and status = 'in_progress'
      and lease_expires_at > clock_timestamp();
  return found;
end $$;
