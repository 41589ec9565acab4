import type postgres from 'postgres'
import { pauseOrAbort } from '../../src/contract/pause.ts'
import { withDescendants } from '../../src/process/marker.ts'
import { listProcesses } from '../../src/process/proc.ts'
import type { Running, Yard } from '../orchestrator/support.ts'
import { until } from '../orchestrator/support.ts'
import { parentOf } from './halts.ts'

/** What happened, as the log has it. */
interface Told {
  readonly seq: string
  readonly event_type: string
}

/** Events by which a leader shows that it decides. */
const DECISIONS = ['session_assigned', 'session_ending', 'landing_landed', 'landing_ejected', 'wave_started']

const OPEN_BEADS = 6
const FEED_MS = 300

/** Processes of `swarm up` on one run, one of which leads, and beads for them. */
export class Crew {
  readonly yard: Yard
  readonly sql: postgres.Sql
  readonly ups = new Set<Running>()
  /** Those that ended by themselves, with what they said. */
  readonly ended: { readonly code: number | null; readonly stdout: string; readonly stderr: string }[] = []
  run = ''
  readonly #fed = new AbortController()
  #beads = 0

  constructor(yard: Yard, sql: postgres.Sql) {
    this.yard = yard
    this.sql = sql
  }

  /** Starts the run, and a process that stands by. Beads come in until `enough`. */
  async start(agents: string): Promise<void> {
    await this.#feed()
    this.#start('--agents', agents)
    await until(async () => {
      const rows = await this.sql<
        { run_id: string }[]
      >`select run_id from swarm.swarm_runs where repo_id = ${this.yard.repo}`
      this.run = rows[0]?.run_id ?? ''
      return this.run !== ''
    })
    this.join()
    const over = this.#fed.signal
    void (async () => {
      // while the database is away nobody wants more
      for (; !over.aborted; await pauseOrAbort(FEED_MS, over)) await this.#feed().catch(() => {})
    })()
  }

  /** No more beads come in: the run ends when all have landed. */
  enough(): void {
    this.#fed.abort()
  }

  /** Another process that stands by. */
  join(): void {
    this.#start('--resume', this.run)
  }

  #start(...args: readonly string[]): void {
    const up = this.yard.start('up', ...args)
    this.ups.add(up)
    void up.ended.then((end) => {
      if (this.ups.delete(up)) this.ended.push(end)
    })
  }

  /** Sends SIGKILL, and resolves when the process has gone. */
  async kill(up: Running): Promise<void> {
    this.ups.delete(up)
    up.child.kill('SIGKILL')
    await up.ended
  }

  /** The one whose term it is; undefined while nobody leads. */
  async leader(): Promise<Running | undefined> {
    const rows = await this.sql<{ pid: number }[]>`
      select split_part(h.process, '.', 2)::int as pid from swarm.leadership l
      join swarm.hosts h on h.repo_id = l.repo_id and right(h.host_id, 8) = left(l.holder, 8)
      where l.repo_id = ${this.yard.repo} and l.holder <> ''`
    return [...this.ups].find(({ child }) => child.pid === rows[0]?.pid)
  }

  /** The one that a process descends from. */
  above(pid: number): Running | undefined {
    for (let one: number | undefined = pid; one !== undefined && one > 1; one = parentOf(one))
      for (const up of this.ups) if (up.child.pid === one) return up
    return undefined
  }

  /** Processes that descend from one. */
  below(pid: number): readonly { readonly pid: number; readonly name: string }[] {
    const all = listProcesses()
    const found = withDescendants(all, new Set([pid]))
    return all.filter((one) => one.pid !== pid && found.has(one.pid))
  }

  /** Adds beads to the run until so many are open that it does not end for want of them. */
  async #feed(): Promise<void> {
    const { repo } = this.yard
    const [row] = await this.sql<{ n: number }[]>`
      select count(*)::int as n from swarm.bead_backlog where repo_id = ${repo} and status in ('pending', 'in_progress')`
    const missing = OPEN_BEADS - (row?.n ?? 0)
    if (missing <= 0) return
    const beads = Array.from({ length: missing }, () => {
      this.#beads += 1
      return { bead_id: `b${this.#beads}`, title: `Bead ${this.#beads}` }
    })
    await this.sql.begin(async (sql) => {
      await sql`select swarm.run(${repo}, 'enqueue', ${JSON.stringify({ beads })}::text::jsonb, '{}', ${`beads/${this.#beads}`})`
      if (this.run !== '')
        await sql`update swarm.bead_backlog set run_id = ${this.run} where repo_id = ${repo} and run_id is null`
    })
  }

  /** The place in the log. */
  async place(): Promise<string> {
    const [row] = await this.sql<
      { seq: string }[]
    >`select coalesce(max(seq), 0)::text as seq from swarm.execution_events`
    return row?.seq ?? '0'
  }

  /** The first event after a place of one of these types. */
  async after(place: string, types: readonly string[]): Promise<Told | undefined> {
    const rows = await this.sql<Told[]>`
      select seq::text, event_type from swarm.execution_events
      where repo_id = ${this.yard.repo} and seq > ${place}::bigint and event_type = any(${[...types]}) order by seq limit 1`
    return rows[0]
  }

  decision(place: string): Promise<Told | undefined> {
    return this.after(place, DECISIONS)
  }

  landing(place: string): Promise<Told | undefined> {
    return this.after(place, ['landing_landed'])
  }

  async isPaused(): Promise<string | undefined> {
    const [row] = await this.sql<{ status: string; pause_reason: string | null }[]>`
      select status, pause_reason from swarm.swarm_runs where repo_id = ${this.yard.repo} and run_id = ${this.run}`
    return row?.status === 'paused' ? (row.pause_reason ?? '') : undefined
  }

  /** How it stands, for whoever has to find out why nothing goes on. Ends everything. */
  async lookBack(): Promise<string> {
    const { repo } = this.yard
    const leader = (await this.leader())?.child.pid
    const rows = [
      await this.sql`select run_id, status, pause_reason from swarm.swarm_runs where repo_id = ${repo}`,
      await this.sql`select holder, term, beat, expires_at from swarm.leadership where repo_id = ${repo}`,
      await this
        .sql`select status, stage, count(*)::int from swarm.bead_backlog where repo_id = ${repo} group by 1, 2`,
      await this
        .sql`select id, bead_id, status, base, head, tree, tries, at from swarm.landings where repo_id = ${repo} and status <> 'landed'`,
      await this
        .sql`select session_id, host_id, status, bead_id, stage from swarm.agent_sessions where repo_id = ${repo} and ended_at is null`,
      await this
        .sql`select created_at, event_type, bead_id, left(payload::text, 150) as payload from swarm.execution_events
        where repo_id = ${repo} order by seq desc limit 15`,
      await this
        .sql`select pid, state, wait_event, left(query, 100) as query from pg_stat_activity where datname = current_database() and state <> 'idle'`,
    ]
    const ups = [...this.ups]
    await this.killAll()
    const said = await Promise.all(
      ups.map(async ({ child, ended }) => `${child.pid}: ${(await ended).stderr.slice(-2_000)}`),
    )
    return [`leader: ${leader}`, ...rows.map((some) => JSON.stringify([...some], null, 1)), ...said].join(
      '\n',
    )
  }

  /** Resolves when all of them have ended by themselves. */
  async over(): Promise<void> {
    await Promise.all([...this.ups].map(({ ended }) => ended))
  }

  async killAll(): Promise<void> {
    this.enough()
    for (const up of [...this.ups]) await this.kill(up)
  }
}
