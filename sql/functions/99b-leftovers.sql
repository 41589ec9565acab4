-- What runs leave on a machine.

-- What is known of beads whose worktrees, branches or refs were found, and which of the sessions are over.
create or replace function swarm.gc_facts(p_repo text, a jsonb) returns jsonb language sql stable as $$
  select jsonb_build_object(
    'beads', (select coalesce(jsonb_object_agg(b.bead_id, jsonb_strip_nulls(jsonb_build_object('status', b.status,
        'session', (select min(s.session_id) from swarm.agent_sessions s where s.repo_id = p_repo and s.bead_id = b.bead_id and s.ended_at is null),
        'landed', (select l.candidate from swarm.landings l where l.repo_id = p_repo and l.bead_id = b.bead_id and l.status = 'landed'
          order by l.id desc limit 1)))), '{}')
      from swarm.bead_backlog b where b.repo_id = p_repo and b.bead_id in (select jsonb_array_elements_text(a -> 'beads'))),
    'ended', (select coalesce(jsonb_agg(session_id), '[]') from swarm.agent_sessions
      where repo_id = p_repo and ended_at is not null and session_id in (select jsonb_array_elements_text(a -> 'sessions'))))
$$;

-- Beads whose sessions worked in a directory of one of these names, which do not tell the bead: they were shortened.
create or replace function swarm.beads_in(p_repo text, a jsonb) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(distinct s.bead_id), '[]') from swarm.agent_sessions s
  where s.repo_id = p_repo and s.workspace is not null and substring(s.workspace from '[^/]+$') in (select jsonb_array_elements_text(a -> 'names'))
$$;

-- What was removed from a machine and what was left there, as the process has found it.
create or replace function swarm.do_gc(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
begin
  if jsonb_array_length(p -> 'removed') > 0 then
    perform swarm.emit(p_repo, 'leftovers_removed', p_repo, null, null, null, jsonb_strip_nulls(jsonb_build_object(
      'removed', jsonb_array_length(p -> 'removed'), 'left', jsonb_array_length(p -> 'left'), 'reason', a ->> 'reason')));
  end if;
  return jsonb_build_object('d', jsonb_build_object('removed', p -> 'removed', 'left', p -> 'left'));
end $$;
