-- Retention.

-- Removes events of all repos that are older than `before` (none where it is absent) and audit rows older than `audit_before` (`before`
-- where that is absent), at most `rows` numbers at once, and moves log_floor with them in the same transaction: a reader below it is
-- told, never skipped. `proc.settled` is a number up to which the log is final.
create or replace function swarm.do_prune(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_before        timestamptz := coalesce((a ->> 'before')::timestamptz, '-infinity');
  v_audit_before  timestamptz := coalesce((a ->> 'audit_before')::timestamptz, v_before);
  v_floor         bigint;
  v_upto          bigint;
  v_keep          bigint;
  v_keep_audit    bigint;
  v_events        bigint := 0;
  v_audit         bigint := 0;
begin
  select log_floor into v_floor from swarm.swarm_config for update;
  -- a time that is still to come is none of insertion: earlier versions took it from the client. A day is left to a clock that was set back
  select min(seq) into v_keep from swarm.execution_events where seq > v_floor and created_at >= v_before
    and created_at < clock_timestamp() + interval '1 day';
  v_upto := least(coalesce(v_keep - 1, (p ->> 'settled')::bigint), (p ->> 'settled')::bigint, v_floor + (p ->> 'rows')::bigint);
  if v_upto > v_floor then
    delete from swarm.execution_events where seq <= v_upto;
    get diagnostics v_events = row_count;
    update swarm.swarm_config set log_floor = v_upto;
  else
    v_upto := v_floor;
  end if;
  -- by number, which has an index: the first row that is young enough ends the walk
  select min(seq) into v_keep_audit from swarm.command_audit where t >= v_audit_before;
  delete from swarm.command_audit where seq in (select seq from swarm.command_audit
    where v_keep_audit is null or seq < v_keep_audit order by seq limit (p ->> 'rows')::bigint);
  get diagnostics v_audit = row_count;
  -- long-lived processes ask again and again: where nothing was done there is nothing to keep
  return case when v_events = 0 and v_audit = 0 then jsonb '{"transient": true}' else '{}' end
    || jsonb_build_object('d', jsonb_build_object('events', v_events, 'audit', v_audit, 'log_floor', v_upto,
    'more', v_upto < least(coalesce(v_keep - 1, (p ->> 'settled')::bigint), (p ->> 'settled')::bigint) or v_audit = (p ->> 'rows')::bigint));
end $$;
