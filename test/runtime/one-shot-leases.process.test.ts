import { beforeEach, expect, test } from 'vitest'
import type { Envelope } from '../../src/contract/envelope.ts'
import { testDatabase } from '../support/database.ts'
import { openPipe, runSwarm } from '../support/swarm.ts'

const { sql, url } = await testDatabase()
let repos = 0
let env: Record<string, string> = {}

beforeEach(async () => {
  const SWARM_REPO = `one-shot-${++repos}`
  env = { DATABASE_URL: url, SWARM_REPO }
  const { code } = await runSwarm([], {
    env,
    input: [
      { cmd: 'register', count: 1 },
      { cmd: 'enqueue', beads: [{ bead_id: 'api', title: 'Write the API' }] },
    ]
      .map((request) => `${JSON.stringify(request)}\n`)
      .join(''),
  })
  expect(code).toBe(0)
})

/** The lease of the claim on `api` as the database has it, and how much of it is left. */
async function lease(): Promise<{ lease_ms: number; left_ms: number } | undefined> {
  const [row] = await sql<{ lease_ms: number; left_ms: number }[]>`select lease_ms,
      (extract(epoch from lease_expires_at - clock_timestamp()) * 1000)::integer as left_ms
    from swarm.bead_claims where repo_id = ${env.SWARM_REPO ?? ''}`
  return row
}

const claim = { cmd: 'claim-next', agent_id: 1 }
const answered = ({ envelopes }: { envelopes: readonly Envelope[] }) => envelopes.at(-1)

test('a one-shot claim gets the long lease, for nobody renews it', async () => {
  const one = answered(await runSwarm(['claim-next', '--agent-id', '1'], { env }))
  expect(one).toMatchObject({ ok: true, d: { bead: { bead_id: 'api' }, lease_ms: 900_000 } })
  expect((await lease())?.left_ms).toBeGreaterThan(800_000)
  // the next stage is kept under the same lease, by another one-shot
  await runSwarm(['complete-stage', '--agent-id', '1', '--outcome', 'passed'], { env })
  expect((await lease())?.left_ms).toBeGreaterThan(800_000)
})

test('a claim in a pipe whose input ended at once gets the long lease', async () => {
  for (let n = 0; n < 5; n++) {
    const one = answered(await runSwarm([], { env, input: `${JSON.stringify(claim)}\n` }))
    expect(one).toMatchObject({ ok: true, d: { bead: { bead_id: 'api' }, lease_ms: 900_000 } })
    expect(await lease()).toMatchObject({ lease_ms: 900_000 })
    await runSwarm(['release', '--agent-id', '1'], { env })
  }
})

test('a claim during which the input ends gets the long lease', async () => {
  const pipe = openPipe(env)
  let out = ''
  pipe.child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString('utf8')
  })
  // ends with the input: its last line shows that the process has seen the end
  void pipe.send({ cmd: 'subscribe', kinds: ['message'] }).catch(() => {})
  await expect.poll(() => out).toContain('"rid":"r1"')
  const begun = out.length
  const answer = await sql.begin(async (holding) => {
    await holding`select from swarm.agent_state where repo_id = ${env.SWARM_REPO ?? ''} for update`
    const claimed = pipe.send(claim)
    await expect.poll(() => waitsForLock()).toBe(1)
    pipe.child.stdin.end()
    await expect.poll(() => out.slice(begun)).toContain('"rid":"r1"')
    return { claimed }
  })
  expect(await answer.claimed).toMatchObject({ ok: true, d: { lease_ms: 900_000 } })
  expect(await lease()).toMatchObject({ lease_ms: 900_000 })
})

async function waitsForLock(): Promise<number> {
  const [row] = await sql<{ n: number }[]>`select count(*)::integer as n from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'`
  return row?.n ?? 0
}

test('a lease that was asked for stays as it is, also in a one-shot', async () => {
  const asked = { ...claim, lease_ms: 60_000 }
  const one = answered(await runSwarm([], { env, input: `${JSON.stringify(asked)}\n` }))
  expect(one).toMatchObject({ ok: true, d: { lease_ms: 60_000 } })
  expect(await lease()).toMatchObject({ lease_ms: 60_000 })
})

test('a claim over an open pipe gets the short lease, for the pipe renews it', async () => {
  const pipe = openPipe(env)
  expect(await pipe.ok(claim)).toMatchObject({ lease_ms: 60_000 })
  await pipe.close()
  expect(await lease()).toMatchObject({ lease_ms: 60_000 })
})
