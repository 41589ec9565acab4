-- The check of what sessions have done, and the audit of those that run.

-- What a check looks at: sessions that are over and have turns that nobody has checked, with what the gates said in their attempt; and the
-- open ones with their signs of life. At most p_limit of the former.
create or replace function swarm.qa_facts(p_repo text, p_run text, p_limit integer) returns jsonb language plpgsql volatile as $$
declare
  v_now  timestamptz := clock_timestamp();
begin
  return jsonb_build_object('now_ms', extract(epoch from v_now) * 1000, 'at', swarm.iso(v_now),
    'ended', (select coalesce(jsonb_agg(jsonb_build_object('session_id', x.session_id, 'bead_id', x.bead_id, 'stage', x.stage, 'reason', x.reason,
        'evidence', left(x.evidence, 500), 'workspace', x.workspace, 'head_after', x.head_after, 'tree', x.tree,
        'latest', not exists (select from swarm.agent_sessions l where l.repo_id = p_repo and l.bead_id = x.bead_id and l.queued_at > x.queued_at),
        'bead_status', b.status,
        'gate_due', coalesce((select s.gate_hash is not null from swarm.workflow_stages s
          where s.repo_id = p_repo and s.name = b.workflow and s.stage = x.stage), false),
        'gates', (select coalesce(jsonb_agg(jsonb_build_object('tree', a.metadata ->> 'tree', 'exit_code', a.metadata -> 'exit_code')), '[]')
          from swarm.stage_history h join swarm.stage_artifacts a on a.stage_history_id = h.id
          where h.repo_id = p_repo and h.bead_id = x.bead_id and h.stage = x.stage and h.fence = x.fence
            and a.artifact_type = 'quality_gate_report' and a.trust = 'verified'),
        'last', (select max(i.number) from swarm.session_iterations i where i.repo_id = p_repo and i.session_id = x.session_id),
        'iterations', (select jsonb_agg(jsonb_build_object('number', i.number, 'status', i.status) order by i.number)
          from swarm.session_iterations i where i.repo_id = p_repo and i.session_id = x.session_id and i.qa_result = 'pending'))), '[]')
      from (select s.* from swarm.agent_sessions s where s.repo_id = p_repo and s.ended_at is not null and (p_run is null or s.run_id = p_run)
          and s.session_id in (select i.session_id from swarm.session_iterations i where i.repo_id = p_repo and i.qa_result = 'pending')
        order by s.queued_at limit p_limit) x
      left join swarm.bead_backlog b on b.repo_id = p_repo and b.bead_id = x.bead_id),
    'open', (select coalesce(jsonb_agg(jsonb_build_object('session_id', x.session_id, 'status', x.status, 'wanted', x.wanted,
        'started_ms', extract(epoch from x.started_at) * 1000, 'output_ms', extract(epoch from x.last_output_at) * 1000,
        'tool_ms', extract(epoch from x.last_tool_at) * 1000, 'open_tool', x.open_tool,
        'heartbeat_ms', extract(epoch from x.heartbeat_at) * 1000, 'deadline_ms', extract(epoch from x.deadline_at) * 1000) order by x.session_id), '[]')
      from swarm.agent_sessions x where x.repo_id = p_repo and x.ended_at is null and (p_run is null or x.run_id = p_run)));
end $$;

-- Keeps what a cycle has found (`checks`, `end` of p). A turn that somebody has checked meanwhile keeps that result. Sessions that are stuck
-- are told to end; their hosts do it.
create or replace function swarm.do_qa_cycle(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  c         jsonb;
  x         swarm.agent_sessions;
  v_passed  integer := 0;
  v_failed  integer := 0;
  v_ended   integer := 0;
  v_audit   bigint;
begin
  for c in select value from jsonb_array_elements(p -> 'checks') loop
    update swarm.session_iterations set qa_result = c ->> 'result'
      where repo_id = p_repo and session_id = c ->> 'session_id' and number = (c ->> 'iteration')::integer and qa_result = 'pending';
    continue when not found;
    insert into swarm.iteration_qa_results (repo_id, session_id, iteration, result, findings, recommendations, checked_by)
      values (p_repo, c ->> 'session_id', (c ->> 'iteration')::integer, c ->> 'result', c -> 'findings', c -> 'recommendations', 'swarm');
    if c ->> 'result' = 'passed' then
      v_passed := v_passed + 1;
    else
      v_failed := v_failed + 1;
      select * into x from swarm.agent_sessions where repo_id = p_repo and session_id = c ->> 'session_id';
      perform swarm.emit_run(p_repo, 'iteration_checked', x.run_id, x.session_id, x.bead_id, x.agent_id, x.stage,
        jsonb_build_object('number', c -> 'iteration', 'result', 'failed', 'by', 'swarm', 'findings', c -> 'findings'));
    end if;
  end loop;
  for c in select value from jsonb_array_elements(p -> 'end') order by value ->> 'session_id' loop
    update swarm.agent_sessions set wanted = 'stuck:' || (c ->> 'rule'), rule = c ->> 'rule', wanted_reason = c ->> 'evidence'
      where repo_id = p_repo and session_id = c ->> 'session_id' and ended_at is null and wanted is null returning * into x;
    continue when not found;
    v_ended := v_ended + 1;
    perform swarm.emit_run(p_repo, 'session_ending', x.run_id, x.session_id, x.bead_id, x.agent_id, x.stage,
      jsonb_build_object('wanted', x.wanted, 'rule', c ->> 'rule', 'reason', c ->> 'evidence'));
  end loop;
  insert into swarm.qa_audits (repo_id, run_id, started_at, ended_at, checked, ended, notes)
    values (p_repo, a ->> 'run_id', (p ->> 'started_at')::timestamptz, clock_timestamp(), v_passed + v_failed, v_ended, a ->> 'reason')
    returning id into v_audit;
  perform swarm.emit_run(p_repo, 'qa_audited', a ->> 'run_id', null, null, null, null, jsonb_build_object('audit_id', v_audit,
    'passed', v_passed, 'failed', v_failed, 'running', p -> 'running', 'ended', v_ended, 'reason', a ->> 'reason'));
  return jsonb_build_object('d', jsonb_build_object('audit_id', v_audit, 'checked', v_passed + v_failed, 'passed', v_passed, 'failed', v_failed,
    'running', p -> 'running', 'ended', v_ended, 'more', p -> 'more', 'failures', p -> 'failures'));
end $$;
