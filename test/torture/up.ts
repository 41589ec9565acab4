import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type postgres from 'postgres'
import { findMarked } from '../../src/process/index.ts'
import { makeYard, type Running, type Yard } from '../orchestrator/support.ts'
import { pick, seeded } from '../support/random.ts'
import { type ScratchServer, scratchServer } from '../support/scratch-server.ts'
import { makeTemplate, plainClient, withDatabase } from '../support/template.ts'
import { Crew } from './crew.ts'
import { withAdmin } from './faults.ts'
import { wrongWith } from './landed.ts'

export const UP_FAULTS = [
  'agent killed',
  'worker killed',
  'worker frozen',
  'stand-by killed',
  'leader killed',
  'leader frozen',
  'git of the leader killed',
  'backend terminated',
  'server restarted',
  'server crashed',
] as const
export type UpFault = (typeof UP_FAULTS)[number]

/** Ms from the beginning of a fault to the next decision of a leader (after one of the leader: of another one) and to the next landing. */
export interface Recovery {
  readonly decision: number
  readonly landing: number
}

export interface UpReport {
  readonly landed: number
  readonly sessions: number
  readonly recoveries: ReadonlyMap<UpFault, readonly Recovery[]>
  /** Drawn when there was nobody to do it to. */
  readonly missed: number
  /** Everything that is wrong at the end; see `wrongWith`. */
  readonly wrong: readonly string[]
  /** What the processes that ended by themselves answered, when it was no success. */
  readonly complaints: readonly string[]
  /** How long after the last fault the run was over, in ms. */
  readonly overMs: number
}

/** Longer than a leader's lease. */
const FREEZE_MS = 7_000
/** No fault explains a longer time without a landing. */
const STALL_MS = 90_000

export interface UpOptions {
  /** Faults are drawn for so long; without it each of `faults` comes once. */
  readonly seconds?: number | undefined
  readonly seed: number
  readonly faults?: readonly UpFault[]
  readonly note?: (line: string) => void
}

/**
 * A run of demo agents in two processes of `up` and one worker, on a server of its own, while one after the other of all that is killed or
 * frozen. Beads come in all the while; then the run must end by itself.
 */
export async function tortureUp(options: UpOptions): Promise<UpReport> {
  const { seconds, seed, faults = UP_FAULTS, note = () => {} } = options
  const random = seeded(seed)
  const server = await scratchServer({ settings: { max_connections: '200' } })
  await makeTemplate(server.url)
  const url = withDatabase(server.url, 'swarm_test_template')
  const sql = plainClient(url, 3, 'torture harness')
  const tmp = mkdtempSync(join(tmpdir(), 'swarm-chaos-'))
  const yard = await makeYard(
    { name: 'swarm_test_template', url, sql },
    {
      repo: 'chaos',
      env: { TMPDIR: tmp },
      script: { pace_ms: 300 },
    },
  )
  // what the branch of the remote has been, for the check
  yard.scratch.git(['config', 'core.logAllRefUpdates', 'always'], yard.scratch.remote)
  const world = new World(yard, sql, server, random)
  try {
    await world.start()
    const recoveries = new Map<UpFault, Recovery[]>()
    let missed = 0
    let deck = [...faults]
    const until = performance.now() + (seconds ?? 0) * 1_000
    while (seconds === undefined ? deck.length > 0 : performance.now() < until) {
      await delay(300 + random() * 1_500)
      if (deck.length === 0) deck = [...faults]
      const name = pick(deck, random)
      deck = deck.filter((other) => other !== name)
      const recovery = await world.inflict(name).catch((error: unknown) => {
        throw new Error(`after ${name}: ${error instanceof Error ? error.message : error}`)
      })
      if (!recovery) missed += 1
      else recoveries.set(name, [...(recoveries.get(name) ?? []), recovery])
      note(
        `${name}: ${recovery ? `next decision ${recovery.decision} ms, landing ${recovery.landing} ms` : 'nobody there'}`,
      )
    }
    const last = performance.now()
    const complaints = await world.finish()
    const overMs = Math.round(performance.now() - last)
    const [counts] = await sql<{ landed: number; sessions: number }[]>`
      select (select count(*)::int from swarm.bead_backlog where status = 'completed') as landed,
        (select count(*)::int from swarm.agent_sessions where started_at is not null) as sessions`
    const wrong = await wrongWith(yard, sql, tmp)
    return { landed: 0, sessions: 0, ...counts, recoveries, missed, wrong, complaints, overMs }
  } finally {
    await world.close()
    await sql.end({ timeout: 1 })
    await server.close()
    yard.scratch.remove()
    rmSync(tmp, { recursive: true, force: true })
  }
}

class World {
  readonly crew: Crew
  readonly #yard: Yard
  readonly #sql: postgres.Sql
  readonly #server: ScratchServer
  readonly #random: () => number
  #worker: Running | undefined
  #agentAt = Number.NEGATIVE_INFINITY

  constructor(yard: Yard, sql: postgres.Sql, server: ScratchServer, random: () => number) {
    this.#yard = yard
    this.#sql = sql
    this.#server = server
    this.#random = random
    this.crew = new Crew(yard, sql)
  }

  async start(): Promise<void> {
    await this.crew.start('implementer=3,reviewer=2')
    this.#startWorker()
  }

  #startWorker(): void {
    this.#worker = this.#yard.start('worker', '--capacity', 'implementer=2,reviewer=1')
  }

  /** Does the damage and repairs what a supervisor of processes would; resolves when things go on. Undefined: there was nobody. */
  async inflict(name: UpFault): Promise<Recovery | undefined> {
    const { crew } = this
    const place = await crew.place()
    const at = performance.now()
    const ofLeader = name === 'leader killed' || name === 'leader frozen'
    const repair = await this.#damage(name)
    if (!repair) return undefined
    const since = async () => (ofLeader ? (await crew.after(place, ['leader_changed']))?.seq : place)
    const decision = await this.#after(at, async () => {
      const from = await since()
      return from === undefined ? undefined : crew.decision(from)
    })
    const landing = await this.#after(at, async () => {
      return crew.landing((await since()) ?? place)
    })
    await repair()
    return { decision, landing }
  }

  /** Answers what is to be done when things go on again. */
  async #damage(name: UpFault): Promise<(() => Promise<void>) | undefined> {
    const { crew } = this
    const done = async () => {}
    const later = () => delay(300 + this.#random() * 700)
    const leader = await crew.leader()
    const standBys = [...crew.ups].filter((up) => up !== leader)
    switch (name) {
      case 'agent killed': {
        // more than five that crash in five minutes are a meltdown, which pauses the run for a person
        if (performance.now() - this.#agentAt < 75_000) return undefined
        const rows = await this.#sql<{ marker: string }[]>`
          select s.marker from swarm.agent_sessions s where s.ended_at is null and s.marker is not null and not exists
            (select from swarm.agent_sessions o where o.bead_id = s.bead_id and o.reason = 'crashed') order by s.queued_at`
        const found = rows.flatMap(({ marker }) => findMarked(marker) ?? [])
        if (found.length === 0) return undefined
        this.#agentAt = performance.now()
        end(pick(found, this.#random).pid)
        return done
      }
      case 'worker killed': {
        const worker = this.#worker
        worker?.child.kill('SIGKILL')
        await worker?.ended
        await later()
        this.#startWorker()
        return done
      }
      case 'worker frozen':
        return this.#freeze(this.#worker)
      case 'stand-by killed': {
        const up = standBys[0]
        if (!up) return undefined
        await crew.kill(up)
        await later()
        crew.join()
        return done
      }
      case 'leader killed':
        if (!leader) return undefined
        await crew.kill(leader)
        await later()
        crew.join()
        return done
      case 'leader frozen':
        return standBys.length === 0 ? undefined : this.#freeze(leader)
      case 'git of the leader killed': {
        const pid = leader?.child.pid
        if (pid === undefined) return undefined
        for (const until = performance.now() + 3_000; performance.now() < until; await delay(2)) {
          const git = crew.below(pid).find(({ name: program }) => program === 'git')
          if (git) {
            end(git.pid)
            return done
          }
        }
        return undefined
      }
      case 'backend terminated':
        await withAdmin(
          { ...this.#server, url: withDatabase(this.#server.url, 'swarm_test_template') },
          async (sql) => {
            const rows = await sql<{ pid: number }[]>`
            select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()
              and application_name <> 'torture harness'`
            const pids = rows.map(({ pid }) => pid).sort(() => this.#random() - 0.5)
            await sql`select pg_terminate_backend(pid) from unnest(${pids.slice(0, 3)}::int[]) pid`
          },
        )
        return done
      case 'server restarted':
        await this.#server.stop('SIGINT')
        await later()
        await this.#server.start()
        return done
      case 'server crashed':
        await this.#server.crash()
        await later()
        await this.#server.start()
        return done
    }
  }

  #freeze(one: Running | undefined): (() => Promise<void>) | undefined {
    if (!one) return undefined
    const frozen = delay(FREEZE_MS)
    one.child.kill('SIGSTOP')
    return async () => {
      await frozen
      one.child.kill('SIGCONT')
    }
  }

  /** Ms from `at` until something is there. */
  async #after(at: number, look: () => Promise<unknown>): Promise<number> {
    while ((await look().catch(() => undefined)) === undefined) {
      const paused = await this.crew.isPaused().catch(() => undefined)
      if (paused !== undefined) throw new Error(`the run is paused: ${paused}`)
      if (performance.now() - at > STALL_MS)
        throw new Error(`nothing goes on for ${STALL_MS} ms:\n${await this.crew.lookBack()}`)
      await delay(20)
    }
    return Math.round(performance.now() - at)
  }

  /** Resolves when the run is over and all processes have ended; answers what is wrong with how they did. */
  async finish(): Promise<string[]> {
    const { crew } = this
    const worker = this.#worker
    crew.enough()
    const isOver = await Promise.race([
      crew.over().then(() => true),
      delay(2 * STALL_MS, false, { ref: false }),
    ])
    if (!isOver) throw new Error(`the run does not end:\n${await crew.lookBack()}`)
    worker?.child.kill('SIGTERM')
    const ended = await worker?.ended
    this.#worker = undefined
    return [...crew.ended, ...(ended ? [ended] : [])]
      .filter(({ code }) => code !== 0)
      .map(({ code, stdout, stderr }) => `exit code ${code}: ${stdout.slice(-1_000)} ${stderr.slice(-1_000)}`)
  }

  async close(): Promise<void> {
    this.#worker?.child.kill('SIGKILL')
    await this.crew.killAll()
  }
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // it has gone meanwhile
  }
}
