import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeEach, expect } from 'vitest'
import type { Envelope } from '../../src/contract/envelope.ts'
import type { JsonObject } from '../../src/contract/json.ts'
import { testDatabase } from '../support/database.ts'
import { gatesOf, storeGate } from '../support/gates.ts'
import { lives } from '../support/processes.ts'
import { BIN, cleanEnv, openPipe, type Pipe, parseLines, runSwarm } from '../support/swarm.ts'

/** A one-shot `swarm` that is still running. */
export interface Running {
  readonly child: ChildProcessWithoutNullStreams
  stdout(): string
  stderr(): string
  /** Its end: exit code or signal, and its envelopes. */
  readonly ended: Promise<{
    readonly code: number | null
    readonly signal: NodeJS.Signals | null
    readonly envelopes: readonly Envelope[]
  }>
}

/** A repo of its own for each test, with agents 1 and 2 and the bead `api`. */
export async function workbench() {
  const { sql, url } = await testDatabase()
  const dir = mkdtempSync(join(tmpdir(), 'swarm-work-'))
  const setGateOf = gatesOf(sql, dir)
  const pipes: Pipe[] = []
  const started: Running[] = []
  const stubborn: number[] = []
  let repos = 0
  let repo = ''

  const env = (extra: Record<string, string | undefined> = {}) => ({
    DATABASE_URL: url,
    SWARM_REPO: repo,
    ...extra,
  })

  const bench = {
    sql,
    url,
    dir,
    env,
    repo: () => repo,
    fixture: (name: string) => join(__dirname, '..', 'fixtures', 'bin', name),
    /** A path that no other test uses. */
    path: (name: string) => join(dir, `${repo}-${name}`),

    pipe(): Pipe {
      const opened = openPipe(env(), dir)
      pipes.push(opened)
      return opened
    },

    /** A one-shot `swarm` in the background. */
    start(args: readonly string[], extra: Record<string, string | undefined> = {}): Running {
      const child = spawn(process.execPath, [BIN, ...args], { env: cleanEnv(env(extra)), cwd: dir })
      child.stdin.end()
      let out = ''
      let err = ''
      child.stdout.on('data', (chunk: Buffer) => {
        out += chunk.toString('utf8')
      })
      child.stderr.on('data', (chunk: Buffer) => {
        err += chunk.toString('utf8')
      })
      const ended = once(child, 'close').then(([code, signal]: unknown[]) => ({
        code: typeof code === 'number' ? code : null,
        // what node names a signal is one
        signal: typeof signal === 'string' ? (signal as NodeJS.Signals) : null,
        envelopes: parseLines(out),
      }))
      const running = { child, ended, stdout: () => out, stderr: () => err }
      started.push(running)
      return running
    },

    /** The processes of the fixture `stubborn`, which it writes; killed at the end in any case. */
    async stubbornPids(running: Running): Promise<readonly number[]> {
      await expect.poll(() => running.stderr()).toMatch(/^\d+ \d+\n$/)
      const pids = running.stderr().trim().split(' ').map(Number)
      stubborn.push(...pids)
      return pids
    },

    /** `swarm work` to its end; the last envelope. */
    async work(
      args: readonly string[],
      command: readonly string[],
      extra: Record<string, string | undefined> = {},
    ): Promise<{
      readonly code: number | null
      readonly stderr: string
      readonly envelopes: readonly Envelope[]
      readonly last: Envelope
    }> {
      const { code, stderr, envelopes } = await runSwarm(
        ['work', '--agent-id', '1', ...args, '--', ...command],
        { env: env(extra), cwd: dir },
      )
      const last = envelopes.at(-1)
      if (!last) throw new Error(`swarm work answered nothing: ${stderr}`)
      return { code, stderr, envelopes, last }
    },

    async oneShot(request: JsonObject): Promise<Envelope> {
      const { cmd, ...rest } = request
      const { envelopes } = await runSwarm([String(cmd), '--json', JSON.stringify(rest)], {
        env: env(),
        cwd: dir,
      })
      const [envelope] = envelopes
      if (!envelope) throw new Error(`${cmd} answered nothing`)
      return envelope
    },

    /** `d` of a request that must succeed. */
    async ok<D = JsonObject>(request: JsonObject): Promise<D> {
      const envelope = await bench.oneShot(request)
      if (!envelope.ok) throw new Error(`${JSON.stringify(request)} answered ${JSON.stringify(envelope)}`)
      // the caller names the shape that the request under test answers
      return envelope.d as D
    },

    async bead(id = 'api') {
      const [row] = await sql`select status, stage, attempt, feedback, fence::integer, verification_status
        from swarm.bead_backlog where repo_id = ${repo} and bead_id = ${id}`
      return row
    },
    history: () =>
      sql`select stage, attempt_number as attempt, status, result, fence::integer from swarm.stage_history
        where repo_id = ${repo} order by id`,
    artifacts: () =>
      sql`select artifact_type, trust, content, metadata from swarm.stage_artifacts where repo_id = ${repo} order by id`,
    async claims() {
      return (
        await sql`select bead_id from swarm.bead_claims where repo_id = ${repo} and status = 'in_progress'`
      ).length
    },
    /** A gate of the root's own configuration, which the database knows. */
    setGate: (stage: string, gate: readonly string[]) => setGateOf(repo, stage, gate),
    /** A gate that the database alone says. */
    storeGate: (stage: string, gate: readonly string[] | null) => storeGate(sql, repo, stage, gate),
  }

  beforeEach(async () => {
    repo = `work-${++repos}`
    mkdirSync(dir, { recursive: true })
    rmSync(join(dir, '.swarm'), { recursive: true, force: true })
    await bench.ok({ cmd: 'register', count: 2 })
    await bench.ok({
      cmd: 'enqueue',
      beads: [{ bead_id: 'api', title: 'Write the API', description: 'all of it' }],
    })
  })
  afterAll(async () => {
    for (const { child } of started) child.kill('SIGKILL')
    for (const pid of stubborn.filter(lives)) process.kill(pid, 'SIGKILL')
    await Promise.all(pipes.map((opened) => opened.close()))
    rmSync(dir, { recursive: true, force: true })
  })
  return bench
}

/** The number that a command has written to a file as soon as it has. */
export async function pidIn(file: string): Promise<number> {
  for (;;) {
    try {
      const pid = Number(readFileSync(file, 'utf8').trim())
      if (pid > 0) return pid
    } catch {}
    await delay(20)
  }
}

/** Resolves when the process is gone; fails after `ms`. */
export async function isGone(pid: number, ms: number): Promise<void> {
  await expect.poll(() => lives(pid), { timeout: ms, interval: 20 }).toBe(false)
}
