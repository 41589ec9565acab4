-- Links and their counts.

-- Counts the open blockers of these beads afresh, after links or beads were added. Caller holds the links lock. The
-- blockers are locked before they are counted, in a statement of its own.
create or replace function swarm.recount(p_repo text, p_beads text[]) returns void language plpgsql volatile as $$
begin
  perform swarm.lock_blockers(p_repo, array(select distinct l.other_id from swarm.bead_links l join unnest(p_beads) d on d = l.bead_id
    where l.repo_id = p_repo and swarm.blocking(l.kind)));
  perform 1 from swarm.bead_backlog where repo_id = p_repo and bead_id = any(p_beads) order by id for no key update;
  update swarm.bead_backlog b set open_blockers = x.n
    from (select d, count(distinct o.bead_id)::integer as n from unnest(p_beads) d
      left join swarm.bead_links l on l.repo_id = p_repo and l.bead_id = d and swarm.blocking(l.kind)
      left join swarm.bead_backlog o on o.repo_id = p_repo and o.bead_id = l.other_id and swarm.is_open(o.status)
      group by d) x
    where b.repo_id = p_repo and b.bead_id = x.d and b.open_blockers <> x.n;
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

-- Caller holds the links lock. The blocker is locked before its status is read, in a statement of its own.
create or replace function swarm.add_link(p_repo text, p_bead text, p_other text, p_kind text) returns void
language plpgsql volatile as $$
begin
  perform swarm.lock_blockers(p_repo, array[p_other]);
  if swarm.blocking(p_kind)
     and not exists (select from swarm.bead_links where repo_id = p_repo and bead_id = p_bead and other_id = p_other and swarm.blocking(kind))
     and exists (select from swarm.bead_backlog where repo_id = p_repo and bead_id = p_other and swarm.is_open(status)) then
    update swarm.bead_backlog set open_blockers = open_blockers + 1 where repo_id = p_repo and bead_id = p_bead;
  end if;
  insert into swarm.bead_links (repo_id, bead_id, other_id, kind) values (p_repo, p_bead, p_other, p_kind) on conflict do nothing;
end $$;

create or replace function swarm.drop_link(p_repo text, p_bead text, p_other text, p_kind text) returns void
language plpgsql volatile as $$
begin
  perform swarm.lock_blockers(p_repo, array[p_other]);
  delete from swarm.bead_links where repo_id = p_repo and bead_id = p_bead and other_id = p_other and kind = p_kind;
  if found and swarm.blocking(p_kind)
     and not exists (select from swarm.bead_links where repo_id = p_repo and bead_id = p_bead and other_id = p_other and swarm.blocking(kind))
     and exists (select from swarm.bead_backlog where repo_id = p_repo and bead_id = p_other and swarm.is_open(status)) then
    update swarm.bead_backlog set open_blockers = open_blockers - 1 where repo_id = p_repo and bead_id = p_bead;
  end if;
end $$;
