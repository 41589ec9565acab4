-- Who leads.

-- Renews the leadership of its holder, or takes it: when nobody has it, or when its beat is still `p_seen`, which the caller has
-- watched for a whole lease by its own clock. Answers who leads, at which term and beat.
create or replace function swarm.lead(p_repo text, p_holder text, p_lease_ms integer, p_term bigint, p_seen bigint)
returns jsonb language plpgsql volatile as $$
declare
  v_now  timestamptz := clock_timestamp();
  l      swarm.leadership;
begin
  insert into swarm.leadership (repo_id, holder, term, expires_at)
    values (p_repo, '', 1, v_now + make_interval(secs => p_lease_ms / 1000.0)) on conflict do nothing;
  select * into l from swarm.leadership where repo_id = p_repo for no key update;
  v_now := clock_timestamp();
  if l.holder = p_holder and (p_term is null or p_term = l.term) then
    update swarm.leadership set beat = beat + 1, expires_at = v_now + make_interval(secs => p_lease_ms / 1000.0)
      where repo_id = p_repo returning * into l;
  elsif l.holder = '' or p_seen = l.beat then
    update swarm.leadership set holder = p_holder, term = term + 1, beat = beat + 1,
        expires_at = v_now + make_interval(secs => p_lease_ms / 1000.0)
      where repo_id = p_repo returning * into l;
    perform swarm.emit(p_repo, 'leader_changed', p_holder, null, null, null, jsonb_build_object('term', l.term));
  end if;
  return jsonb_build_object('leading', l.holder = p_holder, 'holder', l.holder, 'term', l.term, 'beat', l.beat,
    'expires_at', swarm.iso(l.expires_at));
end $$;

-- Lets go of the leadership at once, so that a stand-by need not wait.
create or replace function swarm.step_down(p_repo text, p_holder text, p_term bigint) returns boolean language plpgsql volatile as $$
begin
  update swarm.leadership set holder = '', beat = beat + 1, expires_at = clock_timestamp()
    where repo_id = p_repo and holder = p_holder and term = p_term;
  return found;
end $$;

-- Null when `p_term` is the present term, which then stays so until the transaction ends; else the refusal.
create or replace function swarm.check_term(p_repo text, p_term bigint) returns jsonb language plpgsql volatile as $$
declare
  l  swarm.leadership;
begin
  select * into l from swarm.leadership where repo_id = p_repo for share;
  if found and l.term = p_term then
    return null;
  end if;
  return swarm.refused('CONFLICT', format('term %s is over: %s leads at term %s', p_term, coalesce(l.holder, 'nobody'), coalesce(l.term, 0)),
    'claim', jsonb_build_object('term', p_term, 'current', coalesce(l.term, 0)));
end $$;
