-- How a run stands, for people: counts, sessions, hosts, train, quotas, spending, questions.
create or replace function swarm.run_overview(p_repo text, p_run text) returns jsonb language plpgsql volatile as $$
declare
  v_now  timestamptz := clock_timestamp();
  r      swarm.swarm_runs;
  v_from timestamptz;
  v_step interval;
begin
  select * into r from swarm.swarm_runs where repo_id = p_repo and run_id = coalesce(p_run,
    (select run_id from swarm.swarm_runs where repo_id = p_repo order by ended_at is not null, started_at desc limit 1));
  -- what was finished since the run began, or in the last day, in at most 120 steps of at least a minute
  v_from := coalesce(r.started_at, v_now - interval '1 day');
  v_step := greatest(interval '1 minute', (coalesce(r.ended_at, v_now) - v_from) / 120);
  return jsonb_strip_nulls(jsonb_build_object('as_of', swarm.iso(v_now),
    'run', case when r.run_id is not null then swarm.run_json(r) end,
    'beads', (select coalesce(jsonb_object_agg(status, n), '{}') from (select status, count(*) as n from swarm.bead_backlog
      where repo_id = p_repo and (r.run_id is null or run_id = r.run_id) group by status) x),
    'ready', (select count(*) from swarm.bead_backlog where repo_id = p_repo and status = 'pending' and open_blockers = 0
      and (r.run_id is null or run_id = r.run_id)),
    'agents', (select jsonb_build_object('total', count(*), 'busy', count(*) filter (where bead_id is not null)) from swarm.agent_state
      where repo_id = p_repo and role is distinct from 'swarm'),
    'blocked', (select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('bead_id', bead_id, 'title', title, 'stage', stage, 'attempt', attempt,
        'feedback', left(feedback, 500), 'since', swarm.iso(updated_at)))), '[]')
      from (select * from swarm.bead_backlog where repo_id = p_repo and status in ('blocked', 'failed') and (r.run_id is null or run_id = r.run_id)
        order by updated_at desc limit 20) x),
    'finished', (select coalesce(jsonb_agg(jsonb_build_object('at', swarm.iso(at), 'count', n) order by at), '[]') from (
      select date_bin(v_step, finished_at, v_from) as at, count(*) as n from swarm.bead_backlog
      where repo_id = p_repo and status = 'completed' and finished_at >= v_from and (r.run_id is null or run_id = r.run_id) group by 1) x),
    'sessions', swarm.sessions_json(p_repo, jsonb_strip_nulls(jsonb_build_object('status', 'open', 'run_id', r.run_id, 'limit', 500))) -> 'rows',
    'hosts', (select coalesce(jsonb_agg(jsonb_build_object('host_id', host_id, 'name', name, 'capacity', capacity, 'adapters', adapters, 'draining', draining,
        'free_disk_mb', free_disk_mb, 'silent_ms', round(extract(epoch from v_now - heartbeat_at) * 1000)) order by host_id), '[]')
      from swarm.hosts where repo_id = p_repo and heartbeat_at > v_now - interval '1 hour'),
    'train', (select coalesce(jsonb_agg(jsonb_build_object('bead_id', l.bead_id, 'status', l.status, 'tries', l.tries) order by l.queued_at), '[]')
      from swarm.landings l where l.repo_id = p_repo and l.status in ('queued', 'testing', 'green')),
    'quotas', (select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('account', account, 'kind', kind, 'used_percent', used_percent,
        'until', swarm.iso(until_at), 'seen_at', swarm.iso(seen_at)))), '[]') from swarm.quota_windows where repo_id = p_repo),
    'spent', (select jsonb_build_object('usd', coalesce(sum(cost_usd), 0), 'tokens', coalesce(sum(input + output + cache_write), 0))
      from swarm.usage_ledger where repo_id = p_repo and (r.run_id is null or run_id = r.run_id)),
    'spent_today', (select jsonb_build_object('usd', coalesce(sum(cost_usd), 0), 'tokens', coalesce(sum(input + output + cache_write), 0))
      from swarm.usage_ledger where repo_id = p_repo and at > date_trunc('day', v_now)),
    'questions', (select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('question_id', question_id, 'session_id', session_id, 'bead_id', bead_id,
        'agent_id', agent_id, 'question', text, 'options', options, 'asked_at', swarm.iso(asked_at))) order by asked_at), '[]')
      from swarm.questions where repo_id = p_repo and answered_at is null),
    'leader', (select jsonb_build_object('holder', holder, 'term', term, 'until', swarm.iso(expires_at)) from swarm.leadership where repo_id = p_repo)));
end $$;
