import { expect, test } from 'vitest'
import { testDatabase } from '../support/database.ts'

const { sql } = await testDatabase()

test('every function looks names up in pg_catalog alone: by a setting of its own, or because its body was bound', async () => {
  const lacking = await sql`
    select p.oid::regprocedure::text as routine from pg_proc p
    where p.pronamespace = 'swarm'::regnamespace and p.prosqlbody is null
      and not coalesce('search_path=pg_catalog, pg_temp' = any (p.proconfig), false)`
  // a procedure that commits can have no setting
  expect(lacking.map(({ routine }) => routine)).toEqual([
    'run_and_wake(text,text,jsonb,jsonb,text,text,jsonb)',
  ])
})

test('a function that a statement asks once a row is part of its plan', async () => {
  const plan = await sql`explain (verbose) select swarm.is_open(status), swarm.blocking(status)
    from swarm.bead_backlog`
  expect(JSON.stringify(plan)).not.toMatch(/is_open|blocking/)
})
