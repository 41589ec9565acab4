-- Repos, workflows and the log's name.

-- The default workflow. A failed check goes back to implement with feedback; three attempts, then the bead is blocked.
create or replace function swarm.ensure_repo(p_repo text, p_path text default null) returns void language plpgsql volatile as $$
begin
  if exists (select from swarm.repos where repo_id = p_repo and (p_path is null or path is not null)) then
    return;
  end if;
  insert into swarm.repos (repo_id, name, path) values (p_repo, p_repo, p_path)
    on conflict (repo_id) do update set path = coalesce(swarm.repos.path, excluded.path);
  insert into swarm.workflows (repo_id, name) values (p_repo, 'default') on conflict do nothing;
  if not found then
    return;
  end if;
  insert into swarm.workflow_stages (repo_id, name, stage, position, role, on_fail, independent) values
    (p_repo, 'default', 'contract',  1, '{planner,test_writer}', null, null),
    (p_repo, 'default', 'implement', 2, '{implementer}', null, null),
    (p_repo, 'default', 'qa',        3, '{reviewer}', 'implement', 'prefer'),
    (p_repo, 'default', 'red-queen', 4, '{reviewer}', 'implement', 'prefer')
    on conflict do nothing;
end $$;

-- A root makes itself known: its path, and the workflows of its configuration ({name: {stages}}) as rows. Workflows that
-- the configuration does not name stay. A stage that an open bead is at cannot go. A repo belongs to one directory, unless
-- others join it; on the root's own embedded server (`cluster`) it belongs to wherever the directory is now. Workflows and `auth` are the
-- owner's: whoever joins is told which workflows `differ` from its own. A gate comes as its name and the hash of its words. `auth` says
-- whether the repo asks for tokens; where it is absent that stays as it is.
create or replace function swarm.do_init_repo(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_repo       swarm.repos;
  v_path       text := a ->> 'path';
  v_name       text;
  v_stages     jsonb;
  v_old        jsonb;
  v_rows       jsonb := '{}';
  v_gone       text[];
  v_stuck      record;
  v_added      text[] := '{}';
  v_updated    text[] := '{}';
  v_unchanged  text[] := '{}';
  v_auth       text := a ->> 'auth';
  v_foreign    boolean;
  v_differ     text[] := '{}';
begin
  perform swarm.lock_links(p_repo);
  select * into v_repo from swarm.repos where repo_id = p_repo;
  if v_repo.path <> v_path and not coalesce((a ->> 'join')::boolean, false) and current_setting('cluster_name') is distinct from a ->> 'cluster' then
    return swarm.refused('EXISTS', format('repo %s of this database belongs to %s; take another name, or share its backlog with join', p_repo, v_repo.path),
      null, jsonb_build_object('field', 'repo', 'got', p_repo, 'path', v_repo.path, 'here', v_path),
      jsonb_build_object('cmd', 'init', 'repo', left(p_repo, 119) || '-' || left(md5(v_path), 8)));
  end if;
  v_foreign := v_repo.path is not null and v_repo.path is distinct from v_path and current_setting('cluster_name') is distinct from a ->> 'cluster';
  if v_foreign then
    v_auth := null;
    v_differ := array(select distinct name from swarm.workflow_stages where repo_id = p_repo and gate_hash is not null
      and not coalesce(a -> 'workflows', '{}') ? name order by name);
  end if;
  for v_name, v_stages in select key, value -> 'stages' from jsonb_each(coalesce(a -> 'workflows', '{}')) order by key loop
    select jsonb_agg(jsonb_build_object('stage', e ->> 'name', 'position', n, 'role', e -> 'roles', 'gate', e -> 'gate', 'gate_hash', e -> 'gate_hash',
        'timeout_ms', coalesce(e -> 'timeout_ms', '3000'), 'on_pass', e -> 'on_pass', 'on_fail', e -> 'on_fail',
        'max_attempts', e -> 'max_attempts', 'independent', e -> 'independent') order by n)
      into v_stages from jsonb_array_elements(v_stages) with ordinality x(e, n);
    select coalesce(jsonb_agg(jsonb_build_object('stage', stage, 'position', position, 'role', role, 'gate', gate, 'gate_hash', gate_hash,
        'timeout_ms', timeout_ms, 'on_pass', on_pass, 'on_fail', on_fail, 'max_attempts', max_attempts, 'independent', independent) order by position), '[]')
      into v_old from swarm.workflow_stages where repo_id = p_repo and name = v_name;
    if (select jsonb_agg(jsonb_strip_nulls(e)) from jsonb_array_elements(v_stages) e)
       is not distinct from (select jsonb_agg(jsonb_strip_nulls(e)) from jsonb_array_elements(v_old) e) then
      v_unchanged := v_unchanged || v_name;
      continue;
    end if;
    if v_foreign then
      v_differ := v_differ || v_name;
      continue;
    end if;
    v_rows := v_rows || jsonb_build_object(v_name, v_stages);
    v_gone := array(select e ->> 'stage' from jsonb_array_elements(v_old) e
      except select e ->> 'stage' from jsonb_array_elements(v_stages) e);
    if v_gone <> '{}' then
      -- Whoever moves a bead has locked it before reading where to: nobody is on the way to a stage that goes.
      lock table swarm.bead_backlog in exclusive mode;
      select stage, count(*) as n, min(bead_id) as bead_id into v_stuck from swarm.bead_backlog
        where repo_id = p_repo and workflow = v_name and stage = any(v_gone) and swarm.is_open(status) group by stage order by stage limit 1;
      if found then
        return swarm.refused('CONFLICT', format('stage %s of workflow %s cannot go: %s open beads are at it, like %s', v_stuck.stage, v_name, v_stuck.n, v_stuck.bead_id),
          'stage', jsonb_build_object('field', format('workflows.%s.stages', v_name), 'stage', v_stuck.stage, 'bead_id', v_stuck.bead_id, 'beads', v_stuck.n),
          jsonb_build_object('cmd', 'show', 'bead_id', v_stuck.bead_id));
      end if;
    end if;
    if v_old = '[]' then
      v_added := v_added || v_name;
    else
      v_updated := v_updated || v_name;
    end if;
  end loop;

  if v_repo.id is null then
    perform swarm.ensure_repo(p_repo, v_path);
  elsif v_repo.path is distinct from v_path and v_path is not null and not coalesce((a ->> 'join')::boolean, false) then
    update swarm.repos set path = v_path where repo_id = p_repo;
  elsif v_rows = '{}' and coalesce(v_auth, v_repo.auth) = v_repo.auth then
    return jsonb_build_object('transient', true, 'd', jsonb_build_object('repo', p_repo, 'changed', false,
      'workflows', jsonb_build_object('added', '[]'::jsonb, 'updated', '[]'::jsonb, 'unchanged', to_jsonb(v_unchanged))
        || case when v_differ <> '{}' then jsonb_build_object('differ', to_jsonb(v_differ), 'owner', v_repo.path) else '{}' end));
  end if;
  update swarm.repos set auth = v_auth where repo_id = p_repo and auth <> v_auth;
  for v_name, v_stages in select key, value from jsonb_each(v_rows) loop
    insert into swarm.workflows (repo_id, name) values (p_repo, v_name) on conflict do nothing;
    delete from swarm.workflow_stages where repo_id = p_repo and name = v_name;
    insert into swarm.workflow_stages (repo_id, name, stage, position, role, gate, gate_hash, timeout_ms, on_pass, on_fail, max_attempts, independent)
      select p_repo, v_name, e ->> 'stage', (e ->> 'position')::integer,
        case when jsonb_typeof(e -> 'role') = 'array' then swarm.texts(e -> 'role') end,
        e ->> 'gate', e ->> 'gate_hash', (e ->> 'timeout_ms')::integer,
        e ->> 'on_pass', e ->> 'on_fail', (e ->> 'max_attempts')::integer, e ->> 'independent'
      from jsonb_array_elements(v_stages) e;
    update swarm.bead_backlog b set not_for = swarm.kept_from(b, b.stage)
      where b.repo_id = p_repo and b.workflow = v_name and swarm.is_open(b.status) and (b.not_for is not null
        or b.stage in (select s.stage from swarm.workflow_stages s
          where s.repo_id = p_repo and s.name = v_name and (s.independent is not null or swarm.is_landing(s))));
  end loop;
  return jsonb_build_object('d', jsonb_build_object('repo', p_repo, 'changed', true, 'workflows',
    jsonb_build_object('added', to_jsonb(v_added), 'updated', to_jsonb(v_updated), 'unchanged', to_jsonb(v_unchanged))));
end $$;

-- After a failover or a restore the numbers of the log may be given out again: with a new name, old cursors are refused
-- instead of skipping what they never saw.
create or replace function swarm.do_new_log(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_id text;
begin
  update swarm.swarm_config set log_id = substr(md5(gen_random_uuid()::text), 1, 8) returning log_id into v_id;
  return jsonb_build_object('d', jsonb_build_object('log_id', v_id));
end $$;

create or replace function swarm.first_stage(p_repo text, p_workflow text) returns text language sql stable as $$
  select stage from swarm.workflow_stages where repo_id = p_repo and name = p_workflow order by position limit 1
$$;

create or replace function swarm.unknown_agent(p_repo text, p_agent integer) returns jsonb language sql stable
begin atomic
  select swarm.refused('NOTFOUND', format('no agent %s in repo %s', p_agent, p_repo), null,
    jsonb_build_object('field', 'agent_id', 'got', p_agent),
    case when p_agent <= 100 then jsonb_build_object('cmd', 'register', 'count', p_agent)
         else jsonb_build_object('cmd', 'agents') end);
end;

drop function if exists swarm.unknown_bead(text, text, jsonb);

-- The id that was probably meant: the same ignoring case, else one that contains it or is contained in it. It is a guess, so it is only
-- shown: a request that acts is never made of it.
create or replace function swarm.unknown_bead(p_repo text, p_bead text) returns jsonb
language plpgsql stable as $$
declare
  v_near text;
begin
  select bead_id into v_near from swarm.bead_backlog
    where repo_id = p_repo and (lower(bead_id) = lower(btrim(p_bead)) or replace(lower(bead_id), '_', '-') = replace(lower(btrim(p_bead)), '_', '-'))
    order by bead_id limit 1;
  if v_near is null and length(p_bead) >= 3 then
    select bead_id into v_near from swarm.bead_backlog
      where repo_id = p_repo and (starts_with(bead_id, p_bead) or right(bead_id, length(p_bead)) = p_bead or starts_with(p_bead, bead_id))
      order by length(bead_id), bead_id limit 1;
  end if;
  return swarm.refused('NOTFOUND', format('no bead %s in repo %s', p_bead, p_repo), null,
    jsonb_strip_nulls(jsonb_build_object('field', 'bead_id', 'got', p_bead, 'nearest', v_near)),
    case when v_near is not null then jsonb_build_object('cmd', 'show', 'bead_id', v_near)
         else jsonb_build_object('cmd', 'beads') end);
end $$;
