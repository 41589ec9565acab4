import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { lives } from '../support/processes.ts'
import { isGone, pidIn, workbench } from './support.ts'

const bench = await workbench()
const { ok, bead, claims, path, setGate } = bench

/** Sleeps under its own process id, which it writes down. */
const sleeper = (seconds: number) => ['sh', '-c', `echo $$ > ${path('pid')}; exec sleep ${seconds}`]
const startedPid = () => pidIn(path('pid'))
const startWork = (flags: readonly string[], command: readonly string[]) =>
  bench.start(['work', '--agent-id', '1', ...flags, '--', ...command])

describe('swarm is told to stop', () => {
  test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('%s gives the bead back', async (signal) => {
    const running = startWork([], sleeper(60))
    const pid = await startedPid()
    running.child.kill(signal)
    const { code, envelopes } = await running.ended
    expect(code).toBe(0)
    expect(envelopes).toMatchObject([
      {
        ok: true,
        d: {
          bead_id: 'api',
          stage: 'contract',
          reason: 'shutdown',
          status: 'pending',
          next_stage: 'contract',
        },
      },
    ])
    expect(lives(pid)).toBe(false)
    expect(await bead()).toMatchObject({ status: 'pending', stage: 'contract', attempt: 1 })
    expect(await claims()).toBe(0)
    const [event] = await bench.sql`
      select payload from swarm.execution_events where repo_id = ${bench.repo()} and event_type = 'bead_released'`
    expect(event).toMatchObject({ payload: { to: 'pending', reason: 'swarm was told to stop' } })
  })

  test('the whole group is ended, also what ignores SIGTERM', async () => {
    const running = startWork([], [bench.fixture('stubborn')])
    const pids = await bench.stubbornPids(running)
    expect(pids.filter(lives)).toHaveLength(2)
    running.child.kill('SIGTERM')
    expect((await running.ended).envelopes).toMatchObject([{ ok: true, d: { reason: 'shutdown' } }])
    expect(pids.filter(lives)).toEqual([])
    expect(await bead()).toMatchObject({ status: 'pending' })
  })

  test('a second signal ends swarm at once, and the command after it', async () => {
    const running = startWork([], [bench.fixture('stubborn')])
    const pids = await bench.stubbornPids(running)
    running.child.kill('SIGTERM')
    await new Promise((resolve) => setTimeout(resolve, 300))
    running.child.kill('SIGTERM')
    expect(await running.ended).toMatchObject({ signal: 'SIGTERM' })
    for (const pid of pids) await isGone(pid, 6_000)
  })

  test('while the gate runs: the bead is given back, though its command passed', async () => {
    await setGate('contract', sleeper(60))
    await bench.sql`update swarm.workflow_stages set timeout_ms = 60000 where repo_id = ${bench.repo()}`
    const running = startWork([], ['true'])
    const pid = await startedPid()
    running.child.kill('SIGTERM')
    expect((await running.ended).envelopes).toMatchObject([{ ok: true, d: { reason: 'shutdown' } }])
    expect(lives(pid)).toBe(false)
    expect(await bead()).toMatchObject({ status: 'pending', stage: 'contract', attempt: 1 })
  })

  test('while it waits for a bead: it answers that', async () => {
    // put off, and not done: a wait ends when a backlog is finished
    await ok({ cmd: 'update', bead_id: 'api', status: 'deferred' })
    const running = startWork(['--wait-ms', '60000'], ['true'])
    await expect.poll(listeners).toBeGreaterThan(0)
    running.child.kill('SIGTERM')
    expect((await running.ended).envelopes).toMatchObject([
      { ok: true, d: { bead_id: null, reason: 'shutdown' } },
    ])
  })

  test('the summary of several says so', async () => {
    const running = startWork(['--max-beads', '5'], sleeper(60))
    await startedPid()
    running.child.kill('SIGTERM')
    expect((await running.ended).envelopes).toMatchObject([
      { ok: true, more: true, d: { bead_id: 'api', reason: 'shutdown' } },
      { ok: true, d: { beads: 1, passed: 0, stopped: 'shutdown' } },
    ])
  })

  test('the same request under its key runs afterwards', async () => {
    const running = startWork(['--idem', 'again'], sleeper(60))
    await startedPid()
    running.child.kill('SIGTERM')
    await running.ended
    rmSync(path('pid'))
    const again = startWork(['--idem', 'again'], sleeper(60))
    const pid = await startedPid()
    expect(lives(pid)).toBe(true)
    again.child.kill('SIGTERM')
    await again.ended
  })

  test('in a pipe; and a request that is ended by its rid', async () => {
    const pipe = bench.pipe()
    const cancelled = pipe.send({ cmd: 'work', agent_id: 1, command: sleeper(60) })
    const pid = await startedPid()
    await pipe.ok({ cmd: 'unsubscribe', target: 'r1' })
    expect(await cancelled).toMatchObject({ ok: true, d: { bead_id: 'api', reason: 'cancelled' } })
    expect(lives(pid)).toBe(false)

    rmSync(path('pid'))
    const stopped = pipe.send({ cmd: 'work', agent_id: 1, command: sleeper(60) })
    const next = await startedPid()
    pipe.child.kill('SIGTERM')
    expect(await stopped).toMatchObject({ ok: true, d: { bead_id: 'api', reason: 'shutdown' } })
    expect(lives(next)).toBe(false)
    expect(await claims()).toBe(0)
  })
})

describe('swarm is killed', () => {
  test('the command is ended, the bead comes back after its lease with a higher fence', async () => {
    const running = startWork(['--lease-ms', '1500'], sleeper(60))
    const pid = await startedPid()
    running.child.kill('SIGKILL')
    await running.ended
    await isGone(pid, 4_000)
    const other = bench.pipe()
    expect(await other.ok({ cmd: 'claim-next', agent_id: 2, wait_ms: 10_000 })).toMatchObject({
      bead: { bead_id: 'api' },
      attempt: 1,
      fence: 2,
    })
  })

  test('what ignores SIGTERM is killed', async () => {
    const running = startWork([], [bench.fixture('stubborn')])
    const pids = await bench.stubbornPids(running)
    running.child.kill('SIGKILL')
    for (const pid of pids) await isGone(pid, 6_000)
  })
})

describe('the claim', () => {
  test('is kept by a command that takes longer than its lease', async () => {
    const running = startWork(['--lease-ms', '3000'], sleeper(8))
    await startedPid()
    const other = bench.pipe()
    expect(await other.ok({ cmd: 'claim-next', agent_id: 2, wait_ms: 7_000 })).toMatchObject({
      bead: null,
      reason: 'waiting',
    })
    expect((await running.ended).envelopes).toMatchObject([
      { d: { outcome: 'passed', transition: 'advance' } },
    ])
    expect(await bead()).toMatchObject({ fence: 1, stage: 'implement' })
  })

  test('that another process of the agent takes over ends the command at once', async () => {
    const running = startWork([], sleeper(60))
    const pid = await startedPid()
    await settle()
    const other = bench.pipe()
    const takenAt = performance.now()
    expect(await other.ok({ cmd: 'claim-next', agent_id: 1 })).toMatchObject({ held: true, fence: 2 })
    const { code, envelopes } = await running.ended
    expect(performance.now() - takenAt).toBeLessThan(3_000)
    expect(code).toBe(4)
    expect(envelopes).toMatchObject([
      {
        ok: false,
        err: { code: 'CONFLICT', ctx: { bead_id: 'api', fence: 1 } },
        fix: 'swarm claim-next --agent-id 1',
      },
    ])
    expect(lives(pid)).toBe(false)
    expect(await bead()).toMatchObject({ status: 'in_progress', stage: 'contract', attempt: 1, fence: 2 })
    expect((await bench.history()).map(({ status }) => status)).toEqual(['started'])
  })

  test('that is taken over by a second swarm work: the first ends, the second goes on', async () => {
    const first = startWork([], sleeper(60))
    const pid = await startedPid()
    const second = startWork([], ['sleep', '3'])
    expect((await first.ended).envelopes).toMatchObject([{ ok: false, err: { code: 'CONFLICT' } }])
    expect(lives(pid)).toBe(false)
    expect((await second.ended).envelopes).toMatchObject([{ ok: true, d: { outcome: 'passed' } }])
    expect(await bead()).toMatchObject({ fence: 2, stage: 'implement' })
  })

  test('of a bead that is cancelled ends the command too', async () => {
    const running = startWork([], sleeper(60))
    const pid = await startedPid()
    await ok({ cmd: 'cancel', bead_id: 'api' })
    expect(await running.ended).toMatchObject({ code: 4, envelopes: [{ err: { code: 'CONFLICT' } }] })
    expect(lives(pid)).toBe(false)
    expect(await bead()).toMatchObject({ status: 'cancelled' })
  })

  test('that is lost while the command cannot be told: its result is not written', async () => {
    const running = startWork(['--lease-ms', '86400000'], ['sleep', '0.9'])
    await expect.poll(claims).toBe(1)
    // no announcement, and no look before the command is done
    await bench.sql`update swarm.bead_backlog set fence = 7 where repo_id = ${bench.repo()}`
    await bench.sql`update swarm.bead_claims set fence = 7, claimed_by = 2 where repo_id = ${bench.repo()}`
    await bench.sql`update swarm.stage_history set fence = 7, agent_id = 2 where repo_id = ${bench.repo()}`
    expect(await running.ended).toMatchObject({ code: 4, envelopes: [{ err: { code: 'CONFLICT' } }] })
    expect(await bead()).toMatchObject({ status: 'in_progress', stage: 'contract', fence: 7 })
  })

  test('is held for max_hold_ms at most: then the command is ended and the bead given back', async () => {
    const root = mkdtempSync(join(tmpdir(), 'swarm-work-hold-'))
    onTestFinished(() => rmSync(root, { recursive: true }))
    mkdirSync(join(root, '.swarm'))
    writeFileSync(join(root, '.swarm', 'config.toml'), 'max_hold_ms = 1200\n')
    const running = bench.start(['work', '--agent-id', '1', '--max-beads', '5', '--', ...sleeper(60)], {
      SWARM_ROOT: root,
    })
    const pid = await startedPid()
    const { envelopes } = await running.ended
    expect(envelopes).toMatchObject([
      { d: { bead_id: 'api', reason: 'max_hold', status: 'pending' } },
      { d: { beads: 1, stopped: 'max_hold' } },
    ])
    expect(lives(pid)).toBe(false)
    expect(await bead()).toMatchObject({ status: 'pending', attempt: 1 })
    expect(readFileSync(path('pid'), 'utf8').trim()).toBe(String(pid))
  })
})

const listeners = async () =>
  (
    await bench.sql`select 1 from pg_stat_activity
      where application_name like 'swarm listen %' and datname = current_database()`
  ).length

/** The runner looks by itself for a second, then it listens. */
const settle = () => expect.poll(listeners, { timeout: 5_000 }).toBeGreaterThan(0)
