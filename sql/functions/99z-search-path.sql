-- Where the functions look names up: in pg_catalog alone, whatever stands in public and whoever calls. The body of a function that is
-- written `return` or `begin atomic` was bound when it was made, and can be inlined; all others get the search_path as a setting of their
-- own. A procedure that commits can have none, so swarm.run_and_wake names the schema of everything.
do $$
declare
  f  regprocedure;
begin
  for f in select oid from pg_proc
      where pronamespace = to_regnamespace('swarm') and prokind = 'f' and prosqlbody is null
        and not exists (select from unnest(proconfig) s where s like 'search_path=%') loop
    execute format('alter function %s set search_path = pg_catalog, pg_temp', f);
  end loop;
end $$;
