import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import type { Envelope } from '../../src/contract/envelope.ts'
import { gateHash } from '../../src/contract/gates.ts'
import type { JsonObject } from '../../src/contract/json.ts'
import { testDatabase } from '../support/database.ts'
import { gatesOf } from '../support/gates.ts'
import { lives } from '../support/processes.ts'
import { openPipe, runSwarm } from '../support/swarm.ts'

const { sql, url } = await testDatabase()
const scratch = mkdtempSync(join(tmpdir(), 'swarm-runner-'))
const fixture = (name: string) => join(__dirname, '..', 'fixtures', 'bin', name)

let repo = ''
let repos = 0
const env = () => ({ DATABASE_URL: url, SWARM_REPO: repo, PGPASSWORD: 'hunter2' })
const pipes: { close(): Promise<unknown> }[] = []
const pipe = () => {
  const opened = openPipe(env(), scratch)
  pipes.push(opened)
  return opened
}
/** One request in a process of its own; its envelope. */
async function oneShot(request: JsonObject): Promise<Envelope> {
  const { cmd, ...rest } = request
  const { envelopes } = await runSwarm([String(cmd), '--json', JSON.stringify(rest)], {
    env: env(),
    cwd: scratch,
  })
  const [envelope] = envelopes
  if (!envelope) throw new Error(`${cmd} answered nothing`)
  return envelope
}
/** `d` of a request that must succeed. */
async function ok<D = JsonObject>(request: JsonObject): Promise<D> {
  const envelope = await oneShot(request)
  if (!envelope.ok) throw new Error(`${JSON.stringify(request)} answered ${JSON.stringify(envelope)}`)
  // the caller names the shape that the request under test answers
  return envelope.d as D
}

beforeEach(async () => {
  repo = `runner-${++repos}`
  rmSync(join(scratch, '.swarm'), { recursive: true, force: true })
  await ok({ cmd: 'register', count: 2 })
  await ok({ cmd: 'enqueue', beads: [{ bead_id: 'api', title: 'Write the API' }] })
})
afterAll(async () => {
  await Promise.all(pipes.map((opened) => opened.close()))
  rmSync(scratch, { recursive: true })
})

const artifacts = () => sql`
  select a.artifact_type, a.trust, a.content, a.metadata from swarm.stage_artifacts a where a.repo_id = ${repo} order by a.id`
const bead = async () => {
  const [row] = await sql`select status, stage, attempt, feedback, fence::integer, verification_status
    from swarm.bead_backlog where repo_id = ${repo} and bead_id = 'api'`
  return row
}
const setGateOf = gatesOf(sql, scratch)
const setGate = (stage: string, gate: readonly string[]) => setGateOf(repo, stage, gate)

describe('a stage’s command', () => {
  test('that exits with 0 passes the stage; its output is kept', async () => {
    const d = await ok({ cmd: 'run-once', agent_id: 1, command: [fixture('noise'), '3'] })
    expect(d).toMatchObject({
      ran: {
        bead_id: 'api',
        stage: 'contract',
        attempt: 1,
        gate: false,
        outcome: 'passed',
        ended: 'exited',
        exit_code: 0,
      },
      transition: 'advance',
      stage: 'implement',
      kept: true,
    })
    const [log] = await artifacts()
    expect(log).toMatchObject({
      artifact_type: 'stage_log',
      trust: 'claimed',
      metadata: { exit_code: 0, ended: 'exited' },
    })
    expect(log?.content).toContain('line 3 the last')
    expect(await bead()).toMatchObject({
      status: 'in_progress',
      stage: 'implement',
      verification_status: 'unverified',
    })
  })

  test('that exits otherwise fails it, with the end of its output as feedback for the next attempt', async () => {
    const d = await ok({
      cmd: 'run-once',
      agent_id: 1,
      command: [fixture('exit-with'), '3', 'two tests fail'],
    })
    expect(d).toMatchObject({
      ran: { outcome: 'failed', exit_code: 3, output: 'two tests fail' },
      transition: 'retry',
    })
    const claim = await ok({ cmd: 'claim-next', agent_id: 1 })
    expect(claim).toMatchObject({ stage: 'contract', attempt: 2 })
    expect(claim.feedback).toMatch(/exit-with 3 "two tests fail" exited with 3\ntwo tests fail$/)
  })

  test.each([
    ['is too slow', ['sleep', '30'], { ended: 'timed_out' }, /sleep 30 did not end within 300 ms/],
    [
      'is ended by a signal',
      [fixture('die-by'), 'SEGV'],
      { ended: 'signaled', signal: 'SIGSEGV' },
      /was ended by SIGSEGV/,
    ],
    [
      'is not there',
      ['no-such-binary'],
      { ended: 'missing' },
      /no-such-binary is not installed or not on the PATH/,
    ],
  ])('that %s is an error', async (_, command, how, feedback) => {
    const d = await ok({ cmd: 'run-once', agent_id: 1, timeout_ms: 300, command })
    expect(d).toMatchObject({
      ran: { outcome: 'error', ...how },
      transition: 'retry',
      stage: 'contract',
      attempt: 2,
    })
    expect(d.ran).not.toHaveProperty('exit_code')
    expect((await bead())?.feedback).toMatch(feedback)
  })

  test('knows its claim: variables, the bead on stdin, and no password', async () => {
    const { ran } = await ok<{ ran: { output: string } }>({
      cmd: 'run-once',
      agent_id: 2,
      command: ['sh', '-c', 'cat; env'],
    })
    const { output } = ran
    const [stdin = '', ...variables] = output.split('\n')
    expect(JSON.parse(stdin)).toMatchObject({
      bead: { bead_id: 'api', title: 'Write the API' },
      stage: 'contract',
      fence: 1,
    })
    for (const [name, value] of Object.entries({
      AGENT_ID: 2,
      BEAD_ID: 'api',
      STAGE: 'contract',
      ATTEMPT: 1,
      FENCE: 1,
      REPO: repo,
    })) {
      expect(variables).toContain(`SWARM_${name}=${value}`)
    }
    expect(output).not.toContain('hunter2')
  })

  test('is needed where the stage has no gate; without one the bead is given back', async () => {
    expect(await oneShot({ cmd: 'run-once', agent_id: 1 })).toMatchObject({
      ok: false,
      err: { code: 'INVALID', ctx: { field: 'command', stage: 'contract', needs: ['command'] } },
      fix: 'swarm run-once --agent-id 1',
    })
    expect(await bead()).toMatchObject({ status: 'pending', attempt: 1 })
  })

  test('goes on with the held bead', async () => {
    await ok({ cmd: 'claim-next', agent_id: 1 })
    expect(await ok({ cmd: 'run-once', agent_id: 1, command: ['true'] })).toMatchObject({
      ran: { bead_id: 'api', attempt: 1 },
    })
    expect(await ok({ cmd: 'run-once', agent_id: 2, command: ['true'] })).toEqual({
      ran: null,
      reason: 'waiting',
      pending: 0,
      in_progress: 1,
    })
  })

  test('sent again under its key, runs once', async () => {
    const marks = join(scratch, 'marks')
    const request = {
      cmd: 'run-once',
      agent_id: 1,
      idem: 'once',
      command: ['sh', '-c', `echo x >> ${marks}`],
    }
    const first = await oneShot(request)
    const again = await oneShot(request)
    expect(again).toMatchObject({ ok: true, replayed: true })
    expect(first.ok && again.ok && again.d).toEqual(first.ok && first.d)
    expect(readFileSync(marks, 'utf8')).toBe('x\n')
    expect(await oneShot({ ...request, command: ['true'] })).toMatchObject({
      ok: false,
      err: { code: 'CONFLICT' },
    })
  })
})

describe('a gate', () => {
  const toStage = async (stage: string) => {
    await ok({ cmd: 'claim-next', agent_id: 1 })
    for (const before of ['contract', 'implement', 'qa']) {
      if (before === stage) return
      await ok({ cmd: 'complete-stage', agent_id: 1, outcome: 'passed' })
    }
  }

  test('is passed only by running it: complete-stage is refused, and the request in fix does it', async () => {
    await setGate('qa', ['test', '-f', join(scratch, 'built')])
    rmSync(join(scratch, 'built'), { force: true })
    await toStage('qa')
    const inPipe = pipe()
    await inPipe.ok({ cmd: 'claim-next', agent_id: 1 })
    const pass = {
      cmd: 'complete-stage',
      agent_id: 1,
      outcome: 'passed',
      evidence: [{ command: 'test', exit_code: 0 }],
    }
    const refused = await inPipe.send(pass)
    expect(refused).toMatchObject({
      ok: false,
      err: { code: 'CONFLICT' },
      fix: '{"cmd":"run-once","agent_id":1}',
    })
    const fix: JsonObject = JSON.parse(refused.ok ? '' : (refused.fix ?? ''))

    expect(await inPipe.ok(fix)).toMatchObject({
      ran: { stage: 'qa', gate: true, outcome: 'failed', exit_code: 1 },
      transition: 'retry',
      stage: 'implement',
    })
    await inPipe.ok({ cmd: 'complete-stage', agent_id: 1, outcome: 'passed' })
    expect(await inPipe.send(pass)).toMatchObject({ ok: false, err: { code: 'CONFLICT' } })

    writeFileSync(join(scratch, 'built'), '')
    expect(await inPipe.ok(fix)).toMatchObject({
      ran: { gate: true, outcome: 'passed' },
      transition: 'advance',
      stage: 'red-queen',
    })
    expect(await bead()).toMatchObject({ verification_status: 'verified' })
    const reports = await artifacts()
    expect(
      reports.map(({ artifact_type, trust, metadata }) => [artifact_type, trust, metadata.exit_code]),
    ).toEqual([
      ['quality_gate_report', 'verified', 1],
      ['quality_gate_report', 'verified', 0],
    ])
  })

  test('is run after the command that was given, and decides', async () => {
    const made = join(scratch, `made-${repo}`)
    await setGate('contract', ['test', '-f', made])
    expect(await ok({ cmd: 'run-once', agent_id: 1, command: ['true'] })).toMatchObject({
      ran: { gate: true, outcome: 'failed' },
      transition: 'retry',
    })
    expect(await ok({ cmd: 'run-once', agent_id: 1, command: ['touch', made] })).toMatchObject({
      ran: { gate: true, outcome: 'passed', attempt: 2 },
      transition: 'advance',
    })
    expect((await artifacts()).map(({ artifact_type, trust }) => `${artifact_type} ${trust}`).sort()).toEqual(
      ['quality_gate_report verified', 'stage_log claimed'].flatMap((each) => [each, each]),
    )
  })

  test('is not run after a command that failed', async () => {
    const mark = join(scratch, `gate-${repo}`)
    await setGate('contract', ['touch', mark])
    expect(await ok({ cmd: 'run-once', agent_id: 1, command: ['false'] })).toMatchObject({
      ran: { gate: false, outcome: 'failed' },
      transition: 'retry',
    })
    expect(existsSync(mark)).toBe(false)
  })

  test('is run after the command of agent, too', async () => {
    const made = join(scratch, `made-${repo}`)
    await setGate('contract', ['test', '-f', made])
    const d = await ok({ cmd: 'agent', agent_id: 1, max_beads: 1, command: ['touch', made] })
    expect(d).toMatchObject({ completed: 1, stages: 4, passed: 4 })
  })

  test('has its own limit of time also after a command', async () => {
    await setGate('contract', ['sleep', '30'])
    await sql`update swarm.workflow_stages set timeout_ms = 200 where repo_id = ${repo} and stage = 'contract'`
    const command = ['sleep', '0.4']
    const d = await ok<{ ran: { duration_ms: number } }>({
      cmd: 'run-once',
      agent_id: 1,
      timeout_ms: 10_000,
      command,
    })
    expect(d).toMatchObject({ ran: { gate: true, ended: 'timed_out' } })
    expect(d.ran.duration_ms).toBeLessThan(9_000)
  })

  test('has its own limit of time', async () => {
    await setGate('contract', ['sleep', '30'])
    await sql`update swarm.workflow_stages set timeout_ms = 200 where repo_id = ${repo} and stage = 'contract'`
    expect(await ok({ cmd: 'run-once', agent_id: 1 })).toMatchObject({ ran: { ended: 'timed_out' } })
  })

  test('can be run ahead with qa, which decides nothing; the last run counts', async () => {
    const file = join(scratch, 'flag')
    await setGate('qa', ['test', '-f', file])
    await toStage('qa')
    writeFileSync(file, '')
    expect(await ok({ cmd: 'qa', agent_id: 1 })).toMatchObject({
      ran: { stage: 'qa', outcome: 'passed', exit_code: 0 },
    })
    expect(await bead()).toMatchObject({ stage: 'qa', status: 'in_progress' })
    rmSync(file)
    expect(await ok({ cmd: 'qa', agent_id: 1 })).toMatchObject({ ran: { outcome: 'failed', exit_code: 1 } })
    const pass = { cmd: 'complete-stage', agent_id: 1, outcome: 'passed' }
    expect(await oneShot(pass)).toMatchObject({ ok: false, err: { code: 'CONFLICT', ctx: { stage: 'qa' } } })
    writeFileSync(file, '')
    await ok({ cmd: 'qa', agent_id: 1 })
    expect(await ok(pass)).toMatchObject({ transition: 'advance', stage: 'red-queen' })
    expect(await bead()).toMatchObject({ verification_status: 'verified' })
  })

  test('of one stage is no evidence for another', async () => {
    await setGate('qa', ['true'])
    await toStage('implement')
    expect(await ok({ cmd: 'qa', agent_id: 1 })).toMatchObject({
      ran: { stage: 'implement', outcome: 'passed' },
    })
    await setGate('implement', ['false'])
    expect(await oneShot({ cmd: 'complete-stage', agent_id: 1, outcome: 'passed' })).toMatchObject({
      ok: false,
      err: { code: 'CONFLICT', ctx: { gate: 'false', gate_hash: gateHash(['false']) } },
    })
  })

  test('that nobody has configured is named by qa', async () => {
    await ok({ cmd: 'claim-next', agent_id: 1 })
    expect(await oneShot({ cmd: 'qa', agent_id: 1 })).toMatchObject({
      ok: false,
      err: { code: 'INVALID', ctx: { stage: 'contract' } },
    })
    expect(await oneShot({ cmd: 'qa', agent_id: 2 })).toMatchObject({ ok: false, err: { code: 'CONFLICT' } })
  })
})

describe('the claim', () => {
  const pidFile = () => join(scratch, `pid-${repo}`)
  const startedPid = async () => {
    for (;;) {
      try {
        const pid = Number(readFileSync(pidFile(), 'utf8'))
        if (pid > 0) return pid
      } catch {}
      await delay(20)
    }
  }
  const sleeper = (seconds: number) => ['sh', '-c', `echo $$ > ${pidFile()}; exec sleep ${seconds}`]

  test('is renewed while the command runs, also in a process of its own', async () => {
    const running = ok({
      cmd: 'run-once',
      agent_id: 1,
      command: sleeper(3),
      lease_ms: 1_000,
      timeout_ms: 20_000,
    })
    await startedPid()
    const other = pipe()
    const taken = other.ok({ cmd: 'claim-next', agent_id: 2, wait_ms: 2_500 })
    expect(await taken).toMatchObject({ bead: null, reason: 'waiting' })
    expect(await running).toMatchObject({ ran: { outcome: 'passed' }, transition: 'advance' })
    expect(await bead()).toMatchObject({ fence: 1 })
  })

  test('that is lost ends the command and is CONFLICT', async () => {
    const running = oneShot({
      cmd: 'run-once',
      agent_id: 1,
      command: sleeper(30),
      lease_ms: 1_500,
      timeout_ms: 20_000,
    })
    const pid = await startedPid()
    expect(lives(pid)).toBe(true)
    const other = pipe()
    expect(await other.ok({ cmd: 'claim-next', agent_id: 1 })).toMatchObject({ held: true, fence: 2 })
    const lostAt = performance.now()
    expect(await running).toMatchObject({
      ok: false,
      err: { code: 'CONFLICT', ctx: { bead_id: 'api', fence: 1 } },
      fix: 'swarm claim-next --agent-id 1',
    })
    expect(performance.now() - lostAt).toBeLessThan(5_000)
    expect(lives(pid)).toBe(false)
    expect(await bead()).toMatchObject({ status: 'in_progress', attempt: 1, fence: 2 })
  })

  test('is given back when swarm is told to stop', async () => {
    const running = pipe()
    const answer = running.send({ cmd: 'run-once', agent_id: 1, command: sleeper(30), timeout_ms: 20_000 })
    const pid = await startedPid()
    running.child.kill('SIGTERM')
    expect(await answer).toMatchObject({ ok: true, d: { ran: null, reason: 'shutdown' } })
    expect(await running.close()).toBe(0)
    expect(lives(pid)).toBe(false)
    expect(await bead()).toMatchObject({ status: 'pending', attempt: 1 })
  })

  test('that its command gave back itself is not given back again when swarm is told to stop', async () => {
    const running = pipe()
    const answer = running.send({ cmd: 'run-once', agent_id: 1, command: sleeper(30), timeout_ms: 20_000 })
    const pid = await startedPid()
    await ok({ cmd: 'release', agent_id: 1, bead_id: 'api', fence: 1, to: 'blocked' })
    expect(lives(pid)).toBe(true)
    running.child.kill('SIGTERM')
    expect(await answer).toMatchObject({ ok: true, d: { ran: null, reason: 'shutdown' } })
    expect(await running.close()).toBe(0)
    expect(await bead()).toMatchObject({ status: 'blocked', attempt: 1 })
  })

  test('others are answered while a command runs', async () => {
    const both = pipe()
    const running = both.ok({ cmd: 'run-once', agent_id: 1, command: sleeper(1), timeout_ms: 20_000 })
    const order: string[] = []
    running.then(() => order.push('run-once'))
    await both.ok({ cmd: 'register', count: 1 }).then(() => order.push('register'))
    await running
    expect(order).toEqual(['register', 'run-once'])
  })
})

describe('agent', () => {
  test('works until there is nothing left and answers a summary', async () => {
    await ok({ cmd: 'enqueue', beads: [{ bead_id: 'docs', title: 'Document it', depends_on: ['api'] }] })
    expect(await ok({ cmd: 'agent', agent_id: 1, command: ['true'] })).toEqual({
      beads: 2,
      completed: 2,
      blocked: 0,
      stages: 8,
      passed: 8,
      failed: 0,
      errors: 0,
      duration_ms: expect.any(Number),
      stopped: 'empty',
    })
  })

  test('leaves a bead blocked when its attempts are used up', async () => {
    const d = await ok({ cmd: 'agent', agent_id: 1, command: [fixture('exit-with'), '1', 'still red'] })
    expect(d).toMatchObject({
      beads: 1,
      completed: 0,
      blocked: 1,
      stages: 3,
      failed: 3,
      stopped: 'blocked',
      last_output: 'still red',
    })
    expect(await bead()).toMatchObject({ status: 'blocked' })
  })

  test('stops at the first command that is not installed, before it uses up the attempts', async () => {
    await ok({ cmd: 'enqueue', beads: [{ bead_id: 'docs', title: 'Document it' }] })
    const d = await ok({ cmd: 'agent', agent_id: 1, command: ['no-such-binary'] })
    expect(d).toMatchObject({ beads: 1, stages: 1, errors: 1, stopped: 'missing' })
    expect(await bead()).toMatchObject({ status: 'pending', attempt: 2 })
  })

  test('stops after max_beads', async () => {
    await ok({ cmd: 'enqueue', beads: [{ bead_id: 'docs', title: 'Document it' }] })
    expect(await ok({ cmd: 'agent', agent_id: 1, command: ['true'], max_beads: 1 })).toMatchObject({
      beads: 1,
      stopped: 'max_beads',
    })
    expect(await ok({ cmd: 'status' })).toBeTruthy()
  })

  test('sent again under its key, goes on where it was and answers the same', async () => {
    const marks = join(scratch, 'agent-marks')
    const request = { cmd: 'agent', agent_id: 1, idem: 'a1', command: ['sh', '-c', `echo x >> ${marks}`] }
    const first = await oneShot(request)
    const again = await oneShot(request)
    expect(again).toMatchObject({ ok: true, replayed: true })
    expect(first.ok && again.ok && again.d).toEqual(first.ok && first.d)
    expect(readFileSync(marks, 'utf8')).toBe('x\nx\nx\nx\n')
  })
})

describe('smoke', () => {
  test('takes beads through the loop and leaves nothing behind', async () => {
    const d = await ok<{ repo: string; steps: { step: string }[] }>({ cmd: 'smoke' })
    expect(d.repo).toMatch(/^smoke-/)
    expect(d.steps.map(({ step }) => step)).toEqual(
      expect.arrayContaining([
        'register',
        'enqueue',
        'claim',
        'run first stage 4',
        'run second stage 4',
        'invariants',
        'clean up',
      ]),
    )
    for (const table of [
      'repos',
      'bead_backlog',
      'bead_claims',
      'agent_state',
      'stage_history',
      'stage_artifacts',
      'operations',
    ]) {
      expect([
        table,
        ...(await sql`select 1 from ${sql(`swarm.${table}`)} where repo_id = ${d.repo}`),
      ]).toEqual([table])
    }
  })

  test('says at which step it failed, and cleans up all the same', async () => {
    await sql`alter table swarm.stage_artifacts add constraint broken check (repo_id !~ '^smoke-')`
    try {
      const envelope = await oneShot({ cmd: 'smoke' })
      expect(envelope).toMatchObject({
        ok: false,
        err: { ctx: { step: 'run first stage 1', done: ['register', 'enqueue', 'claim'] } },
      })
      expect(await sql`select 1 from swarm.repos where repo_id ~ '^smoke-'`).toEqual([])
    } finally {
      await sql`alter table swarm.stage_artifacts drop constraint broken`
    }
  })
})
