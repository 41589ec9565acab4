-- Agents.

-- With `count` the agents that are there stay as they are. `p.hashes`: of tokens that new agents get, one for each.
create or replace function swarm.do_register(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_ids   integer[] := '{}';
  v_id    integer;
  v_role  text := a ->> 'role';
  -- the name as it is read: wide letters as letters, without blanks and what is not seen
  v_seen  text := regexp_replace(lower(normalize(a ->> 'name', nfkc)), '[\s\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]', '', 'g');
  v_new   integer[] := '{}';
  v_made  jsonb := '[]';
  t       swarm.api_tokens;
begin
  -- names that mean somebody else, or look like one: people, swarm itself, and agents, who are called by their numbers
  if v_seen in ('human', 'operator', 'swarm', 'system') or v_seen ~ '^[0-9]+$' then
    return swarm.refused('INVALID', format('an agent cannot be called %s', a ->> 'name'), 'request',
      jsonb_build_object('kind', 'InvalidValue', 'field', 'name', 'expected', 'not human, operator, swarm, system or a number', 'got', a ->> 'name'));
  end if;
  perform pg_advisory_xact_lock(hashtext('swarm:register:' || p_repo));
  perform swarm.ensure_repo(p_repo);
  if a ? 'count' then
    for v_id in 1 .. (a ->> 'count')::integer loop
      insert into swarm.agent_state (repo_id, agent_id, role, host, seen_at) values (p_repo, v_id, v_role, p ->> 'host', null)
        on conflict (repo_id, agent_id) do nothing;
      if found then
        v_new := v_new || v_id;
      end if;
      v_ids := v_ids || v_id;
    end loop;
  else
    select agent_id into v_id from swarm.agent_state where repo_id = p_repo and name = a ->> 'name';
    if v_id is null then
      select coalesce(max(agent_id), 0) + 1 into v_id from swarm.agent_state where repo_id = p_repo;
      insert into swarm.agent_state (repo_id, agent_id, name, role, host) values (p_repo, v_id, a ->> 'name', v_role, p ->> 'host');
      v_new := v_new || v_id;
    elsif v_role is not null then
      update swarm.agent_state set role = v_role where repo_id = p_repo and agent_id = v_id and role is distinct from v_role;
    end if;
    perform swarm.note_agent(p_repo, v_id);
    v_ids := v_ids || v_id;
  end if;
  foreach v_id in array v_new loop
    perform swarm.emit(p_repo, 'agent_registered', 'agent:' || v_id, null, v_id, null,
      jsonb_strip_nulls(jsonb_build_object('name', a ->> 'name', 'role', v_role)));
    if p ? 'hashes' then
      t := swarm.make_token(p_repo, p -> 'hashes' ->> jsonb_array_length(v_made), 'agent', v_id, a ->> 'name', null);
      v_made := v_made || jsonb_build_object('agent_id', v_id, 'hash', t.token_hash);
    end if;
  end loop;
  return jsonb_build_object('d', jsonb_build_object('agent_ids', to_jsonb(v_ids),
      'agents', (select count(*) from swarm.agent_state where repo_id = p_repo))
    || case when p ? 'hashes' then jsonb_build_object('tokens', v_made) else '{}' end);
end $$;

-- An agent that shows itself for the first time has come: until then it is absent, not idle.
create or replace function swarm.note_agent(p_repo text, p_agent integer) returns void language sql volatile as $$
  update swarm.agent_state set seen_at = clock_timestamp() where repo_id = p_repo and agent_id = p_agent and seen_at is null
$$;

-- The status as answers show it.
create or replace function swarm.agent_status(s swarm.agent_state) returns text language sql immutable parallel safe
return case when s.status = 'idle' and s.seen_at is null then 'absent' else s.status end;
