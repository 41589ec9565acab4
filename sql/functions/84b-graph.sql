-- What waits for what among the beads that are not finished, in the order of claiming; with a bead only what it waits for and what
-- waits for it, however far.
create or replace function swarm.graph_json(p_repo text, p_bead text, p_limit integer) returns jsonb language plpgsql stable as $$
declare
  v_ids  text[];
begin
  if p_bead is not null and not exists (select from swarm.bead_backlog where repo_id = p_repo and bead_id = p_bead) then
    return swarm.unknown_bead(p_repo, p_bead);
  end if;
  if p_bead is null then
    v_ids := array(select bead_id from swarm.bead_backlog where repo_id = p_repo
        and status in ('pending', 'in_progress', 'blocked', 'failed', 'deferred')
      order by status <> 'in_progress', open_blockers, priority, bead_id limit p_limit + 1);
  else
    v_ids := array(
      with recursive up as (
        select p_bead as bead_id union
        select l.other_id from up join swarm.bead_links l on l.repo_id = p_repo and l.bead_id = up.bead_id and l.kind = 'blocks'
      ), down as (
        select p_bead as bead_id union
        select l.bead_id from down join swarm.bead_links l on l.repo_id = p_repo and l.other_id = down.bead_id and l.kind = 'blocks'
      )
      select b.bead_id from (select bead_id from up union select bead_id from down) x join swarm.bead_backlog b
        on b.repo_id = p_repo and b.bead_id = x.bead_id order by b.bead_id <> p_bead, b.bead_id limit p_limit + 1);
  end if;
  return jsonb_build_object('more', cardinality(v_ids) > p_limit,
    'beads', (select coalesce(jsonb_agg(jsonb_build_object('bead_id', b.bead_id, 'title', b.title, 'status', b.status, 'stage', b.stage,
        'priority', b.priority, 'open_blockers', b.open_blockers) order by x.at), '[]')
      from unnest(v_ids[1:p_limit]) with ordinality x(bead_id, at)
      join swarm.bead_backlog b on b.repo_id = p_repo and b.bead_id = x.bead_id),
    'links', (select coalesce(jsonb_agg(jsonb_build_array(l.other_id, l.bead_id) order by l.other_id, l.bead_id), '[]') from swarm.bead_links l
      where l.repo_id = p_repo and l.kind = 'blocks' and l.bead_id = any(v_ids[1:p_limit]) and l.other_id = any(v_ids[1:p_limit])));
end $$;
