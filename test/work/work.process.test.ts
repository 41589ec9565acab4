import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { JsonObject } from '../../src/contract/json.ts'
import { BIN, runSwarm } from '../support/swarm.ts'
import { workbench } from './support.ts'

const bench = await workbench()
const { sql, url, fixture, ok, bead, artifacts, claims, path, setGate, work } = bench

describe('the exit code finishes the stage', () => {
  test('0 passes it; the bead is let go, the output is kept', async () => {
    const { code, envelopes } = await work([], [fixture('noise'), '3'])
    expect(code).toBe(0)
    expect(envelopes).toEqual([
      {
        ok: true,
        t: expect.any(Number),
        ms: expect.any(Number),
        d: {
          bead_id: 'api',
          stage: 'contract',
          attempt: 1,
          outcome: 'passed',
          transition: 'advance',
          exit_code: 0,
          ms: expect.any(Number),
          status: 'pending',
          next_stage: 'implement',
        },
      },
    ])
    expect(await bead()).toMatchObject({ status: 'pending', stage: 'implement', fence: 1 })
    expect(await claims()).toBe(0)
    const kept = await artifacts()
    expect(kept).toMatchObject([
      { artifact_type: 'stage_log', trust: 'claimed', metadata: { exit_code: 0, ended: 'exited' } },
    ])
    expect(kept[0]?.content).toContain('line 3 the last')
    expect(await bench.history()).toEqual([
      { stage: 'contract', attempt: 1, status: 'passed', result: 'advance', fence: 1 },
    ])
  })

  test('another fails it; the next claim is told the end of the output', async () => {
    const { code, last } = await work([], [fixture('exit-with'), '3', 'two tests fail'])
    expect(code).toBe(0)
    expect(last).toMatchObject({
      d: {
        outcome: 'failed',
        transition: 'retry',
        exit_code: 3,
        output: 'two tests fail',
        status: 'pending',
      },
    })
    const claim = await ok({ cmd: 'claim-next', agent_id: 2 })
    expect(claim).toMatchObject({ stage: 'contract', attempt: 2, fence: 2 })
    expect(claim.feedback).toMatch(/exit-with 3 "two tests fail" exited with 3\ntwo tests fail$/)
  })

  test.each([
    ['a signal', [], [fixture('die-by'), 'SEGV'], 'signaled', /was ended by SIGSEGV/],
    [
      'the timeout',
      ['--timeout-ms', '300'],
      ['sleep', '30'],
      'timed_out',
      /sleep 30 did not end within 300 ms/,
    ],
    ['no start', [], ['no-such-binary'], 'missing', /no-such-binary is not installed or not on the PATH/],
  ])('%s is an error', async (_, flags, command, ended, feedback) => {
    const { last } = await work(flags, command)
    expect(last).toMatchObject({ d: { outcome: 'error', transition: 'retry', ended, status: 'pending' } })
    expect(last.ok && last.d).not.toHaveProperty('exit_code')
    expect((await bead())?.feedback).toMatch(feedback)
  })

  test('there is no limit of time by default', async () => {
    expect((await work([], ['sleep', '3.5'])).last).toMatchObject({ d: { outcome: 'passed' } })
  })

  test('the last stage finishes the bead', async () => {
    const { envelopes } = await work(['--max-beads', '4'], ['true'])
    expect(envelopes.at(-2)).toMatchObject({
      d: { stage: 'red-queen', transition: 'finalize', status: 'completed', next_stage: 'done' },
    })
  })
})

describe('the command knows its bead', () => {
  test('as JSON on stdin and in variables; feedback too', async () => {
    await work([], [fixture('exit-with'), '1', 'it was red'])
    const file = path('told')
    await work([], ['sh', '-c', `cat > ${file}; env >> ${file}`], { SWARM_FEEDBACK: 'of another bead' })
    const [stdin = '', ...variables] = readFileSync(file, 'utf8').split('\n')
    expect(JSON.parse(stdin)).toMatchObject({
      bead: { bead_id: 'api', title: 'Write the API', description: 'all of it', priority: 'p2', labels: [] },
      stage: 'contract',
      attempt: 2,
      fence: 2,
      lease_ms: 60_000,
      feedback: expect.stringContaining('it was red'),
    })
    for (const [name, value] of Object.entries({
      AGENT_ID: 1,
      BEAD_ID: 'api',
      STAGE: 'contract',
      ATTEMPT: 2,
      FENCE: 2,
      REPO: bench.repo(),
    })) {
      expect(variables).toContain(`SWARM_${name}=${value}`)
    }
    expect(variables.find((line) => line.startsWith('SWARM_FEEDBACK='))).toMatch(/exit-with 1 "it was red"/)
    expect(variables).toContain(`DATABASE_URL=${bench.url}`)
  })

  test('there is no variable for feedback where there is none, and a long one is cut', async () => {
    const file = path('told')
    const tell = ['sh', '-c', `printf '%s' "\${SWARM_FEEDBACK-none}" > ${file}`]
    await work([], tell, { SWARM_FEEDBACK: 'of another bead' })
    expect(readFileSync(file, 'utf8')).toBe('none')
    const agent = { cmd: 'claim-next', agent_id: 2 }
    await ok(agent)
    await ok({ cmd: 'complete-stage', agent_id: 2, outcome: 'failed', feedback: 'ä'.repeat(65_000) })
    await ok({ cmd: 'release', agent_id: 2 })
    await work([], tell)
    expect(readFileSync(file, 'utf8')).toBe('ä'.repeat(16_000))
  })

  test('and reaches the same database with its own swarm: by DATABASE_URL, as it was given', async () => {
    const inner = [process.execPath, BIN, 'heartbeat', '--note', 'inside']
    const { last } = await work(['--with-database', '--database-url', bench.url], inner, {
      DATABASE_URL: undefined,
    })
    expect(last).toMatchObject({ d: { outcome: 'passed' } })
    const [event] = await bench.sql`
      select agent_id, payload from swarm.execution_events where repo_id = ${bench.repo()} and event_type = 'progress'`
    expect(event).toMatchObject({ agent_id: 1, payload: { note: 'inside' } })
  })

  test('or by the root, from another directory too', async () => {
    const root = await mkdtemp(join(tmpdir(), 'swarm-work-root-'))
    try {
      await mkdir(join(root, '.swarm'))
      writeFileSync(
        join(root, '.swarm', 'config.toml'),
        `repo = "${bench.repo()}"\ndatabase_url = "${bench.url}"\n`,
      )
      const script = `cd / && exec '${process.execPath}' '${BIN}' heartbeat --note inside`
      const { envelopes } = await runSwarm(['work', '--agent-id', '1', '--', 'sh', '-c', script], {
        cwd: root,
      })
      expect(envelopes).toMatchObject([{ ok: true, d: { bead_id: 'api', outcome: 'passed' } }])
    } finally {
      await rm(root, { recursive: true })
    }
  })

  test('without the password, unless it is asked for', async () => {
    const file = path('env')
    const show = ['sh', '-c', `env > ${file}`]
    await work([], show, { PGPASSWORD: 'hunter2' })
    expect(readFileSync(file, 'utf8')).not.toContain('hunter2')
    await work(['--with-database'], show, { PGPASSWORD: 'hunter2' })
    expect(readFileSync(file, 'utf8')).toContain('hunter2')
  })
})

test('no secret of this process, of the words of the command or of its output gets to the command, into an answer or the database', async () => {
  const mark = url.includes('?') ? '&' : '?'
  const secrets = ['hunter2x', 's3cr,et/"ä', 'topsecret1', 'abcdefgh-token']
  const script = `[ -z "$DATABASE_URL$PGPASSWORD" ] || exit 7; printf '%s' "$1"; echo; echo "$2" >&2; exit 1`
  const command = ['sh', '-c', script, 'sh', secrets[1] ?? '', encodeURIComponent(secrets[1] ?? '')]
  const { envelopes } = await runSwarm(
    ['work', '--agent-id', '1', '--', ...command, '--password', 'topsecret1', '--token=abcdefgh-token'],
    {
      env: bench.env({ DATABASE_URL: ` ${url}${mark}pass%77ord=hunter2x`, PGPASSWORD: secrets[1] }),
      cwd: bench.dir,
    },
  )
  expect(envelopes).toMatchObject([{ ok: true, d: { exit_code: 1, output: expect.stringContaining('***') } }])
  const tables = await sql<{ name: string }[]>`
    select tablename as name from pg_tables where schemaname = 'swarm'`
  const rows = [JSON.stringify(envelopes)]
  for (const { name } of tables)
    rows.push(
      ...(await sql.unsafe(`select to_jsonb(one_row)::text as row from swarm.${name} one_row`)).map(
        ({ row }) => row,
      ),
    )
  expect(rows.some((row) => row.includes('--password'))).toBe(true)
  const spellings = secrets.flatMap((one) => [one, encodeURIComponent(one), JSON.stringify(one).slice(1, -1)])
  expect(rows.filter((row) => spellings.some((one) => row.includes(one)))).toEqual([])
})

describe('what the command writes', () => {
  test('goes to stderr as it comes; stdout carries the envelope alone', async () => {
    const go = path('go')
    const script = `echo out; echo err >&2; while [ ! -e ${go} ]; do sleep 0.05; done; echo later`
    const running = bench.start(['work', '--agent-id', '1', '--', 'sh', '-c', script])
    await expect.poll(() => running.stderr().split('\n').sort()).toEqual(['', 'err', 'out'])
    expect(running.stdout()).toBe('')
    writeFileSync(go, '')
    const { envelopes } = await running.ended
    expect(running.stderr()).toMatch(/\nlater\n$/)
    expect(running.stdout().trimEnd().split('\n')).toHaveLength(1)
    expect(envelopes).toMatchObject([{ d: { outcome: 'passed' } }])
  })

  test('waits for a slow reader of stderr, while the claim is kept', async () => {
    const marks = path('marks')
    const script = `for i in 1 2 3 4 5 6; do head -c 100000 /dev/zero | tr '\\0' x >&2; echo $i >> ${marks}; done`
    const running = bench.start(['work', '--agent-id', '1', '--lease-ms', '1000', '--', 'sh', '-c', script])
    running.child.stderr.pause()
    await expect.poll(() => existing(marks)).toContain('1')
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    expect(existing(marks)).not.toContain('6')
    expect(await bead()).toMatchObject({ status: 'in_progress', fence: 1 })
    running.child.stderr.resume()
    expect((await running.ended).envelopes).toMatchObject([{ d: { outcome: 'passed' } }])
    expect(running.stderr()).toHaveLength(600_000)
  })

  test('is only stored when it is asked for in a pipe', async () => {
    const pipe = bench.pipe()
    const d = await pipe.ok({ cmd: 'work', agent_id: 1, command: [fixture('exit-with'), '1', 'red'] })
    expect(d).toMatchObject({ outcome: 'failed', output: 'red' })
    expect(pipe.stderr()).toBe('')
    expect((await artifacts())[0]?.content).toContain('red')
  })
})

describe('a stage with a gate', () => {
  const built = () => path('built')

  test('passes by the gate alone, which runs after the command', async () => {
    await setGate('contract', ['test', '-f', built()])
    rmSync(built(), { force: true })
    expect((await work([], ['true'])).last).toMatchObject({
      d: { outcome: 'failed', transition: 'retry', exit_code: 0, gate: 'failed' },
    })
    expect((await bead())?.feedback).toMatch(/^test -f \S+ exited with 1$/)
    expect((await work([], ['touch', built()])).last).toMatchObject({
      d: { outcome: 'passed', transition: 'advance', exit_code: 0, gate: 'passed', next_stage: 'implement' },
    })
    expect(await bead()).toMatchObject({ verification_status: 'verified' })
    expect(
      (await artifacts()).map(({ artifact_type, trust, metadata }) => [
        artifact_type,
        trust,
        metadata.exit_code,
      ]),
    ).toEqual([
      ['stage_log', 'claimed', 0],
      ['quality_gate_report', 'verified', 1],
      ['stage_log', 'claimed', 0],
      ['quality_gate_report', 'verified', 0],
    ])
  })

  test('is not asked after a command that failed', async () => {
    await setGate('contract', ['touch', built()])
    expect((await work([], ['false'])).last).toMatchObject({ d: { outcome: 'failed', exit_code: 1 } })
    expect(existing(built())).toBe('')
  })

  test('that came while the command ran, and is not known here, is not passed over: the bead is given back', async () => {
    const script = `${process.execPath} ${BIN} show api > /dev/null; exec sleep 1`
    const running = bench.start(['work', '--agent-id', '1', '--', 'sh', '-c', script])
    await expect.poll(claims, { timeout: 15_000 }).toBe(1)
    await bench.storeGate('contract', ['true'])
    expect((await running.ended).envelopes).toMatchObject([
      { ok: false, err: { code: 'DEPENDENCY', ctx: { stage: 'contract', got: null } } },
    ])
    expect(await bead()).toMatchObject({ status: 'pending', stage: 'contract', attempt: 1 })
  })
})

describe('what the command does itself stands', () => {
  const swarm = (...words: readonly string[]) => [process.execPath, BIN, ...words].join(' ')
  const script = (...lines: readonly string[]) => ['sh', '-c', lines.join('\n')]

  test('complete-stage: the stage is not finished twice, and the bead is let go', async () => {
    const { last } = await work([], script(swarm('complete-stage', '--outcome', 'passed'), 'exit 7'))
    expect(last).toMatchObject({
      ok: true,
      d: {
        bead_id: 'api',
        stage: 'contract',
        outcome: 'passed',
        transition: 'advance',
        by_command: true,
        exit_code: 7,
        status: 'pending',
        next_stage: 'implement',
      },
    })
    expect(await claims()).toBe(0)
    expect((await bench.history()).map(({ stage, result }) => [stage, result])).toEqual([
      ['contract', 'advance'],
      ['implement', 'released'],
    ])
  })

  test('a failure of the same stage, which begins its next attempt', async () => {
    const own = swarm('complete-stage', '--outcome', 'failed', '--feedback', 'not-yet')
    const { last } = await work([], script(own))
    expect(last).toMatchObject({
      d: {
        stage: 'contract',
        attempt: 1,
        outcome: 'failed',
        transition: 'retry',
        by_command: true,
        exit_code: 0,
      },
    })
    expect(await bead()).toMatchObject({ status: 'pending', attempt: 2, feedback: 'not-yet' })
  })

  test('all stages of the bead', async () => {
    const pass = swarm('complete-stage', '--outcome', 'passed')
    const { last } = await work([], script(pass, pass, pass, pass, 'sleep 1.5'))
    expect(last).toMatchObject({ ok: true, d: { by_command: true, exit_code: 0, status: 'completed' } })
  })

  test('release, also when somebody else has the bead by then', async () => {
    const { last } = await work(
      [],
      script(swarm('release', '--to', 'blocked', '--reason', 'no-key'), 'sleep 1.5'),
    )
    expect(last).toMatchObject({
      ok: true,
      d: { by_command: true, status: 'blocked', next_stage: 'contract' },
    })
    expect(last.ok && last.d).not.toHaveProperty('outcome')

    await ok({ cmd: 'reopen', bead_id: 'api' })
    const other = await work(
      [],
      script(swarm('release'), `SWARM_AGENT_ID=2 ${swarm('claim-next')}`, 'sleep 1.5'),
    )
    expect(other.last).toMatchObject({
      ok: true,
      d: { by_command: true, exit_code: 0, status: 'in_progress' },
    })
    expect(await claims()).toBe(1)
  })

  test('claim-next answers the bead that it works on, under the same fence and lease', async () => {
    const file = path('claim')
    const { last } = await work([], script(`${swarm('claim-next')} > ${file}`, 'sleep 1.5'))
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({
      d: { bead: { bead_id: 'api' }, fence: 1, held: true, lease_ms: 60_000 },
    })
    expect(last).toMatchObject({ ok: true, d: { outcome: 'passed' } })
  })
})

describe('several', () => {
  test('go on one after the other, each a line, until there is nothing left', async () => {
    await ok({ cmd: 'enqueue', beads: [{ bead_id: 'docs', title: 'Document it', depends_on: ['api'] }] })
    const { code, envelopes } = await work(['--max-beads', '100'], ['true'])
    expect(code).toBe(0)
    expect(
      envelopes.slice(0, -1).map((line) => line.ok && [line.more, (line.d as JsonObject).bead_id]),
    ).toEqual([
      ...Array.from({ length: 4 }, () => [true, 'api']),
      ...Array.from({ length: 4 }, () => [true, 'docs']),
    ])
    expect(envelopes.at(-1)).toMatchObject({
      ok: true,
      d: { beads: 8, passed: 8, failed: 0, errors: 0, stopped: 'empty', ms: expect.any(Number) },
    })
  })

  test('end after so many, and at a command that is not there', async () => {
    expect((await work(['--max-beads', '2'], ['true'])).last).toMatchObject({
      d: { beads: 2, stopped: 'max_beads' },
    })
    expect((await work(['--max-beads', '9'], ['no-such-binary'])).last).toMatchObject({
      d: { beads: 1, errors: 1, stopped: 'missing' },
    })
  })

  test('use up the attempts of a bead that fails', async () => {
    expect((await work(['--max-beads', '9'], ['false'])).last).toMatchObject({
      d: { beads: 3, failed: 3, stopped: 'blocked' },
    })
    expect(await bead()).toMatchObject({ status: 'blocked' })
  })
})

describe('the request', () => {
  test('finds nothing to do, or waits for it', async () => {
    // put off, and not done: a wait ends when a backlog is finished
    await ok({ cmd: 'update', bead_id: 'api', status: 'deferred' })
    expect((await work([], ['true'])).last).toMatchObject({
      ok: true,
      d: { bead_id: null, reason: 'empty', pending: 0, in_progress: 0 },
    })
    const waiting = bench.start(['work', '--agent-id', '1', '--wait-ms', '20000', '--', 'true'])
    await expect
      .poll(
        async () =>
          (
            await bench.sql`
      select 1 from pg_stat_activity where application_name like 'swarm listen %' and datname = current_database()`
          ).length,
      )
      .toBe(1)
    await ok({ cmd: 'enqueue', beads: [{ bead_id: 'late', title: 'It came late' }] })
    expect((await waiting.ended).envelopes).toMatchObject([{ d: { bead_id: 'late', outcome: 'passed' } }])
  })

  test('takes only the beads that it asks for', async () => {
    await ok({ cmd: 'enqueue', beads: [{ bead_id: 'ui', title: 'Draw it', labels: ['ui'] }] })
    expect((await work(['--labels', 'ui'], ['true'])).last).toMatchObject({ d: { bead_id: 'ui' } })
  })

  test('sent again under its key, runs once', async () => {
    const marks = path('marks')
    const command = ['sh', '-c', `echo x >> ${marks}`]
    const first = await work(['--idem', 'k'], command)
    const again = await work(['--idem', 'k'], command)
    expect(again.last).toMatchObject({ ok: true, replayed: true })
    expect(first.last.ok && again.last.ok && again.last.d).toEqual(first.last.ok && first.last.d)
    const many = ['--idem', 'm', '--max-beads', '2']
    await work(many, command)
    expect((await work(many, command)).last).toMatchObject({ replayed: true, d: { beads: 2 } })
    expect(existing(marks)).toBe('x\nx\nx\n')
  })

  test('needs a command, and says what it would do', async () => {
    expect((await work([], [])).last).toMatchObject({
      ok: false,
      err: { code: 'INVALID', ctx: { field: 'command' } },
    })
    const dry = await work(['--dry'], ['make', 'it so'])
    expect(dry.last).toMatchObject({ d: { dry: true } })
    expect(JSON.stringify(dry.last)).toContain('it so')
    expect(await claims()).toBe(0)
  })

  test('of an agent that runs a command in this process already is BUSY', async () => {
    const pipe = bench.pipe()
    const file = path('pid')
    const first = pipe.send({
      cmd: 'work',
      agent_id: 1,
      command: ['sh', '-c', `echo $$ > ${file}; exec sleep 2`],
    })
    await expect.poll(() => existing(file)).not.toBe('')
    for (const cmd of ['work', 'run-once']) {
      expect(await pipe.send({ cmd, agent_id: 1, command: ['true'] })).toMatchObject({
        ok: false,
        err: { code: 'BUSY', ctx: { agent_id: 1, bead_id: 'api' } },
      })
    }
    expect(await first).toMatchObject({ ok: true, d: { outcome: 'passed' } })
    expect(await pipe.send({ cmd: 'work', agent_id: 1, command: ['true'] })).toMatchObject({ ok: true })
  })
})

function existing(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

describe('run-once, likewise', () => {
  const swarm = (...words: readonly string[]) => [process.execPath, BIN, ...words].join(' ')
  const runOnce = async (...lines: readonly string[]) => {
    const { envelopes } = await bench.start([
      'run-once',
      '--agent-id',
      '1',
      '--with-database',
      '--',
      'sh',
      '-c',
      lines.join('\n'),
    ]).ended
    return envelopes.at(-1)
  }

  test('a stage that its command completed is not completed again, whatever the exit code', async () => {
    expect(await runOnce(swarm('complete-stage', '--outcome', 'passed'), 'exit 7')).toMatchObject({
      ok: true,
      d: {
        ran: { stage: 'contract', attempt: 1, exit_code: 7 },
        transition: 'advance',
        stage: 'implement',
        attempt: 1,
        kept: true,
        by_command: true,
      },
    })
    expect(await bead()).toMatchObject({ status: 'in_progress', stage: 'implement' })
  })

  test('nor is the next attempt of the same stage passed', async () => {
    const own = swarm('complete-stage', '--outcome', 'failed', '--feedback', 'not-yet')
    expect(await runOnce(own)).toMatchObject({
      ok: true,
      d: { transition: 'retry', stage: 'contract', attempt: 2, kept: true, by_command: true },
    })
  })

  test('a bead that its command released is not held', async () => {
    expect(await runOnce(swarm('release', '--to', 'blocked', '--reason', 'no-key'))).toMatchObject({
      ok: true,
      d: { transition: 'noop', stage: 'contract', kept: false, by_command: true },
    })
    expect(await claims()).toBe(0)
  })
})
