import { expect, test } from 'vitest'
import { testDatabase } from '../support/database.ts'

const { sql } = await testDatabase()

/** Every bounded column of the tables that a claim writes, with a value just outside. */
const OUTSIDE: readonly (readonly [table: string, column: string, value: string])[] = [
  ['agent_state', 'agent_id', '0'],
  ['agent_state', 'status', 'asleep'],
  ['agent_state', 'implementation_attempt', '-1'],
  ['bead_backlog', 'bead_id', ''],
  ['bead_backlog', 'priority', 'p5'],
  ['bead_backlog', 'status', 'done'],
  ['bead_backlog', 'attempt', '0'],
  ['bead_backlog', 'retry_count', '-1'],
  ['bead_backlog', 'open_blockers', '-1'],
  ['bead_backlog', 'fence', '-1'],
  ['bead_backlog', 'verification_status', 'maybe'],
  ['bead_claims', 'claimed_by', '0'],
  ['bead_claims', 'status', 'pending'],
  ['bead_claims', 'fence', '0'],
  ['bead_claims', 'lease_ms', '0'],
  ['stage_history', 'attempt_number', '0'],
  ['stage_history', 'status', 'done'],
  ['stage_history', 'duration_ms', '-1'],
  ['execution_events', 'schema_version', '0'],
  ['execution_events', 'origin', 'nobody'],
  ['command_audit', 'ms', '-1'],
]

test.for(OUTSIDE)('%s.%s refuses %j', async ([table, column, value]) => {
  await sql`select swarm.run('r', 'register', '{"count":1}', '{}', gen_random_uuid()::text)`
  await sql`select swarm.run('r', 'enqueue', '{"beads":[{"bead_id":"a","title":"a"}]}', '{}', gen_random_uuid()::text)`
  await sql`select swarm.run('r', 'claim-next', '{"agent_id":1}', '{}', gen_random_uuid()::text)`
  const [row] = await sql`select count(*)::integer as n from ${sql(`swarm.${table}`)}`
  expect(row?.n).toBeGreaterThan(0)
  await expect(sql.unsafe(`update swarm.${table} set ${column} = '${value}'`)).rejects.toMatchObject({
    code: '23514',
  })
})
