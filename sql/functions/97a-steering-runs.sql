-- Runs: what a person tells them, and what comes to them.

-- Whether anybody leads the repo.
create or replace function swarm.is_led(p_repo text) returns boolean language sql volatile as $$
  select exists (select from swarm.leadership where repo_id = p_repo and holder <> '' and expires_at > clock_timestamp())
$$;

-- Ends a run that is told to stop and that nobody leads: no leader will. Sessions of hosts that have been silent for p_silent_s end with it;
-- what still runs somewhere keeps it open, so that the same word again ends it later.
create or replace function swarm.stop_unled(p_repo text, p_run text, p_silent_s integer) returns void language plpgsql volatile as $$
declare
  h  record;
begin
  for h in select distinct s.host_id from swarm.agent_sessions s where s.repo_id = p_repo and s.run_id = p_run and s.ended_at is null
      and not exists (select from swarm.hosts o where o.repo_id = p_repo and o.host_id = s.host_id
        and o.heartbeat_at > clock_timestamp() - make_interval(secs => p_silent_s)) loop
    perform swarm.lose_host(p_repo, h.host_id, 'the run was ended while nobody led it');
  end loop;
  update swarm.swarm_runs set status = 'stopped', ended_at = clock_timestamp()
    where repo_id = p_repo and run_id = p_run and status = 'stopping'
      and not exists (select from swarm.agent_sessions where repo_id = p_repo and run_id = p_run and ended_at is null);
  if found then
    perform swarm.emit_run(p_repo, 'run_stopped', p_run, null, null, null, null, '{"reason": "nobody led it"}');
  end if;
end $$;

-- Pauses, goes on with, stops or ends a run on a person's word. `to`: paused, running, stopping, stopped. The same again changes nothing;
-- neither does a pause of a run that is told to stop: it begins nothing any more.
create or replace function swarm.do_run_set(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_to  text := a ->> 'to';
  r     swarm.swarm_runs;
begin
  select * into r from swarm.swarm_runs where repo_id = p_repo and run_id = coalesce(a ->> 'run_id',
    (select run_id from swarm.swarm_runs where repo_id = p_repo and ended_at is null order by started_at desc limit 1)) for no key update;
  if not found then
    return case when a ? 'run_id' then swarm.unknown_run(a ->> 'run_id')
      else swarm.refused('NOTFOUND', 'no run is open', null, '{"field": "run_id"}', '{"cmd": "runs"}') end;
  end if;
  if (r.ended_at is not null and (v_to <> 'running' or r.status <> 'stopped')) or (r.status = 'stopping' and v_to = 'paused') then
    return jsonb_build_object('d', swarm.run_json(r));
  end if;
  if r.status is distinct from v_to or (v_to = 'paused' and r.pause_reason is distinct from a ->> 'reason') then
    update swarm.swarm_runs set status = v_to, pause_reason = case when v_to = 'paused' then coalesce(a ->> 'reason', 'asked for') end,
        ended_at = case when v_to = 'stopped' then clock_timestamp() end,
        resumed_at = case when v_to = 'running' then clock_timestamp() else resumed_at end
      where repo_id = p_repo and run_id = r.run_id returning * into r;
    if v_to = 'running' then
      update swarm.bead_backlog set run_id = r.run_id
        where repo_id = p_repo and run_id is null and status in ('pending', 'in_progress', 'blocked');
    end if;
    perform swarm.emit_run(p_repo, case v_to when 'running' then 'run_resumed' else 'run_' || v_to end, r.run_id, null, null, null, null,
      jsonb_build_object('reason', a ->> 'reason', 'now', a -> 'now'));
  end if;
  if (a ->> 'now')::boolean then
    update swarm.agent_sessions set wanted = 'shutdown', wanted_reason = coalesce(a ->> 'reason', 'the run was ended at once')
      where repo_id = p_repo and run_id = r.run_id and ended_at is null and wanted is distinct from 'killed' and wanted is distinct from 'shutdown';
  end if;
  if v_to in ('stopping', 'running') then
    -- agents finish their turn
    update swarm.agent_sessions set wanted = case v_to when 'stopping' then 'turn' end,
        wanted_reason = case v_to when 'stopping' then coalesce(a ->> 'reason', 'the run was ended') end
      where repo_id = p_repo and run_id = r.run_id and ended_at is null and wanted is not distinct from case v_to when 'running' then 'turn' end;
  end if;
  if v_to = 'stopping' and not swarm.is_led(p_repo) then
    -- hosts are heard every two seconds
    perform swarm.stop_unled(p_repo, r.run_id, case when (a ->> 'now')::boolean then 6 else 15 end);
    select * into r from swarm.swarm_runs where repo_id = p_repo and run_id = r.run_id;
  end if;
  return jsonb_build_object('d', swarm.run_json(r));
end $$;

-- How many open beads a continuous run could take in: those of no run, and of runs that have ended. Looked for only while the run itself has
-- little that is ready, as the look goes through everything that is pending; counted up to a thousand.
create or replace function swarm.free_beads(p_repo text, p_run text) returns integer language plpgsql volatile as $$
begin
  if (select count(*) from (select from swarm.bead_backlog where repo_id = p_repo and run_id = p_run and status = 'pending'
      and open_blockers = 0 and stage <> 'land' limit 50) x) = 50 then
    return 0;
  end if;
  return (select count(*) from (select from swarm.bead_backlog b where b.repo_id = p_repo and b.status = 'pending'
    and b.run_id is distinct from p_run
    and not exists (select from swarm.swarm_runs o where o.repo_id = p_repo and o.run_id = b.run_id and o.ended_at is null) limit 1000) x);
end $$;

-- Takes the open beads that are in no open run into this one. Answers how many.
create or replace function swarm.adopt_beads(p_repo text, p_run text) returns integer language plpgsql volatile as $$
declare
  v_beads  integer;
begin
  update swarm.bead_backlog b set run_id = p_run, wave = null
    where b.repo_id = p_repo and b.status in ('pending', 'in_progress', 'blocked', 'deferred') and b.run_id is distinct from p_run
      and not exists (select from swarm.swarm_runs o where o.repo_id = p_repo and o.run_id = b.run_id and o.ended_at is null);
  get diagnostics v_beads = row_count;
  perform swarm.number_waves(p_repo, p_run);
  return v_beads;
end $$;
