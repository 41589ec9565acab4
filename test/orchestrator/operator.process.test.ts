import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { runSwarm } from '../support/swarm.ts'
import { makeYard, until, type Yard } from './support.ts'

const database = await testDatabase()
const yards: Yard[] = []
afterAll(() => {
  for (const { scratch } of yards) scratch.remove()
})

async function yard(options: Parameters<typeof makeYard>[1]): Promise<Yard> {
  const made = await makeYard(database, options)
  yards.push(made)
  return made
}

interface Refusal {
  readonly code: string
  readonly msg: string
  readonly ctx: Readonly<Record<string, unknown>>
}

async function refusal(
  { env, scratch }: Yard,
  ...args: readonly string[]
): Promise<Refusal & { fix?: string }> {
  const { stdout } = await runSwarm(args, { env, cwd: scratch.root })
  const { ok, err, fix } = JSON.parse(stdout)
  if (ok) throw new Error(`${args.join(' ')} was not refused: ${stdout}`)
  return { ...err, ...(fix === undefined ? {} : { fix }) }
}

const beads = (...ids: readonly string[]) =>
  JSON.stringify({ beads: ids.map((bead_id) => ({ bead_id, title: bead_id })) })
const POOL = 'implementer=1,reviewer=1'

describe('what an operator may type', () => {
  test('roles that nobody knows and stages that nobody does are refused before a run begins', async () => {
    const here = await yard({ repo: 'roles' })
    await here.ask('enqueue', '--json', beads('a'))
    expect(await refusal(here, 'up', '--agents', 'implementor=1,reviewer=1')).toMatchObject({
      code: 'INVALID',
      msg: expect.stringContaining('implementor'),
      ctx: { expected: 'roles: implementer, reviewer' },
    })
    expect(await refusal(here, 'up', '--agents', 'implementer=1')).toMatchObject({
      code: 'INVALID',
      msg: expect.stringContaining('add reviewer=1, or reviewer=0'),
    })
    expect(await refusal(here, 'up', '--agents', 'swarm=1,implementer=1,reviewer=1')).toMatchObject({
      code: 'INVALID',
    })
    expect(await refusal(here, 'up', '--agents', 'implementer=99999999999')).toMatchObject({
      code: 'INVALID',
    })
    expect(await refusal(here, 'logs', 's-mistyped')).toMatchObject({ code: 'NOTFOUND' })
    const { plan } = await here.ask<{ plan: { agents: object } }>('up', '--dry-run')
    expect(plan.agents).toEqual({ implementer: 2, reviewer: 2 })
    expect(await here.ask('runs')).toEqual({ runs: [] })
  }, 60_000)

  test('a program that is missing, too old or not logged in is told of before a run begins', async () => {
    const agent = (command: readonly string[]) =>
      `[agents.implementer]\nadapter = "claude"\nlogin = "none"\ncommand = ${JSON.stringify(command)}\n`
    for (const [repo, command, why] of [
      ['missing', ['no-such-agent-program'], 'not_installed'],
      ['old', ['sh', '-c', 'echo 1.0.0'], 'too_old'],
      ['loggedout', ['sh', '-c', 'echo 9.0.0'], 'not logged in'],
    ] as const) {
      const here = await yard({ repo, oneStage: true, more: agent(command) })
      await here.ask('enqueue', '--json', beads('a'))
      expect(await refusal(here, 'up', '--agents', 'implementer=1')).toMatchObject({
        code: 'DEPENDENCY',
        msg: expect.stringContaining(why),
        ctx: { role: 'implementer', dependency: 'claude' },
      })
      expect(await here.ask('runs')).toEqual({ runs: [] })
    }
  }, 60_000)

  test('a run that nobody leads is told of, gone on with or ended, also with a session of a host that is gone', async () => {
    const here = await yard({ repo: 'unled' })
    await here.ask('enqueue', '--json', beads('a'))
    const { run_id } = await here.ask<{ run_id: string }>('start-run', '--agents', POOL)
    expect(await refusal(here, 'up', '--agents', POOL)).toMatchObject({
      code: 'EXISTS',
      ctx: { run_id },
      fix: `swarm up --resume ${run_id}`,
    })
    await database.sql`insert into swarm.agent_sessions (repo_id, session_id, run_id, host_id, agent_id, role, adapter, account, bead_id, stage, attempt,
        fence, status, queued_at) values ('unled', 's-lost', ${run_id}, 'gone', 1, 'implementer', 'demo', 'default', 'a', 'implement', 1, 1, 'running', now())`
    expect(await here.ask('down')).toMatchObject({ run_id, status: 'stopped' })
    expect(await here.ask('down', run_id)).toMatchObject({ status: 'stopped' })
    expect(await here.ask('sessions')).toMatchObject({
      sessions: [{ session_id: 's-lost', reason: 'host_lost' }],
    })
    expect(await refusal(here, 'extend', 's-lost')).toMatchObject({ code: 'CONFLICT' })
    // its beads are free again
    expect(await here.ask('start-run', '--agents', POOL)).toMatchObject({ beads: 1, status: 'running' })
  }, 60_000)

  test('what is told to stop stays so: a pause after it changes nothing', async () => {
    const here = await yard({ repo: 'stopping' })
    await here.ask('enqueue', '--json', beads('a'))
    const { run_id } = await here.ask<{ run_id: string }>('start-run', '--agents', POOL)
    await database.sql`insert into swarm.leadership (repo_id, holder, term, expires_at) values ('stopping', 'somebody', 1, now() + interval '1 hour')`
    expect(await here.ask('down')).toMatchObject({ status: 'stopping' })
    expect(await here.ask('pause', run_id)).toMatchObject({ status: 'stopping' })
  }, 60_000)

  test('a continuous run waits for more and takes it in; a second run beside it is driven too', async () => {
    const here = await yard({ repo: 'beside' })
    const first = here.start('up', '--agents', POOL, '--continuous')
    const runs = () => here.ask<{ runs: { run_id: string }[] }>('runs')
    await until(async () => (await runs()).runs.length === 1)
    await here.ask('enqueue', '--json', beads('a', 'b'))
    await until(async () => here.landed().length === 2)
    expect((await runs()).runs[0]).toMatchObject({ status: 'running' })
    await here.ask('pause')
    await here.ask('enqueue', '--json', beads('c'))
    const second = await here.start('up', '--agents', POOL).ended
    expect(JSON.parse(second.stdout).d, second.stderr).toMatchObject({ status: 'completed', landed: 1 })
    await here.ask('down')
    expect(JSON.parse((await first.ended).stdout).d).toMatchObject({ status: 'stopped', landed: 2 })
    expect(here.landed()).toHaveLength(3)
  }, 120_000)

  test('a remote that refuses the push pauses the run once, and unpause tries again', async () => {
    const here = await yard({ repo: 'refused', oneStage: true })
    const remote = here.scratch.remote ?? ''
    const hook = join(remote, 'hooks', 'pre-receive')
    const log = join(remote, 'pushes')
    writeFileSync(hook, `#!/bin/sh\necho push >> ${log}\ntest -e ${remote}/open\n`, {
      mode: 0o755,
    })
    await here.ask('enqueue', '--json', beads('a'))
    const run = here.start('up', '--agents', 'implementer=1')
    const paused = async () =>
      (await here.ask<{ events: object[] }>('events', '--event-type', 'run_paused')).events
    await until(async () => (await paused()).length > 0)
    // everything that happens wakes the leader
    for (const note of ['1', '2', '3'])
      await here.ask('record-event', '--event-type', 'note', '--entity-id', note)
    await here.ask('unpause')
    await until(async () => (await paused()).length === 2)
    expect((await here.ask<{ run?: object }>('ps')).run).toMatchObject({
      status: 'paused',
      pause_reason: expect.stringContaining('origin refuses the push'),
    })
    writeFileSync(join(remote, 'open'), '')
    await here.ask('unpause')
    expect(JSON.parse((await run.ended).stdout).d).toMatchObject({ status: 'completed', landed: 1 })
    // the first, after unpause, and the one that went through; a step that was asked for meanwhile may repeat one
    expect(readFileSync(log, 'utf8').length / 'push\n'.length).toBeLessThanOrEqual(5)
    expect(here.scratch.git(['rev-list', '--count', 'main'], here.scratch.remote)).toBe('2')
  }, 120_000)
})
