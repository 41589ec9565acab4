-- Iterations of sessions, what checks of them found, and waves.

create or replace function swarm.iteration_json(i swarm.session_iterations) returns jsonb language sql stable as $$
  select jsonb_strip_nulls(jsonb_build_object('iteration_id', i.session_id || ':' || i.number, 'session_id', i.session_id, 'iteration', i.number,
    'status', i.status, 'tool_calls', i.tool_calls, 'started_at', swarm.iso(i.started_at), 'ended_at', swarm.iso(i.ended_at), 'qa_result', i.qa_result,
    'checks', (select jsonb_agg(jsonb_strip_nulls(jsonb_build_object('result', q.result, 'findings', q.findings, 'recommendations', q.recommendations,
        'checked_by', q.checked_by, 'at', swarm.iso(q.at))) order by q.id)
      from swarm.iteration_qa_results q where q.repo_id = i.repo_id and q.session_id = i.session_id and q.iteration = i.number)))
$$;

-- The waves of a run: those that have begun, and those that beads are numbered with.
create or replace function swarm.waves_json(p_repo text, p_run text) returns jsonb language plpgsql stable as $$
declare
  v_run  text := coalesce(p_run, (select run_id from swarm.swarm_runs where repo_id = p_repo order by ended_at is not null, started_at desc limit 1));
begin
  if not exists (select from swarm.swarm_runs where repo_id = p_repo and run_id = v_run) then
    return swarm.unknown_run(coalesce(v_run, 'at all'));
  end if;
  return jsonb_build_object('run_id', v_run, 'waves', (select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('number', n.number,
        'status', coalesce(w.status, 'waiting'), 'started_at', swarm.iso(w.started_at), 'completed_at', swarm.iso(w.completed_at),
        'beads', (select coalesce(jsonb_object_agg(status, c), '{}') from (select status, count(*) as c from swarm.bead_backlog
          where repo_id = p_repo and run_id = v_run and wave = n.number group by status) x))) order by n.number), '[]')
    from (select number from swarm.run_waves where repo_id = p_repo and run_id = v_run
      union select wave from swarm.bead_backlog where repo_id = p_repo and run_id = v_run and wave is not null) n
    left join swarm.run_waves w on w.repo_id = p_repo and w.run_id = v_run and w.number = n.number));
end $$;

-- What a check of an iteration found. The latest decides its result.
create or replace function swarm.do_check_iteration(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  i  swarm.session_iterations;
  x  swarm.agent_sessions;
begin
  update swarm.session_iterations set qa_result = a ->> 'result'
    where repo_id = p_repo and session_id = a ->> 'session_id' and number = (a ->> 'iteration')::integer returning * into i;
  if not found then
    return swarm.refused('NOTFOUND', format('session %s has no iteration %s', a ->> 'session_id', a ->> 'iteration'), null,
      jsonb_build_object('field', 'iteration', 'got', a -> 'iteration', 'session_id', a ->> 'session_id'),
      jsonb_build_object('cmd', 'iterations', 'session_id', a ->> 'session_id'));
  end if;
  insert into swarm.iteration_qa_results (repo_id, session_id, iteration, result, findings, recommendations, checked_by)
    values (p_repo, i.session_id, i.number, a ->> 'result', a -> 'findings', a -> 'recommendations', coalesce(a ->> 'by', 'operator'));
  select * into x from swarm.agent_sessions where repo_id = p_repo and session_id = i.session_id;
  perform swarm.emit_run(p_repo, 'iteration_checked', x.run_id, i.session_id, x.bead_id, x.agent_id, x.stage,
    jsonb_build_object('number', i.number, 'result', a ->> 'result', 'by', coalesce(a ->> 'by', 'operator')));
  return jsonb_build_object('d', jsonb_build_object('iteration', swarm.iteration_json(i)));
end $$;

-- Another role for an agent. Its work is not touched: what it holds it may finish.
create or replace function swarm.do_update_agent(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_agent  integer := (a ->> 'agent_id')::integer;
  s        swarm.agent_state;
begin
  select * into s from swarm.agent_state where repo_id = p_repo and agent_id = v_agent for no key update;
  if not found then
    return swarm.unknown_agent(p_repo, v_agent);
  end if;
  if s.role is distinct from a ->> 'role' then
    update swarm.agent_state set role = a ->> 'role' where repo_id = p_repo and agent_id = v_agent returning * into s;
    perform swarm.emit(p_repo, 'agent_status', 'agent:' || v_agent, null, v_agent, null, jsonb_build_object('role', a ->> 'role'));
  end if;
  return jsonb_build_object('d', jsonb_build_object('agent', swarm.agent_json(s, true)));
end $$;
