-- Retention.

-- Removes events and audit rows of all repos that are older than a time, at most `rows` numbers at once, and moves log_floor with
-- them in the same transaction: a reader below it is told, never skipped. `proc.settled` is a number up to which the log is final.
create or replace function swarm.do_prune(p_repo text, a jsonb, p jsonb) returns jsonb language plpgsql volatile as $$
declare
  v_before   timestamptz := (a ->> 'before')::timestamptz;
  v_floor    bigint;
  v_upto     bigint;
  v_keep     bigint;
  v_events   bigint := 0;
  v_audit    bigint := 0;
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
  delete from swarm.command_audit where seq in (select seq from swarm.command_audit where t < v_before order by seq limit (p ->> 'rows')::bigint);
  get diagnostics v_audit = row_count;
  return jsonb_build_object('d', jsonb_build_object('events', v_events, 'audit', v_audit, 'log_floor', v_upto,
    'more', v_upto < least(coalesce(v_keep - 1, (p ->> 'settled')::bigint), (p ->> 'settled')::bigint) or v_audit = (p ->> 'rows')::bigint));
end $$;
