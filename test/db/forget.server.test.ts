import { expect, test } from 'vitest'
import { testDatabase } from '../support/database.ts'

const { sql } = await testDatabase()

test('forgetting old operation keys reads those alone, however many there are', async () => {
  await sql`insert into swarm.operations (repo_id, key, cmd, body_hash, reply, created_at)
    select 'r', 'k' || n, 'c', 'h', '{}', clock_timestamp() - case when n <= 10 then interval '2 days' else interval '1 hour' end
      from generate_series(1, 30000) n`
  await sql`analyze swarm.operations`
  // a session that has planned the function before: what it reads of the catalog then is not what is counted here
  const session = await sql.reserve()
  await session`begin`
  await session`select swarm.forget_operations()`
  await session`rollback`
  const [row] = await session`explain (analyze, buffers, format json) select swarm.forget_operations()`
  session.release()
  const { Plan: plan } = row?.['QUERY PLAN'][0] ?? {}
  expect(plan['Shared Hit Blocks'] + plan['Shared Read Blocks']).toBeLessThan(200)
  const [left] = await sql`select count(*)::int as n from swarm.operations`
  expect(left?.n).toBe(29_990)
})
