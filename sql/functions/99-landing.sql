-- The landing train: beads whose stage is `land` on their way to the target branch.

-- Puts every bead that waits for landing on the train, once. A bead without a commit has an empty candidate.
create or replace function swarm.train(p_repo text, p_run text, p_target text) returns jsonb language plpgsql volatile as $$
begin
  insert into swarm.landings (repo_id, run_id, bead_id, target, fence, candidate, status)
    select p_repo, p_run, b.bead_id, p_target, b.fence, coalesce(b.commit_hash, ''), 'queued' from swarm.bead_backlog b
    where b.repo_id = p_repo and b.run_id = p_run and b.status = 'pending' and b.open_blockers = 0 and b.stage = 'land'
      and not exists (select from swarm.landings l where l.repo_id = p_repo and l.bead_id = b.bead_id and l.status in ('queued', 'testing', 'green'))
    on conflict do nothing;
  -- a bead that was cancelled, reopened or changed meanwhile leaves the train
  update swarm.landings l set status = 'ejected', reason = 'the bead no longer waits for landing', at = clock_timestamp()
    where l.repo_id = p_repo and l.run_id = p_run and l.status in ('queued', 'testing', 'green') and not exists (
      select from swarm.bead_backlog b where b.repo_id = p_repo and b.bead_id = l.bead_id and b.status = 'pending' and b.stage = 'land'
        and b.fence = l.fence);
  return jsonb_build_object(
    'entries', (select coalesce(jsonb_agg(jsonb_build_object('id', l.id, 'bead_id', l.bead_id, 'workflow', b.workflow, 'candidate', l.candidate, 'status', l.status,
        'base', l.base, 'tree', l.tree, 'head', l.head, 'tries', l.tries, 'title', b.title, 'pr_url', b.pr_url,
        -- for the text of a pull request that is to be opened
        'description', case when l.status = 'green' and b.pr_url is null then left(b.description, 4000) end) order by b.priority, l.queued_at, l.id), '[]')
      from swarm.landings l join swarm.bead_backlog b on b.repo_id = l.repo_id and b.bead_id = l.bead_id
      where l.repo_id = p_repo and l.run_id = p_run and l.status in ('queued', 'testing', 'green')));
end $$;

-- Which of these beads have landed, with the commit that their workspace was at then.
create or replace function swarm.landed_of(p_repo text, a jsonb) returns jsonb language sql stable as $$
  select jsonb_build_object('landed', coalesce(jsonb_agg(jsonb_build_object('bead_id', bead_id, 'candidate', candidate)), '[]')) from (
    select distinct on (l.bead_id) l.bead_id, l.candidate from swarm.landings l
    join swarm.bead_backlog b on b.repo_id = l.repo_id and b.bead_id = l.bead_id and b.status = 'completed'
    where l.repo_id = p_repo and l.status = 'landed' and l.bead_id in (select jsonb_array_elements_text(a -> 'beads'))
    order by l.bead_id, l.id desc) x
$$;

-- What the leader found out about an entry of the train, under its term. `status`: testing, green, queued (again), landed, ejected or
-- conflict. A landed bead is completed; an ejected one goes back as its workflow says, with the output as feedback. `pr_url`: the pull
-- request by which it is to land; empty when it has none any more.
create or replace function swarm.do_land(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_old    jsonb := swarm.check_term(p_repo, (a ->> 'term')::bigint);
  v_to     text := a ->> 'status';
  v_agent  integer;
  b        swarm.bead_backlog;
  l        swarm.landings;
  v_reply  jsonb;
begin
  if v_old is not null then
    return v_old;
  end if;
  v_agent := swarm.swarm_agent(p_repo);
  perform 1 from swarm.agent_state where repo_id = p_repo and agent_id = v_agent for no key update;
  select * into b from swarm.bead_backlog where repo_id = p_repo and bead_id = a ->> 'bead_id' for no key update;
  select * into l from swarm.landings where repo_id = p_repo and id = (a ->> 'id')::bigint for no key update;
  if l.status = v_to and v_to in ('landed', 'ejected', 'conflict') then
    return jsonb_build_object('d', jsonb_build_object('bead_id', l.bead_id, 'status', v_to));
  end if;
  if b.status <> 'pending' or b.stage <> 'land' or b.fence <> l.fence then
    return swarm.refused('CONFLICT', format('bead %s does not wait for this landing any more', a ->> 'bead_id'), 'stage',
      jsonb_build_object('bead_id', a ->> 'bead_id', 'status', b.status, 'stage', b.stage));
  end if;
  update swarm.landings set status = v_to, base = coalesce(a ->> 'base', base), tree = coalesce(a ->> 'tree', tree), head = coalesce(a ->> 'head', head),
      position = (a ->> 'position')::integer, tries = coalesce((a ->> 'tries')::integer, tries), reason = a ->> 'reason',
      evidence = case when v_to <> 'queued' then coalesce(a -> 'evidence', evidence) end, at = clock_timestamp()
    where id = l.id returning * into l;
  if a ? 'pr_url' and b.pr_url is distinct from nullif(a ->> 'pr_url', '') then
    update swarm.bead_backlog set pr_url = nullif(a ->> 'pr_url', '') where id = b.id returning * into b;
    perform swarm.emit_run(p_repo, 'landing_pull_request', l.run_id, null, b.bead_id, v_agent, 'land',
      jsonb_build_object('url', b.pr_url, 'head', l.head, 'tree', l.tree, 'reason', a ->> 'reason'));
  end if;
  if v_to not in ('landed', 'ejected', 'conflict') then
    return jsonb_build_object('d', jsonb_build_object('bead_id', l.bead_id, 'status', v_to));
  end if;
  b := swarm.give_bead(b, v_agent, p ->> 'holder', 60000);
  update swarm.landings set fence = b.fence where id = l.id;
  v_reply := swarm.do_complete_stage(p_repo, jsonb_strip_nulls(jsonb_build_object('agent_id', v_agent, 'bead_id', b.bead_id, 'fence', b.fence, 'stage', 'land',
    'outcome', case v_to when 'landed' then 'passed' else 'failed' end, 'feedback', a ->> 'feedback', 'evidence', l.evidence)),
    p || '{"keep": false, "verified": true, "lands": true}');
  if v_reply ? 'refused' then
    raise exception 'landing %: %', b.bead_id, v_reply;
  end if;
  if v_to = 'landed' then
    update swarm.bead_backlog set commit_hash = a ->> 'head' where id = b.id;
  end if;
  perform swarm.emit_run(p_repo, 'landing_' || v_to, l.run_id, null, b.bead_id, v_agent, 'land',
    jsonb_build_object('head', a ->> 'head', 'tree', a ->> 'tree', 'reason', a ->> 'reason'));
  return jsonb_build_object('d', jsonb_build_object('bead_id', l.bead_id, 'status', v_to) || (v_reply -> 'd'));
end $$;
