-- The checks of the logs that every claim writes become domains. A domain gets its check only after its column: so the table is read once
-- and not written anew, however long the log is.
do $$
declare
  d  text[];
begin
  foreach d slice 1 in array array[
    ['event_version', 'integer', 'value >= 1', 'execution_events', 'schema_version'],
    ['event_origin', 'text', $c$value in ('system', 'client')$c$, 'execution_events', 'origin'],
    ['milliseconds', 'double precision', 'value >= 0', 'command_audit', 'ms']] loop
    if to_regtype('swarm.' || d[1]) is null then
      execute format('create domain swarm.%I as %s', d[1], d[2]);
      execute format('alter table swarm.%I drop constraint if exists %I, alter %I type swarm.%I', d[4], d[4] || '_' || d[5] || '_check', d[5], d[1]);
      execute format('alter domain swarm.%I add constraint %I check (%s)', d[1], d[1] || '_check', d[3]);
    end if;
  end loop;
end $$;

-- a key is written once now, with its reply
alter table if exists swarm.operations reset (fillfactor);
