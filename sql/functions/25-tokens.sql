-- Tokens: who may do what where auth is `tokens`.
--
-- The rules of the roles are a table in src/contract/authority.ts. What is here says whom a token stands for, and makes and revokes tokens.
-- A token never comes here itself, only its SHA-256 in hex, compared by equality.

-- Whom a token stands for, and which of the repos ask for one.
--   token: {principal} for a token that is good, else {problem: unknown | expired | revoked}; absent without a token
--   guarded: repos that ask for a token; unowned: those of the repos that have no usable operator's token
--   any: true when some repo of this database asks for one
--   build: the version of the schema and the hash of the functions, which every process compares with its own
create or replace function swarm.access(p_hash text, p_repos text[]) returns jsonb language plpgsql volatile as $$
declare
  v_now      timestamptz := clock_timestamp();
  t          swarm.api_tokens;
  v_problem  text;
begin
  select * into t from swarm.api_tokens where token_hash = p_hash;
  v_problem := case when t.id is null then 'unknown' when t.revoked_at is not null then 'revoked' when t.expires_at <= v_now then 'expired' end;
  if v_problem is null and coalesce(t.last_used_at < v_now - interval '1 minute', true) then
    update swarm.api_tokens set last_used_at = v_now where id = t.id;
  end if;
  return jsonb_build_object(
    'guarded', to_jsonb(array(select repo_id from swarm.repos where repo_id = any(p_repos) and auth = 'tokens')),
    'unowned', to_jsonb(array(select r from unnest(p_repos) r where not swarm.has_operator(r))),
    'any', exists (select from swarm.repos where auth = 'tokens'),
    'build', (select schema_version || ':' || coalesce(functions_hash, '') from swarm.swarm_config))
  || case
    when p_hash is null then '{}'
    when v_problem is not null then jsonb_build_object('token', jsonb_build_object('problem', v_problem))
    else jsonb_build_object('token', jsonb_build_object('principal', swarm.token_json(t) - '{created_at,last_used_at}'::text[])) end;
end $$;

create or replace function swarm.has_operator(p_repo text) returns boolean language sql stable
begin atomic
  select exists (select from swarm.api_tokens where repo_id = p_repo and role = 'operator' and revoked_at is null
    and (expires_at is null or expires_at > clock_timestamp()));
end;

create or replace function swarm.token_json(t swarm.api_tokens) returns jsonb language sql stable
begin atomic
  select jsonb_strip_nulls(jsonb_build_object('token_id', t.id, 'repo', t.repo_id, 'role', t.role, 'agent_id', t.agent_id, 'name', t.name,
    'created_at', swarm.iso(t.created_at), 'expires_at', swarm.iso(t.expires_at), 'revoked_at', swarm.iso(t.revoked_at),
    'last_used_at', swarm.iso(t.last_used_at)));
end;

create or replace function swarm.tokens_json(p_repo text, p_after bigint, p_limit integer) returns jsonb language sql stable as $$
  select jsonb_build_object('rows', coalesce(jsonb_agg(swarm.token_json(t) order by t.id), '[]')) from (
    select * from swarm.api_tokens where repo_id = p_repo and id > p_after order by id limit p_limit + 1) t
$$;

create or replace function swarm.make_token(p_repo text, p_hash text, p_role text, p_agent integer, p_name text, p_expires timestamptz)
returns swarm.api_tokens language plpgsql volatile as $$
declare
  t  swarm.api_tokens;
begin
  insert into swarm.api_tokens (token_hash, repo_id, role, agent_id, name, expires_at)
    values (p_hash, p_repo, p_role, p_agent, p_name, p_expires) returning * into t;
  perform swarm.emit(p_repo, 'token_created', 'token:' || t.id, null, p_agent, null,
    jsonb_strip_nulls(jsonb_build_object('role', p_role, 'name', p_name, 'expires_at', swarm.iso(p_expires))));
  return t;
end $$;

-- `p.hash` is the new token's. `p.first`: nobody has shown a token, which is right only while the repo has no operator's.
create or replace function swarm.do_token_create(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_agent  integer := (a ->> 'agent_id')::integer;
  t        swarm.api_tokens;
begin
  perform pg_advisory_xact_lock(hashtext('swarm:tokens:' || p_repo));
  if (p ->> 'first')::boolean and (swarm.has_operator(p_repo) or a ->> 'role' <> 'operator') then
    return swarm.refused('UNAUTHORIZED', format('repo %s has an operator''s token: only its owner makes others', p_repo), null,
      jsonb_build_object('field', 'token', 'repo', p_repo));
  end if;
  if v_agent is not null and not exists (select from swarm.agent_state where repo_id = p_repo and agent_id = v_agent) then
    return swarm.unknown_agent(p_repo, v_agent);
  end if;
  perform swarm.ensure_repo(p_repo);
  t := swarm.make_token(p_repo, p ->> 'hash', a ->> 'role', v_agent, a ->> 'name',
    clock_timestamp() + make_interval(secs => (a ->> 'expires_ms')::double precision / 1000));
  return jsonb_build_object('d', jsonb_build_object('token_id', t.id, 'hash', t.token_hash));
end $$;

-- The last operator's token of a repo that asks for tokens stays: without one, whoever has the database's password would make the next.
create or replace function swarm.do_token_revoke(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_id  bigint := (a ->> 'token_id')::bigint;
  t     swarm.api_tokens;
begin
  perform pg_advisory_xact_lock(hashtext('swarm:tokens:' || p_repo));
  select * into t from swarm.api_tokens where repo_id = p_repo and id = v_id for update;
  if not found then
    return swarm.refused('NOTFOUND', format('no token %s in repo %s', v_id, p_repo), null,
      jsonb_build_object('field', 'token_id', 'got', v_id), '{"cmd": "token", "action": "list"}');
  end if;
  if t.revoked_at is not null then
    return jsonb_build_object('d', jsonb_build_object('changed', false));
  end if;
  if t.role = 'operator' and not exists (select from swarm.api_tokens where repo_id = p_repo and role = 'operator' and id <> v_id
      and revoked_at is null and (expires_at is null or expires_at > clock_timestamp()))
    and exists (select from swarm.repos where repo_id = p_repo and auth = 'tokens') then
    return swarm.refused('CONFLICT', format('token %s is the last operator''s token of repo %s: make another one first', v_id, p_repo), 'claim',
      jsonb_build_object('field', 'token_id', 'got', v_id));
  end if;
  update swarm.api_tokens set revoked_at = clock_timestamp() where id = v_id;
  perform swarm.emit(p_repo, 'token_revoked', 'token:' || v_id, null, t.agent_id, null,
    jsonb_strip_nulls(jsonb_build_object('role', t.role, 'name', t.name)));
  return jsonb_build_object('d', jsonb_build_object('changed', true));
end $$;
