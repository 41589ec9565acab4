import { beforeEach, expect, test } from 'vitest'
import type { JsonObject } from '../../src/contract/json.ts'
import { testDatabase } from '../support/database.ts'
import { letAnyoneReview } from '../support/reviews.ts'

const { sql } = await testDatabase()
let repo = ''
let repos = 0

async function run(cmd: string, args: JsonObject): Promise<void> {
  const [row] = await sql`
    select swarm.run(${repo}, ${cmd}, ${JSON.stringify(args)}::text::jsonb, '{"session":"s"}', gen_random_uuid()::text) as r`
  if (row?.r.refused) throw new Error(`${cmd}: ${row.r.refused.msg}`)
}
async function invariants(): Promise<JsonObject> {
  const [row] = await sql`select swarm.invariants(${repo}) as found`
  return row?.found
}
const finish = async () => {
  await run('claim-next', { agent_id: 1 })
  for (let stage = 0; stage < 4; stage++) await run('complete-stage', { agent_id: 1, outcome: 'passed' })
}
const good = { lost: 0, doubled: 0, miscounted: 0, leases: 0 }

beforeEach(async () => {
  repo = `invariants-${++repos}`
  await run('register', { count: 2 })
  await letAnyoneReview(sql, repo)
  await run('enqueue', {
    beads: [
      { bead_id: 'a', title: 'a' },
      { bead_id: 'b', title: 'b', depends_on: ['a'] },
    ],
  })
})

test('hold on a backlog that is worked on, retried, expired, reopened and finished', async () => {
  expect(await invariants()).toEqual({ ...good, beads: 2, completed: 0, blocked: 0, retried: 0 })
  await run('claim-next', { agent_id: 1, lease_ms: 1_000 })
  expect(await invariants()).toMatchObject({ ...good, leases: 1 })
  await run('complete-stage', { agent_id: 1, outcome: 'failed', feedback: 'no' })
  await sql`update swarm.bead_claims set lease_expires_at = clock_timestamp() - interval '1 s' where repo_id = ${repo}`
  await run('claim-next', { agent_id: 2 })
  await run('release', { agent_id: 2 })
  await finish()
  await run('reopen', { bead_id: 'a' })
  await finish()
  await finish()
  expect(await invariants()).toEqual({ ...good, beads: 2, completed: 2, blocked: 0, retried: 0 })
})

test('see a finished bead that is not finished any more', async () => {
  await finish()
  await sql`update swarm.bead_backlog set status = 'pending' where repo_id = ${repo} and bead_id = 'a'`
  expect(await invariants()).toMatchObject({ lost: 1, miscounted: 1 })
})

test('see a bead in progress that nobody holds', async () => {
  await run('claim-next', { agent_id: 1 })
  await sql`delete from swarm.bead_claims where repo_id = ${repo}`
  expect(await invariants()).toMatchObject({ lost: 1 })
})

test('see a bead that two held at once', async () => {
  await finish()
  await sql`
    insert into swarm.stage_history (repo_id, agent_id, bead_id, stage, attempt_number, status, fence, started_at, completed_at)
    select repo_id, 2, bead_id, stage, attempt_number, status, fence, started_at, completed_at
    from swarm.stage_history where repo_id = ${repo} and bead_id = 'a' and stage = 'qa'`
  expect(await invariants()).toMatchObject({ doubled: 1, lost: 0 })
})

test('see a bead that was finished twice', async () => {
  await finish()
  await sql`
    insert into swarm.execution_events (event_type, entity_id, repo_id, bead_id)
    values ('transition_finalize', 'a', ${repo}, 'a')`
  expect(await invariants()).toMatchObject({ doubled: 1 })
})

test('see a wrong number of open blockers', async () => {
  await sql`update swarm.bead_backlog set open_blockers = 5 where repo_id = ${repo} and bead_id = 'b'`
  expect(await invariants()).toMatchObject({ miscounted: 1 })
})
