import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { halfOpenProxy } from '../support/half-open.ts'
import { program } from '../support/program.ts'
import { seeded } from '../support/random.ts'
import { type ScratchServer, scratchServer } from '../support/scratch-server.ts'
import { makeTemplate, withDatabase } from '../support/template.ts'
import { type Committed, compare, type Findings, neverSent } from './check.ts'
import { deck, type FaultName, inject, withAdmin } from './faults.ts'
import { foreignTransaction } from './foreign.ts'
import { type NamedState, TortureReader } from './readers.ts'
import { TortureWriter } from './writers.ts'

export interface TortureOptions {
  readonly seconds: number
  readonly seed: number
  /** Keeps a transaction open throughout that has an id and writes elsewhere. */
  readonly foreign: boolean
  /** Mean pause of a writer between two transactions, in ms. */
  readonly pauseMs: number
  /** Only these faults; all of them by default. */
  readonly only?: readonly FaultName[]
}

export interface TortureReport extends Findings {
  readonly events: number
  readonly deliveries: number
  readonly faults: Readonly<Partial<Record<FaultName, number>>>
  /** Committed according to a writer and not in the table, or rolled back and in it. */
  readonly lost: readonly string[]
  /** What ended, or was refused, that no fault explains. */
  readonly complaints: readonly string[]
  /** Readers that had not come to the end of the log 30 s after the last fault. */
  readonly stuck: readonly string[]
  /** From the server being ready (or the fault, where it stayed) to the next event at each reader, in ms, by fault. */
  readonly resumedMs: Readonly<Partial<Record<FaultName, readonly number[]>>>
}

const REPO = 'torture'
const WRITER = join(__dirname, 'torture-writer.ts')
const RESUME_MS = 40_000
const END_MS = 60_000

/** Writers and readers, and everything else dies. Uses a server of its own. */
export async function tortureStreams(options: TortureOptions): Promise<TortureReport> {
  const { seconds, seed, pauseMs } = options
  const random = seeded(seed)
  // of their own, so that the same seed gives the same faults whatever else happens
  const chance = seeded(seed + 1)
  const server = await scratchServer({
    settings: {
      max_connections: '300',
      // what a writer that vanished leaves open ends soon, as on the embedded server, only sooner
      idle_in_transaction_session_timeout: '1s',
    },
  })
  const bundle = await program(WRITER)
  const proxy = await halfOpenProxy(server.port)
  const foreign = options.foreign ? foreignTransaction(server) : undefined
  try {
    await makeTemplate(server.url)
    const direct = { ...server, url: withDatabase(server.url, 'swarm_test_template') }
    const through = withDatabase(`postgres://postgres@127.0.0.1:${proxy.port}/x`, 'swarm_test_template')
    const writers = Array.from({ length: 8 }, (_, n) => {
      return new TortureWriter({
        name: `w${n}`,
        ...(n < 6 ? { program: bundle.file } : {}),
        // two of those who write plain SQL and one pipe may find themselves half-open
        url: n % 3 === 0 ? through : direct.url,
        repo: REPO,
        seed: seed * 100 + n,
        tells: n % 2 === 0,
        pauseMs,
        random,
      })
    })
    const shared: NamedState = { name: 'shared', acked: 0, shared: true }
    const common = { url: through, repo: REPO, random }
    const raw = [
      new TortureReader({ ...common, name: 'raw', kind: 'raw' }),
      new TortureReader({
        ...common,
        name: 'raw filtered',
        kind: 'raw',
        eventTypes: ['torture_b', 'torture_probe'],
      }),
    ]
    const named = [
      new TortureReader({ ...common, name: 'named', kind: 'named', cursor: { name: 'own', acked: 0 } }),
      new TortureReader({ ...common, name: 'shared 1', kind: 'named', cursor: shared }),
      new TortureReader({ ...common, name: 'shared 2', kind: 'named', cursor: shared }),
    ]
    // it would rightly lose what it was about to send if it were killed: so it is not
    const auto = new TortureReader({
      ...common,
      name: 'auto',
      kind: 'auto',
      cursor: { name: 'auto', acked: 0 },
    })
    const readers = [...raw, ...named, auto]
    await foreign?.open(direct.url)
    for (const one of [...readers, ...writers]) one.start()

    const faults: Partial<Record<FaultName, number>> = {}
    const resumedMs: Partial<Record<FaultName, number[]>> = {}
    const draw = deck(chance, options.only)
    const victims = {
      kill: [...raw, ...named].map((reader) => () => reader.kill()),
      freeze: named.map((reader) => (ms: number) => reader.freeze(ms)),
      killWriter: writers.map((writer) => () => writer.kill()),
    }
    const until = performance.now() + seconds * 1_000
    while (performance.now() < until) {
      await delay(200 + chance() * 800)
      const name = draw()
      const readyAt = await inject(name, { server: direct, proxy, random: chance, victims })
      faults[name] = (faults[name] ?? 0) + 1
      await foreign?.open(direct.url)
      const probe = await insertProbe(direct)
      const waits = [...raw, auto].map((reader) => reader.reached(probe, RESUME_MS))
      // one of the two that share a cursor has it
      waits.push(named[0]?.reached(probe, RESUME_MS) ?? Promise.resolve(true))
      const times = waits.map((wait) => wait.then(() => performance.now() - readyAt))
      resumedMs[name] = [...(resumedMs[name] ?? []), ...(await Promise.all(times))]
    }

    // else a write on a half-open connection would be waited for until its deadline
    proxy.release()
    await Promise.all(writers.map((writer) => writer.stop()))
    const last = await insertProbe(direct)
    await foreign?.close()
    const ends = await Promise.all(
      readers.map(async (reader) => {
        if (reader.options.cursor === shared) return undefined
        return (await reader.reached(last, END_MS))
          ? undefined
          : `${reader.options.name} at ${reader.position} of ${last}`
      }),
    )
    const both = named.slice(1).map((reader) => reader.reached(last, END_MS))
    if (!(await Promise.race(both))) ends.push(`shared before ${last}`)
    await Promise.all(readers.map((reader) => reader.stop()))
    const table = await readTable(direct)
    const findings = compare(readers, table)
    for (const group of [...readers.slice(0, 3).map((reader) => [reader]), named.slice(1), [auto]]) {
      const count = neverSent(group, table)
      findings.missed += count
      if (count > 0) findings.details.push(`${group[0]?.options.name}: ${count} were never sent`)
    }
    const present = new Set(table.map((row) => row.id))
    return {
      ...findings,
      events: table.length,
      deliveries: readers.reduce(
        (sum, one) => sum + one.sessions.reduce((all, { items }) => all + items.length, 0),
        0,
      ),
      faults,
      lost: writers.flatMap((writer) => [
        ...[...writer.committed].filter((id) => !present.has(id)).map((id) => `${id} was acknowledged`),
        ...[...writer.rolledBack].filter((id) => present.has(id)).map((id) => `${id} was rolled back`),
      ]),
      complaints: [
        ...readers.flatMap((reader) => reader.complaints.map((text) => `${reader.options.name}: ${text}`)),
        ...writers.flatMap((writer) => writer.complaints),
      ],
      stuck: ends.filter((end) => end !== undefined),
      resumedMs,
    }
  } finally {
    await foreign?.close()
    await proxy.close()
    await server.close()
    bundle.remove()
  }
}

/** An event that every reader is sent, filtered or not. */
async function insertProbe(server: ScratchServer): Promise<number> {
  return withAdmin(server, async (sql) => {
    const [row] = await sql<{ seq: number }[]>`
      insert into swarm.execution_events (event_type, entity_id, repo_id)
      values ('torture_probe', 'probe-' || gen_random_uuid(), ${REPO}) returning seq::float8`
    await sql`select pg_notify('swarm', ${REPO})`
    return row?.seq ?? 0
  })
}

async function readTable(server: ScratchServer): Promise<Committed[]> {
  return withAdmin(server, async (sql) => {
    const rows = await sql<Committed[]>`
      select seq::float8 as seq, entity_id as id, event_type as type from swarm.execution_events
      where repo_id = ${REPO} order by execution_events.seq`
    return [...rows]
  })
}
