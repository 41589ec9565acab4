import { beforeEach, expect, test } from 'vitest'
import type { JsonObject } from '../../src/contract/json.ts'
import { testDatabase } from '../support/database.ts'
import { openAt, type Place, scratch } from './setup-support.ts'

const { url, sql } = await testDatabase()
const dir = scratch()
let repos = 0
let repo = ''
const another = (): Place => openAt(dir, { DATABASE_URL: url, SWARM_REPO: repo })

let swarm: Place
beforeEach(async () => {
  repo = `holding-${++repos}`
  swarm = another()
})

const api: JsonObject = { cmd: 'enqueue', beads: [{ bead_id: 'api', title: 'Write the API' }] }

test('an agent starts no stage again that is not for its role', async () => {
  for (const role of ['planner', 'implementer']) await swarm.ask({ cmd: 'register', name: role, role })
  await swarm.ask(api)
  await swarm.ask({ cmd: 'claim-next', agent_id: 1 })
  expect(await swarm.ask({ cmd: 'complete-stage', agent_id: 1, outcome: 'passed' })).toMatchObject({
    kept: false,
  })
  await swarm.ask({ cmd: 'claim-next', agent_id: 2 })
  expect(await swarm.refused({ cmd: 'start-stage', agent_id: 2, stage: 'contract' })).toMatchObject({
    code: 'CONFLICT',
    ctx: { field: 'stage', got: 'contract', current: 'implement' },
  })
  expect(await swarm.refused({ cmd: 'start-stage', agent_id: 2, stage: 'qa' })).toMatchObject({
    code: 'CONFLICT',
  })
  expect(await swarm.ask({ cmd: 'start-stage', agent_id: 2 })).toMatchObject({ stage: 'implement' })
})

test('a heartbeat under an old fence is refused and renews nothing', async () => {
  await swarm.ask({ cmd: 'register', count: 1 })
  await swarm.ask(api)
  const first = await swarm.ask({ cmd: 'claim-next', agent_id: 1 })
  const other = another()
  const second = await other.ask({ cmd: 'claim-next', agent_id: 1 })
  expect(second.fence).toBe(Number(first.fence) + 1)
  const lease = () =>
    sql`select lease_expires_at, heartbeat_at from swarm.bead_claims where repo_id = ${repo}`
  const before = await lease()
  const old = { code: 'CONFLICT', ctx: { fence: first.fence, current_fence: second.fence } }
  // by its number, and by what the process remembers of its claim
  expect(await other.refused({ cmd: 'heartbeat', agent_id: 1, fence: first.fence ?? 0 })).toMatchObject(old)
  expect(await swarm.refused({ cmd: 'heartbeat', agent_id: 1, note: 'still here' })).toMatchObject(old)
  expect(await lease()).toEqual(before)
  expect(
    await sql`select 1 from swarm.execution_events where repo_id = ${repo} and event_type = 'progress'`,
  ).toHaveLength(0)
  expect(await other.ask({ cmd: 'heartbeat', agent_id: 1 })).toMatchObject({ bead_id: 'api' })
})

test('a claim that waited and required a bead answers the same when it is sent again, by another process too', async () => {
  await swarm.ask({ cmd: 'register', count: 1 })
  const claim = {
    cmd: 'claim-next',
    agent_id: 1,
    rid: 'w',
    wait_ms: 10_000,
    require: true,
    idem: 'one-claim',
  }
  const waiting = swarm.send(claim)
  await swarm.ask({ cmd: 'enqueue', beads: ['api', 'docs'].map((bead_id) => ({ bead_id, title: bead_id })) })
  const first = await waiting
  expect(first).toMatchObject({ ok: true, d: { bead: { bead_id: 'api' }, fence: 1 } })
  for (const place of [swarm, another()]) {
    const again = await place.send(claim)
    expect(again).toMatchObject({ ok: true, replayed: true, d: first.ok ? first.d : null })
  }
  const events =
    await sql`select 1 from swarm.execution_events where repo_id = ${repo} and event_type = 'bead_claimed'`
  expect(events).toHaveLength(1)
  // another body under the same key is another request
  expect(await swarm.refused({ ...claim, wait_ms: 0, labels: ['x'] })).toMatchObject({ code: 'CONFLICT' })
})

test('a claim that required a bead and found none keeps no key: sent again it may find one', async () => {
  await swarm.ask({ cmd: 'register', count: 1 })
  const claim = { cmd: 'claim-next', agent_id: 1, rid: 'w', wait_ms: 10, require: true, idem: 'none-yet' }
  expect(await swarm.refused(claim)).toMatchObject({ code: 'NOTFOUND' })
  await swarm.ask(api)
  expect(await swarm.send(claim)).toMatchObject({ ok: true, d: { bead: { bead_id: 'api' } } })
})
