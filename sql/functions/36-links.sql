-- Links and their counts.

-- Counts the open blockers of these beads afresh, after links or beads were added. Caller holds the links lock. The
-- blockers are locked before they are counted, in a statement of its own.
create or replace function swarm.recount(p_repo text, p_beads text[]) returns void language plpgsql volatile as $$
begin
  perform swarm.lock_blockers(p_repo, array(select distinct l.other_id from swarm.bead_links l
    where l.repo_id = p_repo and l.bead_id = any(p_beads) and swarm.blocking(l.kind)));
  perform 1 from swarm.bead_backlog where repo_id = p_repo and bead_id = any(p_beads) order by id for no key update;
  with open as materialized (
    select bead_id from swarm.bead_backlog where repo_id = p_repo and swarm.is_open(status)
      and bead_id = any(array(select l.other_id from swarm.bead_links l
        where l.repo_id = p_repo and l.bead_id = any(p_beads) and swarm.blocking(l.kind)))
  ), counted as (
    select l.bead_id, count(distinct o.bead_id)::integer as n
      from swarm.bead_links l join open o on o.bead_id = l.other_id
      where l.repo_id = p_repo and l.bead_id = any(p_beads) and swarm.blocking(l.kind) group by l.bead_id
  )
  update swarm.bead_backlog b set open_blockers = x.n
    from (select d, coalesce(c.n, 0) as n from unnest(p_beads) d left join counted c on c.bead_id = d) x
    where b.repo_id = p_repo and b.bead_id = any(p_beads) and b.bead_id = x.d and b.open_blockers <> x.n;
end $$;

-- Sets right what the invariants find wrong: the counts are deltas, and a fault in one would stay.
create or replace function swarm.do_recount(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_wrong  text[];
begin
  perform swarm.lock_links(p_repo);
  v_wrong := array(select bead_id from swarm.bead_backlog b
    where repo_id = p_repo and open_blockers <> swarm.count_blockers(p_repo, bead_id) order by bead_id);
  perform swarm.recount(p_repo, v_wrong);
  return jsonb_build_object('d', jsonb_build_object('recounted', to_jsonb(v_wrong)));
end $$;
