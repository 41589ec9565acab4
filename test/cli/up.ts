import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { AgentSettings } from '../../src/contract/agents-config.ts'
import { share } from '../../src/core/supervise.ts'
import { findMarked } from '../../src/process/index.ts'
import { makeYard, type Running, until, type Yard } from '../orchestrator/support.ts'
import { type TestDatabase, testDatabase } from '../support/database.ts'
import type { Fault, Scenario, Turn } from '../support/stub-model/scenario.ts'
import { type StubModel, startStubModel } from '../support/stub-model/server.ts'
import { programOf } from './support.ts'

/** What differs from program to program when `swarm up` runs it. */
export interface UpProgram {
  readonly name: string
  /** Settings of a role that lead the program to the stub, with a made-up key. Files that it wants go into `dir`. */
  settings(stub: StubModel, argv: readonly string[], dir: string): AgentSettings
  /** How the model's service says that the quota is used up until then, Unix ms; and the settings that make the program hear it so. */
  readonly quota: {
    fault(until: number, ms: number): Fault
    readonly changes?: (settings: AgentSettings) => AgentSettings
    /** Ms until the reset: longer than what it waits for itself. */
    readonly holdsMs?: number
    /** It is told how long to wait, not until when. */
    readonly isRelative?: boolean
    /** False: the program does not tell until when. */
    readonly tellsUntil: boolean
  }
  /** What it tries again after by itself. */
  readonly overload: Fault
  readonly unauthorized: Fault
  /** How it comes to ask a person; by default it wants to be allowed to run the command that it calls. */
  readonly question?: {
    readonly turn: Turn
    readonly text: string
    readonly answer: string
    readonly changes?: (settings: AgentSettings) => AgentSettings
  }
  /** Its name for the tool that runs commands, for the rules of the role. */
  readonly shellTool: string
  /** False: it cannot go on with an earlier session, and begins anew. */
  readonly resumes: boolean
}

interface Session {
  readonly session_id: string
  readonly bead_id: string
  readonly attempt: number
  readonly status: string
  readonly reason: string | null
  readonly rule: string | null
  readonly evidence: string | null
  readonly native_id: string | null
  readonly marker: string | null
  readonly pid: number | null
  readonly open_tool: string | null
  readonly turns: number
}

/** Writes a file that is named after the bead and commits it: what every tool shell can do that has the session's environment. */
const COMMIT = `echo done >> "$SWARM_BEAD_ID.txt" && git add . && git commit -q -m "Work on $SWARM_BEAD_ID"`
const WORKS: readonly Turn[] = [{ say: 'I do it.', shell: COMMIT }, { say: 'It is done.' }]
/** Runs until it is ended, with a child in the background. */
const SLEEPS: Scenario = {
  turns: [
    { say: 'This takes long.', shell: 'sleep 301 & sleep 302; echo late > late.txt' },
    { say: 'Over.' },
  ],
}
/** Wants a file of a bead on the tree, and nothing of a tool that was ended. */
const GATE = ['sh', '-c', 'ls b*.txt && ! test -e late.txt']
/** Short, so that silence is seen in seconds. */
const STUCK = 'stuck = { no_output_ms = 12000, no_tool_ms = 12000, steer_ms = 2000 }'

class UpBench {
  readonly dir = mkdtempSync(join(tmpdir(), 'swarm-up-cli-'))
  readonly tmp = join(this.dir, 'tmp')
  readonly yard: Yard
  readonly database: TestDatabase
  readonly #running: Running[] = []

  constructor(yard: Yard, database: TestDatabase) {
    this.yard = yard
    this.database = database
    for (const name of ['tmp', 'home']) mkdirSync(join(this.dir, name))
  }

  /** The configuration of a role `implementer` with these settings. */
  configure(settings: AgentSettings, orchestrator = ''): void {
    const { env = {}, permissions, ...rest } = settings
    const keys = Object.entries(rest).map(([key, value]) => `${key} = ${JSON.stringify(value)}`)
    const table = (values: object) =>
      `{ ${Object.entries(values)
        .map(([key, value]) => `${key} = ${JSON.stringify(value)}`)
        .join(', ')} }`
    writeFileSync(
      join(this.yard.scratch.root, '.swarm', 'config.toml'),
      [
        `repo = ${JSON.stringify(this.yard.repo)}`,
        '[[workflows.default.stages]]',
        'name = "implement"',
        'roles = ["implementer"]',
        `gate = ${JSON.stringify(GATE)}`,
        'timeout_ms = 20000',
        '[landing]',
        'target = "main"',
        'remote = "origin"',
        '[orchestrator]',
        'tick_ms = 1000',
        orchestrator,
        '[agents.default]',
        'adapter = "demo"',
        '[agents.implementer]',
        ...keys,
        `env = ${table(env)}`,
        ...(permissions ? [`permissions = ${table(permissions)}`] : []),
      ].join('\n'),
    )
  }

  async enqueue(...ids: readonly string[]): Promise<void> {
    const beads = ids.map((bead_id) => ({ bead_id, title: `Write ${bead_id}.txt` }))
    await this.yard.ask('enqueue', '--json', JSON.stringify({ beads }))
  }

  up(...args: readonly string[]): Running {
    const more = args.length > 0 ? args : ['--agents', 'implementer=1']
    const running = this.yard.start('up', ...more)
    this.#running.push(running)
    return running
  }

  sessions(): Promise<readonly Session[]> {
    return this.database.sql<
      Session[]
    >`select session_id, bead_id, attempt, status, reason, rule, evidence, native_id, marker, pid, open_tool, turns
      from swarm.agent_sessions where repo_id = ${this.yard.repo} order by queued_at`
  }

  /** The first session that fits, as soon as there is one; throws with all that are there when `up` ends before. */
  async session(fits: (one: Session) => boolean, running?: Running): Promise<Session> {
    let over: Awaited<Running['ended']> | undefined
    running?.ended.then((end) => {
      over = end
    })
    for (;;) {
      const wasOver = over
      const all = await this.sessions()
      const found = all.find(fits)
      if (found) return found
      if (wasOver)
        throw new Error(`no such session in ${JSON.stringify(all)}; ${wasOver.stdout} ${wasOver.stderr}`)
      await new Promise((done) => setTimeout(done, 100))
    }
  }

  async bead(
    id: string,
  ): Promise<{ status: string; attempt: number; retry_count: number; commit_hash: string | null }> {
    const [row] = await this.database.sql<
      { status: string; attempt: number; retry_count: number; commit_hash: string | null }[]
    >`
      select status, attempt, retry_count, commit_hash from swarm.bead_backlog where repo_id = ${this.yard.repo} and bead_id = ${id}`
    if (!row) throw new Error(`there is no bead ${id}`)
    return row
  }

  /** Waits for the end of `up`, and holds what it says against the database, both repositories, processes and directories. */
  async expectLanded(running: Running, ...ids: readonly string[]): Promise<void> {
    const { code, stdout, stderr } = await running.ended
    const told = `${stdout}\n${stderr}\n${JSON.stringify(await this.sessions())}`
    expect(code, told).toBe(0)
    const answer = JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}')
    expect(answer.d, told).toMatchObject({ status: 'completed', landed: ids.length })
    const { git, remote } = this.yard.scratch
    expect(git(['rev-parse', 'main'])).toBe(git(['rev-parse', 'main'], remote))
    const files = git(['ls-tree', '--name-only', 'main'], remote).split('\n')
    expect(files).toEqual(expect.arrayContaining(ids.map((id) => `${id}.txt`)))
    for (const id of ids) {
      const { status, commit_hash } = await this.bead(id)
      expect(status).toBe('completed')
      git(['merge-base', '--is-ancestor', commit_hash ?? '', 'main'])
    }
    await this.expectNothingLeft()
    expect(await this.yard.leftovers()).toEqual([])
  }

  /** No process of any session, and none of their directories. */
  async expectNothingLeft(): Promise<void> {
    for (const { marker } of await this.sessions())
      if (marker !== null) expect(findMarked(marker)).toEqual([])
    expect(readdirSync(this.tmp).filter((name) => name.startsWith('swarm-s-'))).toEqual([])
  }

  async remove(): Promise<void> {
    for (const { child } of this.#running) if (child.exitCode === null) child.kill('SIGKILL')
    for (const { marker } of await this.sessions())
      for (const { pid } of (marker === null ? undefined : findMarked(marker)) ?? [])
        try {
          process.kill(pid, 'SIGKILL')
        } catch {
          // it has gone by itself
        }
    this.yard.scratch.remove()
    rmSync(this.dir, { recursive: true, force: true })
  }
}

/** Puts one real program through everything that `swarm up` has to live with; says why when it cannot. */
export async function describeUp(program: UpProgram): Promise<void> {
  const { argv, missing } = programOf(program.name)
  if (missing !== undefined) {
    describe.skip(`${program.name} through swarm up (not run: ${missing})`, () => {
      it('lands a bead', () => {})
    })
    return
  }
  const database = await testDatabase()
  describe(`${program.name} through swarm up`, () => {
    let stub: StubModel
    const benches: UpBench[] = []
    beforeAll(async () => {
      stub = await startStubModel({ turns: WORKS })
    })
    afterAll(() => stub.close())
    afterEach(async () => {
      for (const one of benches.splice(0)) await one.remove()
    })

    /** A yard of its own for each test, whose `up` has nothing of the operator's environment but PATH. */
    const bench = async (repo: string, scenario: Scenario) => {
      stub.play(scenario)
      const yard = await makeYard(database, { repo, oneStage: true, gate: GATE })
      const one = new UpBench(yard, database)
      Object.assign(yard.env, { HOME: join(one.dir, 'home'), TMPDIR: one.tmp })
      benches.push(one)
      return one
    }
    const settings = (one: UpBench) => program.settings(stub, argv, one.dir)
    const heard = () => JSON.stringify(stub.seen.at(-1)?.body)

    it('lands beads, two at once', async () => {
      const one = await bench('lands', { turns: WORKS })
      one.configure(settings(one))
      await one.enqueue('b1', 'b2', 'b3')
      await one.expectLanded(one.up('--agents', 'implementer=2'), 'b1', 'b2', 'b3')
      for (const session of await one.sessions())
        expect(session).toMatchObject({ reason: 'completed', attempt: 1, native_id: expect.any(String) })
      const [spent] = await database.sql<{ output: string }[]>`
        select sum(output) as output from swarm.usage_ledger where repo_id = 'lands'`
      expect(Number(spent?.output)).toBeGreaterThan(0)
    })

    it('a used-up quota holds the bead until its reset and charges no attempt', async () => {
      const { fault, changes = (same) => same, tellsUntil, holdsMs = 20_000 } = program.quota
      let until = Date.now() + holdsMs
      const one = await bench('quota', { turns: WORKS, faults: [{ ...fault(until, holdsMs), times: 40 }] })
      const role = changes(settings(one))
      one.configure({ ...role, account: earlyLabel(role.adapter) })
      await one.enqueue('b1')
      const running = one.up()
      const held = await one.session(({ reason }) => reason !== null, running)
      expect(held).toMatchObject({ reason: 'quota', attempt: 1 })
      expect(await one.bead('b1')).toMatchObject({ status: 'pending', attempt: 1, retry_count: 0 })
      expect(await one.yard.ask('explain', 'b1')).toMatchObject({
        why: 'quota',
        waits_for: expect.stringContaining('no quota until'),
      })
      if (tellsUntil) {
        const [window] = await database.sql<{ until_at: Date }[]>`
          select until_at from swarm.quota_windows where repo_id = 'quota' and kind = 'limit'`
        const told = window?.until_at.getTime() ?? 0
        // one that is told how long to wait has asked some time after the beginning
        if (program.quota.isRelative) until = Math.min(told, Date.now() + holdsMs)
        expect(Math.abs(told - until)).toBeLessThan(2_000)
      } else {
        // what a person would do who has got more quota
        await database.sql`update swarm.quota_windows set until_at = clock_timestamp() + interval '1 second' where repo_id = 'quota'`
      }
      // the service serves again
      stub.play({ turns: WORKS })
      await one.expectLanded(running, 'b1')
      const all = await one.sessions()
      expect(all.map(({ reason }) => reason)).toEqual(['quota', 'completed'])
      expect(all.map(({ attempt }) => attempt)).toEqual([1, 1])
      if (program.resumes) expect(all[1]?.native_id).toBe(all[0]?.native_id)
      if (tellsUntil) {
        const [late] = await database.sql<{ early: boolean }[]>`
          select started_at < to_timestamp(${until / 1_000 - 1}) as early from swarm.agent_sessions where session_id = ${all[1]?.session_id ?? ''}`
        expect(late?.early).toBe(false)
      }
    })

    it('an overloaded service is waited for, and slows admission down', async () => {
      const one = await bench('overload', { turns: WORKS, faults: [{ ...program.overload, times: 1 }] })
      one.configure(settings(one))
      await one.enqueue('b1')
      await one.expectLanded(one.up(), 'b1')
      expect((await one.sessions()).map(({ reason }) => reason)).toEqual(['completed'])
    })

    it('a key that is not taken is said at once, and nothing is tried again', async () => {
      const one = await bench('auth', { turns: WORKS, faults: [{ ...program.unauthorized, times: 100 }] })
      one.configure(settings(one))
      await one.enqueue('b1', 'b2')
      const running = one.up('--agents', 'implementer=2', '--target', '2')
      const seen = await one.session(({ reason }) => reason !== null, running)
      expect(seen).toMatchObject({ reason: 'not_started:not_logged_in', attempt: 1 })
      // the run pauses for it, so that a person hears of it
      const run = async () => {
        const [row] = await database.sql<{ status: string; pause_reason: string | null }[]>`
          select status, pause_reason from swarm.swarm_runs where repo_id = 'auth'`
        return row
      }
      await until(async () => (await run())?.status === 'paused')
      expect((await run())?.pause_reason).toContain('is not logged in')
      const before = await one.sessions()
      expect(before.map(({ status, reason }) => `${status} ${reason}`)).toEqual(
        before.map(() => 'ended not_started:not_logged_in'),
      )
      expect(await one.yard.ask('explain', 'b1')).toMatchObject({
        waits_for: expect.stringContaining('is not logged in'),
      })
      expect(await one.bead('b1')).toMatchObject({ status: 'pending', attempt: 1, retry_count: 0 })
      // several looks of the leader later it is still so
      await new Promise((done) => setTimeout(done, 3_000))
      expect(await one.sessions()).toHaveLength(before.length)
      await one.yard.ask('down', '--now')
      expect(JSON.parse((await running.ended).stdout).d).toMatchObject({ status: 'stopped', landed: 0 })
      await one.expectNothingLeft()
    })

    it('a model that never answers is ended by rule, and the next attempt lands', async () => {
      const one = await bench('hang', { turns: WORKS, faults: [{ hang: true, times: 1 }] })
      one.configure(settings(one), STUCK)
      await one.enqueue('b1')
      const running = one.up()
      const hung = await one.session(({ reason }) => reason !== null, running)
      expect(hung).toMatchObject({
        reason: 'stuck:no_output',
        rule: 'no_output',
        evidence: expect.stringContaining('nothing was said for'),
      })
      await one.expectLanded(running, 'b1')
      const all = await one.sessions()
      // on a busy machine a program that is slow to start is silent as well
      expect(all.at(-1)).toMatchObject({ reason: 'completed', attempt: all.length })
      for (const { reason } of all.slice(0, -1)) expect(reason).toBe('stuck:no_output')
    })

    it('a question waits for a person, whose answer it goes on with', async () => {
      const { turn, text, answer, changes } = program.question ?? {
        turn: { say: 'May I?', shell: COMMIT },
        text: 'May it use',
        answer: 'allow',
        changes: (same: AgentSettings) => ({ ...same, permissions: { mode: 'ask' as const } }),
      }
      const one = await bench('question', { turns: [turn, ...(program.question ? WORKS : WORKS.slice(1))] })
      one.configure((changes ?? ((same) => same))(settings(one)), STUCK)
      await one.enqueue('b1')
      const running = one.up()
      const asking = await one.session(({ status }) => status === 'asking', running)
      const { questions } = await one.yard.ask<{
        questions: readonly { question_id: string; question: string; bead_id: string }[]
      }>('questions')
      expect(questions).toEqual([
        expect.objectContaining({
          bead_id: 'b1',
          session_id: asking.session_id,
          question: expect.stringContaining(text),
        }),
      ])
      // no rule of silence ends what waits for a person
      await new Promise((done) => setTimeout(done, 14_000))
      expect(await one.sessions()).toMatchObject([{ status: 'asking', reason: null }])
      await one.yard.ask('answer', questions[0]?.question_id ?? '', answer)
      await one.expectLanded(running, 'b1')
      expect(await one.sessions()).toMatchObject([{ reason: 'completed', attempt: 1 }])
      if (program.question) expect(heard()).toContain(answer)
    })

    it('a tool that the rules deny is not run, and the bead says so', async () => {
      const one = await bench('denied', { turns: WORKS })
      one.configure({ ...settings(one), permissions: { deny: [program.shellTool] } }, 'attempts_per_bead = 1')
      await one.enqueue('b1')
      const running = one.up()
      const { stdout } = await running.ended
      expect(JSON.parse(stdout).d).toMatchObject({ status: 'completed', landed: 0 })
      const all = await one.sessions()
      for (const session of all)
        expect(session).toMatchObject({
          reason: 'failed',
          evidence: expect.stringContaining(`denied: ${program.shellTool}`),
        })
      expect(await one.yard.ask('explain', 'b1')).toMatchObject({
        status: 'blocked',
        waits_for: expect.stringContaining('denied'),
      })
      expect(one.yard.scratch.git(['ls-tree', '--name-only', 'main'])).not.toContain('b1.txt')
      await one.expectNothingLeft()
    })

    it('killed in the middle of a tool it leaves nothing running, and the next attempt lands', async () => {
      const one = await bench('killed', SLEEPS)
      one.configure(settings(one))
      await one.enqueue('b1')
      const running = one.up()
      const marker = await sleeping(one, running)
      stub.play({ turns: WORKS })
      process.kill((await one.session(({ pid }) => pid !== null)).pid ?? 0, 'SIGKILL')
      const killed = await one.session(({ reason }) => reason !== null, running)
      expect(killed.reason).toBe('crashed')
      expect(findMarked(marker)).toEqual([])
      await one.expectLanded(running, 'b1')
      const all = await one.sessions()
      expect(all.map(({ reason, attempt }) => `${reason} ${attempt}`)).toEqual(['crashed 1', 'completed 2'])
      if (program.resumes) {
        expect(all[1]?.native_id).toBe(all[0]?.native_id)
        expect(heard()).toContain('This takes long.')
      }
    })

    it('goes on after swarm up itself was killed in the middle of a tool', async () => {
      const one = await bench('resumed', SLEEPS)
      one.configure(settings(one))
      await one.enqueue('b1')
      const first = one.up()
      const marker = await sleeping(one, first)
      // its id is in the database before anything is killed
      await one.session(({ native_id }) => native_id !== null, first)
      const [run] = await database.sql<
        { run_id: string }[]
      >`select run_id from swarm.swarm_runs where repo_id = 'resumed'`
      first.child.kill('SIGKILL')
      await first.ended
      // some end their tools when nobody listens any more, others leave everything running
      stub.play({ turns: WORKS })
      const second = one.up('--resume', run?.run_id ?? '')
      const lost = await one.session(({ reason }) => reason !== null, second)
      expect(lost).toMatchObject({ reason: 'host_lost' })
      expect(findMarked(marker)).toEqual([])
      await one.expectLanded(second, 'b1')
      const all = await one.sessions()
      expect(all.map(({ reason, attempt }) => `${reason} ${attempt}`)).toEqual(['host_lost 1', 'completed 1'])
      if (program.resumes) {
        expect(all[1]?.native_id).toBe(all[0]?.native_id)
        expect(heard()).toContain('This takes long.')
      }
    })
  })
}

/** Waits until the tool of the session runs its child, and answers the marker of them all. */
async function sleeping(one: UpBench, running: Running): Promise<string> {
  const { marker } = await one.session(
    (session) =>
      session.marker !== null && (findMarked(session.marker) ?? []).some(({ name }) => name === 'sleep'),
    running,
  )
  return marker ?? ''
}

/** A label of an account whose sessions come back soon after a reset: they are spread by its name over half a minute. */
function earlyLabel(adapter: string): string {
  for (let at = 0; ; at++) if (share(`${adapter}/early${at}`) < 0.02) return `early${at}`
}
