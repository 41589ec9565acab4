import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, expect, test } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { storeGate, writeGates } from '../support/gates.ts'
import { openPipe, type Pipe, runSwarm } from '../support/swarm.ts'

const { sql, url } = await testDatabase()
const dir = mkdtempSync(join(tmpdir(), 'swarm-holdings-'))
const pipes: Pipe[] = []
let repos = 0

afterEach(async () => {
  await Promise.all(pipes.splice(0).map((pipe) => pipe.kill('SIGKILL')))
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

/** A pipe in a repo of its own with agents 1 and 2 and the beads a and b. */
async function open(): Promise<{ repo: string; pipe: Pipe }> {
  const repo = `holdings-${++repos}`
  const pipe = openPipe({ DATABASE_URL: url, SWARM_REPO: repo, SWARM_TRUST: '1' }, dir)
  pipes.push(pipe)
  await pipe.ok({ cmd: 'register', count: 2 })
  await pipe.ok({ cmd: 'enqueue', beads: ['a', 'b'].map((id) => ({ bead_id: id, title: id })) })
  return { repo, pipe }
}

const claim = { cmd: 'claim-next', agent_id: 1, lease_ms: 1_000 }

/** A pipe as of `open`, whose root has a gate at a stage: it says that it has started, and passes once it may go on. */
async function openWithGate(stage: string) {
  const name = join(dir, String(repos + 1))
  const gate = ['sh', '-c', `touch ${name}-started; until [ -e ${name}-go ]; do sleep 0.02; done`]
  writeGates(dir, { [stage]: gate })
  const opened = await open()
  await storeGate(sql, opened.repo, stage, gate)
  return { ...opened, started: `${name}-started`, go: `${name}-go` }
}

/** Waits until this process has renewed the claim on a bead: nothing else puts its expiry off. */
async function isRenewed(repo: string, bead: string): Promise<void> {
  const expiry = async () => {
    const [row] =
      await sql`select lease_expires_at as at from swarm.bead_claims where repo_id = ${repo} and bead_id = ${bead}`
    return Number(row?.at)
  }
  const before = await expiry()
  await expect.poll(expiry, { timeout: 5_000 }).toBeGreaterThan(before)
}

test('a gate’s result goes to the claim under which it ran, not to the one that the process holds by then', async () => {
  const { repo, pipe, started, go } = await openWithGate('contract')
  await pipe.ok({ cmd: 'claim-next', agent_id: 1 })
  const qa = pipe.send({ cmd: 'qa', agent_id: 1 })
  await expect.poll(() => existsSync(started)).toBe(true)
  await pipe.ok({ cmd: 'release', agent_id: 1, to: 'blocked' })
  await pipe.ok({ cmd: 'claim-next', agent_id: 1 })
  writeFileSync(go, '')
  expect(await qa).toMatchObject({ ok: false, err: { code: 'CONFLICT' } })
  expect(await sql`select 1 from swarm.stage_artifacts where repo_id = ${repo}`).toHaveLength(0)
  expect(await pipe.send({ cmd: 'complete-stage', agent_id: 1, outcome: 'passed' })).toMatchObject({
    ok: false,
  })
}, 20_000)

test('a gate that was begun in one stage says nothing about the next', async () => {
  const { pipe, started, go } = await openWithGate('qa')
  await pipe.ok({ cmd: 'claim-next', agent_id: 1 })
  await pipe.ok({ cmd: 'complete-stage', agent_id: 1, outcome: 'passed' })
  const qa = pipe.send({ cmd: 'qa', agent_id: 1 })
  await expect.poll(() => existsSync(started)).toBe(true)
  await pipe.ok({ cmd: 'complete-stage', agent_id: 1, outcome: 'passed' })
  writeFileSync(go, '')
  expect(await qa).toMatchObject({ ok: false, err: { code: 'CONFLICT' } })
  expect(await pipe.send({ cmd: 'complete-stage', agent_id: 1, outcome: 'passed' })).toMatchObject({
    ok: false,
    err: { code: 'CONFLICT' },
  })
}, 20_000)

test.each([
  ['release', { cmd: 'release', agent_id: 1, to: 'blocked', idem: 'last' }],
  ['complete-stage', { cmd: 'complete-stage', agent_id: 1, outcome: 'passed', idem: 'last' }],
])('the next claim is renewed after a %s of the last one was sent again', async (name, last) => {
  const { repo, pipe } = await open()
  if (name === 'complete-stage') {
    await sql`update swarm.workflow_stages set on_pass = 'done' where repo_id = ${repo} and stage = 'contract'`
  }
  await pipe.ok(claim)
  await pipe.ok(last)
  await pipe.ok(claim)
  expect(await pipe.send(last)).toMatchObject({ ok: true, replayed: true })
  await isRenewed(repo, 'b')
})

test('the next claim is renewed after an earlier claim was sent again', async () => {
  const { repo, pipe } = await open()
  await pipe.ok({ ...claim, idem: 'first' })
  await pipe.ok({ cmd: 'release', agent_id: 1, to: 'blocked' })
  await pipe.ok(claim)
  expect(await pipe.send({ ...claim, idem: 'first' })).toMatchObject({ ok: true, replayed: true })
  expect(await pipe.send({ cmd: 'heartbeat', agent_id: 1 })).toMatchObject({ ok: true, d: { bead_id: 'b' } })
  await isRenewed(repo, 'b')
})

test('a claim is renewed again once a write under it was accepted, and after a key was used twice', async () => {
  const { repo, pipe } = await open()
  await pipe.ok(claim)
  await sql`update swarm.bead_claims set lease_expires_at = clock_timestamp() - interval '1 s' where repo_id = ${repo}`
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  await pipe.ok({ cmd: 'heartbeat', agent_id: 1, idem: 'k' })
  await isRenewed(repo, 'a')
  const again = await pipe.send({ cmd: 'heartbeat', agent_id: 1, note: 'another', idem: 'k' })
  expect(again).toMatchObject({ ok: false, err: { code: 'CONFLICT' } })
  await isRenewed(repo, 'a')
})

test('a heartbeat that shortens the lease shortens the pause between renewals', async () => {
  const { repo, pipe } = await open()
  await pipe.ok({ ...claim, lease_ms: 60_000 })
  await pipe.ok({ cmd: 'heartbeat', agent_id: 1, lease_ms: 1_000 })
  await isRenewed(repo, 'a')
})

test('a heartbeat with the fence of a claim that has ended is refused', async () => {
  const { pipe } = await open()
  await pipe.ok(claim)
  await pipe.ok({ cmd: 'release', agent_id: 1 })
  expect(await pipe.send({ cmd: 'heartbeat', agent_id: 1, fence: 1 })).toMatchObject({
    ok: false,
    err: { code: 'CONFLICT' },
  })
  expect(await pipe.send({ cmd: 'heartbeat', agent_id: 1 })).toMatchObject({ ok: true })
})

test('a bead that a waiting claim found at its very end is found again under the same key', async () => {
  const { pipe, repo } = await open()
  await sql`update swarm.bead_backlog set status = 'blocked' where repo_id = ${repo}`
  const request = { cmd: 'claim-next', agent_id: 1, wait_ms: 300, require: true, idem: 'w' }
  expect(await pipe.send(request)).toMatchObject({ ok: false, err: { code: 'NOTFOUND' } })
  await sql`update swarm.bead_backlog set status = 'pending' where repo_id = ${repo}`
  const once = { ...request, wait_ms: 0 }
  expect(await pipe.send(once)).toMatchObject({ ok: true, d: { bead: { bead_id: 'a' } } })
  expect(await pipe.send(request)).toMatchObject({ ok: true, replayed: true, d: { bead: { bead_id: 'a' } } })
})

test('a write of a command whose claim was lost is not taken for the bead that its agent holds by then', async () => {
  const { pipe, repo } = await open()
  await pipe.ok(claim)
  await pipe.ok({ cmd: 'release', agent_id: 1, to: 'blocked' })
  await pipe.ok(claim)
  const env = {
    DATABASE_URL: url,
    SWARM_REPO: repo,
    SWARM_AGENT_ID: '1',
    SWARM_BEAD_ID: 'a',
    SWARM_FENCE: '1',
  }
  const { envelopes } = await runSwarm(['complete-stage', '--outcome', 'passed'], { env })
  expect(envelopes).toMatchObject([{ ok: false, err: { code: 'CONFLICT' } }])
  const held = { ...env, SWARM_BEAD_ID: 'b' }
  const mine = await runSwarm(['complete-stage', '--outcome', 'passed'], { env: held })
  expect(mine.envelopes).toMatchObject([{ ok: true, d: { stage: 'implement' } }])
})
