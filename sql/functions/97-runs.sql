-- Runs: starting, steering and looking.

create or replace function swarm.run_json(r swarm.swarm_runs) returns jsonb language sql stable
begin atomic
  select jsonb_strip_nulls(jsonb_build_object('run_id', r.run_id, 'status', r.status, 'pause_reason', r.pause_reason, 'target', r.target,
    'waves', r.waves, 'agents', r.config -> 'agents', 'adapter', r.config -> 'adapter', 'started_at', swarm.iso(r.started_at), 'ended_at', swarm.iso(r.ended_at),
    'estimated_completion', swarm.iso(r.estimated_completion),
    'landed', (select count(*) from swarm.bead_backlog b where b.repo_id = r.repo_id and b.run_id = r.run_id and b.status = 'completed')));
end;

create or replace function swarm.emit_run(p_repo text, p_type text, p_run text, p_session text, p_bead text, p_agent integer, p_stage text,
  p_payload jsonb) returns void language plpgsql volatile as $$
begin
  insert into swarm.execution_events (event_type, entity_id, repo_id, run_id, session_id, bead_id, agent_id, stage, payload)
    values (p_type, coalesce(p_session, p_run, p_bead, p_payload ->> 'question_id', p_repo), p_repo, p_run, p_session, p_bead, p_agent, p_stage, jsonb_strip_nulls(p_payload));
end $$;

create or replace function swarm.unknown_run(p_run text) returns jsonb language sql immutable
begin atomic
  select swarm.refused('NOTFOUND', format('there is no run %s', p_run), null, jsonb_build_object('field', 'run_id', 'got', p_run),
    '{"cmd": "runs"}');
end;

-- Gives every workflow of the repo its last stage `land`, which swarm itself does: a failure there goes back to implement, where there
-- is such a stage.
create or replace function swarm.ensure_land_stage(p_repo text) returns void language plpgsql volatile as $$
declare
  w  record;
begin
  for w in select name, max(position) as last, bool_or(stage = 'land') as has,
      coalesce(max(stage) filter (where stage = 'implement'), min(stage) filter (where position = 1)) as back
    from swarm.workflow_stages where repo_id = p_repo group by name
  loop
    continue when w.has;
    insert into swarm.workflow_stages (repo_id, name, stage, position, role, on_fail, max_attempts)
      values (p_repo, w.name, 'land', w.last + 1, array['swarm'], w.back, null);
  end loop;
end $$;

-- The agent in whose name swarm lands beads.
create or replace function swarm.swarm_agent(p_repo text) returns integer language plpgsql volatile as $$
declare
  v_agent  integer;
begin
  select min(agent_id) into v_agent from swarm.agent_state where repo_id = p_repo and role = 'swarm';
  if v_agent is null then
    insert into swarm.agent_state (repo_id, agent_id, role)
      select p_repo, coalesce(max(agent_id), 0) + 1, 'swarm' from swarm.agent_state where repo_id = p_repo
      returning agent_id into v_agent;
  end if;
  return v_agent;
end $$;

-- A bead's wave is its depth in the graph of what waits for what, from 1, within a run: one more than the highest of those that it waits for.
-- Beads on a circle have none. The graph is read once and walked here: of a backlog that has just been imported the planner knows nothing,
-- and a look at each bead's links may read all of them every time. Joins of whole sets do not depend on what it knows.
create or replace function swarm.number_waves(p_repo text, p_run text) returns integer language plpgsql volatile set enable_nestloop = off as $$
declare
  v_ids    text[];
  -- by the place in v_ids: the wave (at first the highest of those that it waits for and that have one), how many without one it waits for,
  -- and where the links begin of which it is the blocker
  v_wave   integer[];
  v_open   integer[];
  v_first  integer[];
  -- links between beads without a wave, ordered by the blocker
  v_from   integer[];
  v_to     integer[];
  v_queue  integer[] := '{}';
  v_head   integer := 1;
  v_tail   integer := 0;
  v_bead   integer;
  v_link   integer;
begin
  select array_agg(bead_id) into v_ids from swarm.bead_backlog
    where repo_id = p_repo and run_id = p_run and wave is null and status in ('pending', 'in_progress', 'blocked', 'deferred');
  with beads as (select bead_id, n::integer from unnest(v_ids) with ordinality x(bead_id, n)),
    known as (select l.bead_id, max(o.wave) as wave from swarm.bead_links l
      join swarm.bead_backlog o on o.repo_id = l.repo_id and o.bead_id = l.other_id
      where l.repo_id = p_repo and o.repo_id = p_repo and swarm.blocking(l.kind) and swarm.is_open(o.status) and o.run_id = p_run
      group by l.bead_id)
    select array_agg(coalesce(k.wave, 0) order by b.n) into v_wave from beads b left join known k on k.bead_id = b.bead_id;
  with beads as (select bead_id, n::integer from unnest(v_ids) with ordinality x(bead_id, n))
    select array_agg(a.n order by a.n, b.n), array_agg(b.n order by a.n, b.n) into v_from, v_to
      from swarm.bead_links l join beads a on a.bead_id = l.other_id join beads b on b.bead_id = l.bead_id
      where l.repo_id = p_repo and swarm.blocking(l.kind);
  v_open := array_fill(0, array[coalesce(cardinality(v_ids), 0)]);
  v_first := v_open;
  for v_link in reverse coalesce(cardinality(v_from), 0) .. 1 loop
    v_open[v_to[v_link]] := v_open[v_to[v_link]] + 1;
    v_first[v_from[v_link]] := v_link;
  end loop;
  for v_bead in 1 .. coalesce(cardinality(v_ids), 0) loop
    if v_open[v_bead] = 0 then
      v_tail := v_tail + 1;
      v_queue[v_tail] := v_bead;
    end if;
  end loop;
  while v_head <= v_tail loop
    v_bead := v_queue[v_head];
    v_head := v_head + 1;
    v_wave[v_bead] := v_wave[v_bead] + 1;
    v_link := v_first[v_bead];
    while v_link > 0 and v_from[v_link] = v_bead loop
      v_wave[v_to[v_link]] := greatest(v_wave[v_to[v_link]], v_wave[v_bead]);
      v_open[v_to[v_link]] := v_open[v_to[v_link]] - 1;
      if v_open[v_to[v_link]] = 0 then
        v_tail := v_tail + 1;
        v_queue[v_tail] := v_to[v_link];
      end if;
      v_link := v_link + 1;
    end loop;
  end loop;
  update swarm.bead_backlog b set wave = x.wave from unnest(v_ids, v_wave, v_open) x(bead_id, wave, open)
    where b.repo_id = p_repo and b.bead_id = x.bead_id and x.open = 0;
  return coalesce((select max(wave) from swarm.bead_backlog where repo_id = p_repo and run_id = p_run), 0);
end $$;

-- Starts a run: the beads that are open and in no other open run, at most `target` of them to be landed. `agents`: {role: how many}.
-- The agents of each role are made as far as there are too few.
create or replace function swarm.do_run_start(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_run    text := coalesce(a ->> 'run_id', 'run-' || substr(md5(gen_random_uuid()::text), 1, 8));
  v_role   text;
  v_want   integer;
  v_beads  integer;
  r        swarm.swarm_runs;
begin
  perform swarm.lock_links(p_repo);
  select * into r from swarm.swarm_runs where repo_id = p_repo and run_id = v_run;
  if found then
    return swarm.refused('EXISTS', format('there is a run %s already', v_run), null, jsonb_build_object('field', 'run_id', 'got', v_run),
      jsonb_build_object('cmd', 'up', 'resume', v_run));
  end if;
  -- a run that finds every bead in another run would be over at once, with nothing done
  if a -> 'config' -> 'continuous' is distinct from 'true' and not exists (select from swarm.bead_backlog b
      where b.repo_id = p_repo and b.status in ('pending', 'in_progress', 'blocked', 'deferred')
        and not exists (select from swarm.swarm_runs o where o.repo_id = p_repo and o.run_id = b.run_id and o.ended_at is null)) then
    select o.* into r from swarm.swarm_runs o join swarm.bead_backlog b on b.repo_id = p_repo and b.run_id = o.run_id
        and b.status in ('pending', 'in_progress', 'blocked', 'deferred')
      where o.repo_id = p_repo and o.ended_at is null order by o.started_at desc limit 1;
    if found then
      return swarm.refused('EXISTS', format('every bead that is open belongs to %s, which is %s: go on with that run, or end it with down', r.run_id, r.status),
        null, jsonb_build_object('run_id', r.run_id, 'status', r.status), jsonb_build_object('cmd', 'up', 'resume', r.run_id));
    end if;
  end if;
  perform swarm.ensure_land_stage(p_repo);
  for v_role, v_want in select key, value::integer from jsonb_each_text(coalesce(a -> 'agents', '{}')) loop
    insert into swarm.agent_state (repo_id, agent_id, role)
      select p_repo, m.last + n, v_role
      from (select coalesce(max(agent_id), 0) as last, count(*) filter (where role = v_role) as have from swarm.agent_state where repo_id = p_repo) m,
        generate_series(1, v_want - m.have::integer) n;
  end loop;
  perform swarm.swarm_agent(p_repo);
  insert into swarm.swarm_runs (repo_id, run_id, status, target, waves, config)
    values (p_repo, v_run, 'running', (a ->> 'target')::integer, coalesce(a ->> 'waves', 'rolling'), coalesce(a -> 'config', '{}'))
    returning * into r;
  v_beads := swarm.adopt_beads(p_repo, v_run);
  perform swarm.emit_run(p_repo, 'run_started', v_run, null, null, null, null,
    jsonb_build_object('target', r.target, 'beads', v_beads, 'agents', a -> 'agents', 'reason', a ->> 'reason'));
  return jsonb_build_object('d', swarm.run_json(r) || jsonb_build_object('beads', v_beads));
end $$;

-- What a leader decides over, in one read, bounded by what is active: open runs, free and busy agents, hosts, open sessions and those
-- that ended lately, the next ready beads, quotas, spending, questions and the landing train.
create or replace function swarm.snapshot(p_repo text, p_run text, p_limit integer default 200) returns jsonb language plpgsql volatile as $$
declare
  v_now  timestamptz := clock_timestamp();
  v_ago  timestamptz := v_now - interval '15 minutes';
  r      swarm.swarm_runs;
begin
  perform swarm.expire_leases(p_repo);
  select * into r from swarm.swarm_runs where repo_id = p_repo and run_id = p_run;
  if not found then
    return swarm.unknown_run(p_run);
  end if;
  return jsonb_build_object(
    'run', jsonb_build_object('run_id', r.run_id, 'status', r.status, 'pause_reason', r.pause_reason, 'target', r.target, 'waves', r.waves,
      'started_ms', extract(epoch from r.started_at) * 1000, 'continuous', r.config -> 'continuous' = 'true',
      'resumed_ms', extract(epoch from r.resumed_at) * 1000),
    'now_ms', extract(epoch from v_now) * 1000,
    -- counted up to a thousand each: a tick costs the same at any backlog size
    'counts', jsonb_build_object(
      'pending', (select count(*) from (select from swarm.bead_backlog where repo_id = p_repo and run_id = p_run and status = 'pending' limit 1000) x),
      'ready', (select count(*) from (select from swarm.bead_backlog where repo_id = p_repo and run_id = p_run and status = 'pending'
        and open_blockers = 0 and stage <> 'land' limit 1000) x),
      'in_progress', (select count(*) from (select from swarm.bead_backlog where repo_id = p_repo and run_id = p_run and status = 'in_progress' limit 1000) x),
      'blocked', (select count(*) from (select from swarm.bead_backlog where repo_id = p_repo and run_id = p_run and status in ('blocked', 'failed') limit 1000) x),
      'landed', (select count(*) from (select from swarm.bead_backlog where repo_id = p_repo and run_id = p_run and status = 'completed'
        limit greatest(coalesce(r.target, 0), 1000)) x),
      'landing', (select count(*) from (select from swarm.bead_backlog where repo_id = p_repo and run_id = p_run and status = 'pending'
        and open_blockers = 0 and stage = 'land' limit 1000) x),
      'free', case when r.config -> 'continuous' = 'true' then swarm.free_beads(p_repo, p_run) end),
    -- what is pending and not ready waits for a bead of a lower wave: for one that is counted here, or for one that is blocked
    'open_wave', (select min(wave) from swarm.bead_backlog where repo_id = p_repo and run_id = p_run
      and (status = 'in_progress' or status = 'pending' and open_blockers = 0)),
    'stages', (select coalesce(jsonb_agg(jsonb_build_object('workflow', name, 'stage', stage, 'position', position, 'roles', to_jsonb(role),
        'independent', independent)), '[]') from swarm.workflow_stages where repo_id = p_repo),
    'agents', (select coalesce(jsonb_agg(jsonb_build_object('agent_id', a.agent_id, 'role', a.role,
        'busy', a.bead_id is not null) order by a.agent_id), '[]')
      from swarm.agent_state a where a.repo_id = p_repo and a.role is distinct from 'swarm'),
    'hosts', (select coalesce(jsonb_agg(jsonb_build_object('host_id', host_id, 'capacity', capacity, 'adapters', adapters,
        'silent_ms', extract(epoch from v_now - heartbeat_at) * 1000, 'draining', draining, 'free_disk_mb', free_disk_mb) order by host_id), '[]')
      from swarm.hosts where repo_id = p_repo and heartbeat_at > v_now - interval '1 day'),
    'sessions', (select coalesce(jsonb_agg(jsonb_build_object('session_id', s.session_id, 'run_id', s.run_id, 'host_id', s.host_id,
        'agent_id', s.agent_id, 'role', s.role, 'adapter', s.adapter, 'account', s.account, 'bead_id', s.bead_id, 'stage', s.stage,
        'status', s.status, 'reason', s.reason, 'wanted', s.wanted, 'queued_ms', extract(epoch from s.queued_at) * 1000,
        'started_ms', extract(epoch from s.started_at) * 1000, 'ended_ms', extract(epoch from s.ended_at) * 1000,
        'deadline_ms', extract(epoch from s.deadline_at) * 1000,
        'bead', case when s.ended_at is null and s.run_id = p_run then (
          select jsonb_build_object('title', b.title, 'bead_type', b.bead_type, 'labels', b.labels, 'priority', b.priority)
          from swarm.bead_backlog b where b.repo_id = p_repo and b.bead_id = s.bead_id) end) order by s.queued_at), '[]')
      from swarm.agent_sessions s where s.repo_id = p_repo and (s.ended_at is null or (s.run_id = p_run and s.ended_at > v_ago))),
    'ready', (select coalesce(jsonb_agg(to_jsonb(x)), '[]') from (
        select b.bead_id, b.title, b.bead_type, b.labels, b.priority, b.workflow, b.stage, b.wave, b.workspace, extract(epoch from b.created_at) * 1000 as created_ms,
          (select count(*) from swarm.bead_links l where l.repo_id = p_repo and l.other_id = b.bead_id and l.kind in ('blocks', 'parent-child')) as unblocks,
          exists (select from swarm.questions q join swarm.agent_sessions s on s.repo_id = p_repo and s.session_id = q.session_id
            where q.repo_id = p_repo and q.answered_at is null and q.bead_id = b.bead_id and s.reason in ('shutdown', 'quota', 'budget')) as asking,
          nullif(b.not_for, 0) as implementer, not b.workflow_given and b.fence = 0 as unbegun,
          (select count(*) from swarm.agent_sessions s where s.repo_id = p_repo and s.bead_id = b.bead_id
            and (s.reason in ('failed', 'crashed') or s.reason like 'stuck:%')) as failures
        from swarm.bead_backlog b where b.repo_id = p_repo and b.status = 'pending' and b.open_blockers = 0 and b.stage <> 'land'
          and b.run_id = p_run
        order by b.priority, b.created_at, b.id limit p_limit) x),
    'quotas', (select coalesce(jsonb_agg(jsonb_build_object('account', account, 'kind', kind, 'used_percent', used_percent,
        'until_ms', extract(epoch from until_at) * 1000, 'seen_ms', extract(epoch from seen_at) * 1000)), '[]')
      from swarm.quota_windows where repo_id = p_repo and (until_at is null or until_at > v_now - interval '1 hour')),
    'spent', (select jsonb_build_object(
        'run_usd', coalesce(sum(cost_usd) filter (where run_id = p_run), 0),
        'run_tokens', coalesce(sum(input + output + cache_write) filter (where run_id = p_run), 0),
        'day_usd', coalesce(sum(cost_usd) filter (where at > date_trunc('day', v_now)), 0),
        'day_tokens', coalesce(sum(input + output + cache_write) filter (where at > date_trunc('day', v_now)), 0))
      from swarm.usage_ledger where repo_id = p_repo and (run_id = p_run or at > date_trunc('day', v_now))),
    -- what open sessions will probably use besides, and what one that is over has used on average
    'reserved', (select jsonb_build_object('usd', coalesce(sum(greatest(reserve_usd - cost_usd, 0)), 0),
        'tokens', coalesce(sum(greatest(reserve_tokens - input - output - cache_write, 0)), 0))
      from swarm.usage_ledger where repo_id = p_repo and run_id = p_run and settled_at is null),
    'typical', (select jsonb_build_object('usd', coalesce(avg(cost_usd), 0), 'tokens', coalesce(avg(input + output + cache_write), 0)::bigint)
      from swarm.usage_ledger where repo_id = p_repo and run_id = p_run and settled_at is not null and input + output + cache_write > 0),
    'account_spent', (select coalesce(jsonb_object_agg(account, jsonb_build_object('usd', usd, 'tokens', tokens)), '{}') from (
        select account, sum(cost_usd) as usd, sum(input + output + cache_write) as tokens from swarm.usage_ledger
        where repo_id = p_repo and at > date_trunc('day', v_now) group by account) x),
    'bead_spent', (select coalesce(jsonb_object_agg(bead_id, jsonb_build_object('usd', usd, 'tokens', tokens, 'ms', ms)), '{}') from (
        select u.bead_id, sum(u.cost_usd) as usd, sum(u.input + u.output + u.cache_write) as tokens,
          (select round(sum(extract(epoch from coalesce(s.ended_at, v_now) - s.started_at)) * 1000) from swarm.agent_sessions s
            where s.repo_id = p_repo and s.bead_id = u.bead_id) as ms
        from swarm.usage_ledger u where u.repo_id = p_repo and u.run_id = p_run and exists (select from swarm.bead_backlog b
          where b.repo_id = p_repo and b.bead_id = u.bead_id and b.status in ('pending', 'in_progress')) group by u.bead_id) x),
    'questions', (select count(*) from swarm.questions where repo_id = p_repo and answered_at is null),
    'waves', (select coalesce(jsonb_agg(jsonb_build_object('number', number, 'status', status) order by number), '[]')
      from swarm.run_waves where repo_id = p_repo and run_id = p_run));
end $$;

create or replace function swarm.read_run(p_repo text, p_run text) returns jsonb language plpgsql stable as $$
declare
  r  swarm.swarm_runs;
begin
  select * into r from swarm.swarm_runs where repo_id = p_repo and run_id = coalesce(p_run,
    (select run_id from swarm.swarm_runs where repo_id = p_repo order by ended_at is not null, started_at desc limit 1));
  return case when r.run_id is null then swarm.unknown_run(p_run) else swarm.run_json(r) end;
end $$;

-- Sessions as people look at them: the open ones first, then the latest.
create or replace function swarm.sessions_json(p_repo text, a jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_now  timestamptz := clock_timestamp();
begin
  return jsonb_build_object('rows', (select coalesce(jsonb_agg(row order by open desc, queued_at desc), '[]') from (
    select s.ended_at is null as open, s.queued_at, jsonb_strip_nulls(jsonb_build_object('session_id', s.session_id, 'run_id', s.run_id, 'host_id', s.host_id,
        'agent_id', s.agent_id, 'role', s.role, 'adapter', s.adapter, 'account', s.account, 'model', s.model, 'bead_id', s.bead_id, 'stage', s.stage,
        'attempt', s.attempt, 'status', s.status, 'reason', s.reason, 'rule', s.rule, 'evidence', left(s.evidence, 500), 'wanted', s.wanted,
        'open_tool', s.open_tool, 'turns', s.turns, 'tool_calls', s.tool_calls, 'workspace', s.workspace,
        'queued_at', swarm.iso(s.queued_at), 'started_at', swarm.iso(s.started_at), 'ended_at', swarm.iso(s.ended_at),
        'quiet_ms', case when s.ended_at is null then round(extract(epoch from v_now - s.last_output_at) * 1000) end,
        'cost_usd', (select u.cost_usd from swarm.usage_ledger u where u.repo_id = p_repo and u.session_id = s.session_id))) as row
    from swarm.agent_sessions s where s.repo_id = p_repo
      and (a ->> 'run_id' is null or s.run_id = a ->> 'run_id') and (a ->> 'session_id' is null or s.session_id = a ->> 'session_id')
      and (a ->> 'agent_id' is null or s.agent_id = (a ->> 'agent_id')::integer) and (a ->> 'bead_id' is null or s.bead_id = a ->> 'bead_id')
      and (a ->> 'status' is null or s.status = a ->> 'status' or (a ->> 'status' = 'open' and s.ended_at is null))
    order by s.ended_at is null desc, s.queued_at desc limit coalesce((a ->> 'limit')::integer, 50)) x));
end $$;

-- What `explain` tells of a bead, or of the bead of a session.
create or replace function swarm.explain_json(p_repo text, p_subject text) returns jsonb language plpgsql volatile as $$
declare
  b  swarm.bead_backlog;
  r  swarm.swarm_runs;
begin
  select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = coalesce(
    (select bead_id from swarm.agent_sessions where repo_id = p_repo and session_id = p_subject), p_subject);
  if not found then
    return swarm.unknown_bead(p_repo, p_subject);
  end if;
  select * into r from swarm.swarm_runs where repo_id = p_repo and run_id = b.run_id;
  return jsonb_build_object('bead_id', b.bead_id, 'status', b.status, 'stage', b.stage, 'workflow', b.workflow,
      'open_blockers', b.open_blockers, 'feedback', b.feedback, 'pr_url', b.pr_url, 'landing', (select reason from swarm.landings where repo_id = p_repo and bead_id = b.bead_id and status in ('queued', 'testing', 'green')),
      'traits', jsonb_build_object('title', b.title, 'bead_type', b.bead_type, 'labels', b.labels, 'priority', b.priority),
      'run_id', b.run_id, 'run_open', r.run_id is not null and r.ended_at is null)
    || case when b.status = 'pending' and swarm.is_kept(b, nullif(b.not_for, 0)) then jsonb_build_object('not_for', b.not_for) else '{}' end
    || case when r.run_id is not null then jsonb_build_object('run', swarm.run_json(r)) else '{}' end
    || jsonb_build_object('sessions', swarm.sessions_json(p_repo, jsonb_build_object('bead_id', b.bead_id, 'limit', 20)) -> 'rows',
      'decisions', (select coalesce(jsonb_agg(swarm.event_json(e) order by e.seq desc), '[]') from (
        select * from swarm.execution_events where repo_id = p_repo and bead_id = b.bead_id
          and (payload ? 'reason' or event_type like 'transition%') order by seq desc limit 30) e));
end $$;
