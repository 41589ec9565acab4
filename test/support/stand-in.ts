/**
 * A small schema with the entry points that the client calls, and verbs that do what a test needs: `bump` adds to a counter, `slow`
 * sleeps first, `refuse` and `raise` say no, `idle` has nothing to do, `contend` is a deadlock victim as often as it is told, `late`
 * raises after its commit.
 */
export const STAND_IN = `
create schema if not exists swarm;
create table if not exists swarm.operations (
  repo_id text not null, key text not null, body_hash text not null, reply jsonb, primary key (repo_id, key));
create table if not exists swarm.counters (name text primary key, n bigint not null default 0);
create table if not exists swarm.bumps (key text not null, at timestamptz not null default clock_timestamp());
create sequence if not exists swarm.attempts;

create or replace function swarm.run(p_repo text, p_cmd text, p_args jsonb, p_proc jsonb, p_key text, p_rid text)
returns jsonb language plpgsql volatile as $$
declare
  v_hash text := md5(p_cmd || p_args::text);
  v_prior swarm.operations;
  v_reply jsonb;
  v_n bigint;
begin
  perform set_config('lock_timeout', '2s', true);
  insert into swarm.operations (repo_id, key, body_hash) values (p_repo, p_key, v_hash) on conflict do nothing;
  if not found then
    select * into v_prior from swarm.operations where repo_id = p_repo and key = p_key;
    if v_prior.body_hash <> v_hash then
      return jsonb_build_object('refused', jsonb_build_object('code', 'CONFLICT', 'area', 'claim', 'msg', 'this idem was used before'));
    end if;
    return v_prior.reply || '{"replayed": true}';
  end if;
  if p_cmd = 'slow' then
    perform pg_sleep((p_args ->> 'seconds')::float8);
  elsif p_cmd = 'refuse' then
    return jsonb_build_object('refused', p_args);
  elsif p_cmd = 'idle' then
    delete from swarm.operations where repo_id = p_repo and key = p_key;
    return '{"transient": true, "d": {}}';
  elsif p_cmd = 'raise' then
    raise exception 'no good: %', p_args ->> 'why' using errcode = coalesce(p_args ->> 'state', 'P0001');
  elsif p_cmd = 'contend' then
    if nextval('swarm.attempts') <= (p_args ->> 'times')::bigint then
      raise exception 'deadlock detected' using errcode = '40P01';
    end if;
  end if;
  insert into swarm.bumps (key) values (p_key);
  insert into swarm.counters as c (name, n) values (coalesce(p_args ->> 'name', 'main'), 1)
    on conflict (name) do update set n = c.n + 1 returning n into v_n;
  v_reply := jsonb_build_object('d', jsonb_build_object('n', v_n, 'args', p_args, 'proc', p_proc, 'rid', p_rid));
  update swarm.operations set reply = v_reply where repo_id = p_repo and key = p_key;
  return v_reply;
end $$;

create or replace procedure swarm.run_and_wake(
  p_repo text, p_cmd text, p_args jsonb, p_proc jsonb, p_key text, p_rid text, inout r jsonb
) language plpgsql as $$
begin
  r := swarm.run(p_repo, p_cmd, p_args, p_proc, p_key, p_rid);
  if not r ?| array['refused', 'transient', 'replayed'] then
    commit;
    if p_cmd = 'late' then
      raise exception 'too late' using errcode = coalesce(p_args ->> 'state', 'P0001');
    end if;
    perform pg_notify('swarm', p_repo);
  end if;
end $$;

create or replace function swarm.append(p_calls jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_call jsonb;
  v_replies jsonb := '[]';
begin
  perform nextval('swarm.attempts');
  for v_call in select * from jsonb_array_elements(p_calls) loop
    v_replies := v_replies || jsonb_build_array(swarm.run(v_call ->> 'repo', v_call ->> 'cmd', v_call -> 'args', v_call -> 'proc',
      v_call ->> 'key', v_call ->> 'rid'));
  end loop;
  return v_replies;
end $$;
`
