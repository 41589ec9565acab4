-- A batch is one operation: its key holds the hash of all its parts and, once it has ended, its whole reply. It is sent by whoever sends
-- its first part.

-- Null when the batch is to be carried out; else the reply of its first send. Atomic batches run beside each other under a shared
-- lock of the repo. One that contention has undone takes that lock for itself: two that want the same rows in different orders would
-- undo each other again and again.
create or replace function swarm.begin_batch(p_repo text, p_args jsonb, p_proc jsonb, p_key text, p_alone boolean) returns jsonb
language plpgsql volatile as $$
declare
  v_hash   text := md5('batch' || p_args::text);
  v_lock   integer := hashtext('swarm:batches:' || p_repo);
  v_key    text := swarm.own_key(p_args #> '{ops,0}', p_proc, p_key);
  v_prior  swarm.operations;
begin
  if p_alone then
    perform pg_advisory_xact_lock(v_lock);
  elsif (p_args ->> 'atomic')::boolean then
    perform pg_advisory_xact_lock_shared(v_lock);
  end if;
  perform swarm.lock_key(p_repo, v_key);
  select * into v_prior from swarm.operations where repo_id = p_repo and key = v_key;
  if found then
    -- null as long as the parts of one that is not atomic have not all been done
    return swarm.replay(v_prior, v_hash);
  end if;
  insert into swarm.operations (repo_id, key, cmd, body_hash) values (p_repo, v_key, 'batch', v_hash);
  return null;
end $$;

-- Keeps the reply beside the key; without a reply the key is free again.
create or replace function swarm.end_batch(p_repo text, p_args jsonb, p_proc jsonb, p_key text, p_reply jsonb) returns void
language plpgsql volatile as $$
declare
  v_key  text := swarm.own_key(p_args #> '{ops,0}', p_proc, p_key);
begin
  if p_reply is null then
    delete from swarm.operations where repo_id = p_repo and key = v_key;
  else
    update swarm.operations set reply = jsonb_build_object('d', p_reply) where repo_id = p_repo and key = v_key;
  end if;
end $$;
