-- Locks on resources.

create or replace function swarm.do_lock(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_resource  text := a ->> 'resource';
  v_agent     text := a ->> 'agent';
  v_mode      text := coalesce(a ->> 'mode', 'exclusive');
  v_ttl       integer := coalesce((a ->> 'ttl_ms')::integer, 60000);
  v_now       timestamptz;
  v_other     swarm.resource_locks;
  v_mine      swarm.resource_locks;
  v_sender    jsonb := swarm.check_sender(p_repo, a ->> 'agent');
begin
  if v_sender ? 'refused' then
    return v_sender;
  end if;
  perform pg_advisory_xact_lock(hashtext('swarm:lock:' || p_repo || ':' || v_resource));
  v_now := clock_timestamp();
  select * into v_other from swarm.resource_locks where repo_id = p_repo and resource = v_resource and agent <> v_agent
    and until_at > v_now and (mode = 'exclusive' or v_mode = 'exclusive') order by until_at desc limit 1;
  if found then
    return swarm.refused('BUSY', format('%s is locked by %s', v_resource, v_other.agent), null,
      jsonb_build_object('resource', v_resource, 'holder', v_other.agent, 'mode', v_other.mode, 'until_at', swarm.iso(v_other.until_at),
        'remaining_ms', ceil(extract(epoch from v_other.until_at - v_now) * 1000)::bigint),
      a || jsonb_build_object('cmd', 'lock'));
  end if;
  select * into v_mine from swarm.resource_locks where repo_id = p_repo and resource = v_resource and agent = v_agent and until_at > v_now;
  delete from swarm.resource_locks where repo_id = p_repo and resource = v_resource and until_at <= v_now and agent <> v_agent;
  insert into swarm.resource_locks (repo_id, resource, agent, mode, fence, since, until_at)
    values (p_repo, v_resource, v_agent, v_mode, nextval('swarm.lock_fence'), v_now, v_now + make_interval(secs => v_ttl / 1000.0))
    on conflict (repo_id, resource, agent) do update set mode = excluded.mode, until_at = excluded.until_at,
      fence = case when v_mine.agent is null then excluded.fence else swarm.resource_locks.fence end,
      since = case when v_mine.agent is null then excluded.since else swarm.resource_locks.since end
    returning * into v_other;
  perform swarm.emit(p_repo, case when v_mine.agent is null then 'lock_acquired' else 'lock_renewed' end, 'resource:' || v_resource, null,
    substring(v_agent from '^[0-9]{1,9}$')::integer, null,
    jsonb_build_object('resource', v_resource, 'mode', v_mode, 'ttl_ms', v_ttl, 'fence', v_other.fence));
  return jsonb_build_object('d', jsonb_build_object('resource', v_resource, 'agent', v_agent, 'mode', v_mode, 'fence', v_other.fence,
    'until_at', swarm.iso(v_other.until_at), 'renewed', v_mine.agent is not null));
end $$;

create or replace function swarm.do_unlock(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_resource  text := a ->> 'resource';
  v_agent     text := a ->> 'agent';
  v_other     swarm.resource_locks;
begin
  perform pg_advisory_xact_lock(hashtext('swarm:lock:' || p_repo || ':' || v_resource));
  select * into v_other from swarm.resource_locks where repo_id = p_repo and resource = v_resource and agent = v_agent and until_at > clock_timestamp();
  if not found then
    select * into v_other from swarm.resource_locks where repo_id = p_repo and resource = v_resource and until_at > clock_timestamp() order by until_at desc limit 1;
    if found then
      return swarm.refused('CONFLICT', format('%s is locked by %s, not by %s', v_resource, v_other.agent, v_agent), 'claim',
        jsonb_build_object('resource', v_resource, 'holder', v_other.agent), jsonb_build_object('cmd', 'locks'));
    end if;
    return swarm.refused('NOTFOUND', format('%s is not locked', v_resource), null,
      jsonb_build_object('field', 'resource', 'got', v_resource), jsonb_build_object('cmd', 'locks'));
  end if;
  delete from swarm.resource_locks where repo_id = p_repo and resource = v_resource and agent = v_agent;
  perform swarm.emit(p_repo, 'lock_released', 'resource:' || v_resource, null, substring(v_agent from '^[0-9]{1,9}$')::integer, null,
    jsonb_build_object('resource', v_resource, 'fence', v_other.fence));
  return jsonb_build_object('d', jsonb_build_object('resource', v_resource, 'agent', v_agent, 'held_ms',
    floor(extract(epoch from clock_timestamp() - v_other.since) * 1000)::bigint));
end $$;
