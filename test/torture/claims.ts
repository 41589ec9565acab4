import { setTimeout as delay } from 'node:timers/promises'
import { halfOpenProxy } from '../support/half-open.ts'
import { seeded } from '../support/random.ts'
import { type ScratchServer, scratchServer } from '../support/scratch-server.ts'
import { makeTemplate, withDatabase } from '../support/template.ts'
import { Claimant } from './claimants.ts'
import { deck, type FaultName, inject, withAdmin } from './faults.ts'
import { type DoneRow, doubleHolders, lostWrites, type Operation, oldFences } from './history.ts'

export interface ClaimsReport {
  readonly operations: number
  readonly acknowledged: number
  readonly refused: number
  readonly unknown: number
  readonly faults: Readonly<Partial<Record<FaultName, number>>>
  readonly doubleHolders: readonly string[]
  readonly oldFences: readonly string[]
  readonly lostWrites: readonly string[]
  readonly complaints: readonly string[]
  /** What the database's own check says. */
  readonly invariants: Readonly<Record<string, number>>
  /** How far the clock of the test is from that of the database, in ms, at most. */
  readonly clockMs: number
}

const REPO = 'claims'
const BEADS = 3_000
const FAULTS_HERE: readonly FaultName[] = [
  'backend terminated',
  'server restarted',
  'server crashed',
  'half-open',
  'reader killed',
  'reader frozen',
]

/** Agents claim and complete, and everything dies. Two processes share one agent. Uses a server of its own. */
export async function tortureClaims({
  seconds,
  seed,
}: {
  seconds: number
  seed: number
}): Promise<ClaimsReport> {
  const random = seeded(seed)
  const chance = seeded(seed + 1)
  const server = await scratchServer({
    settings: { max_connections: '300', idle_in_transaction_session_timeout: '1s' },
  })
  const proxy = await halfOpenProxy(server.port)
  try {
    await makeTemplate(server.url)
    const direct = { ...server, url: withDatabase(server.url, 'swarm_test_template') }
    const through = withDatabase(`postgres://postgres@127.0.0.1:${proxy.port}/x`, 'swarm_test_template')
    await withAdmin(direct, async (sql) => {
      await sql`select swarm.run(${REPO}, 'register', '{"count":6}', '{}', 'agents')`
      const beads = JSON.stringify({
        beads: Array.from({ length: BEADS }, (_, n) => ({ bead_id: `b${n}`, title: `bead ${n}` })),
      })
      await sql`select swarm.run(${REPO}, 'enqueue', ${beads}::text::jsonb, '{}', 'beads')`
    })
    const clockBefore = await clockDistance(direct)
    const history: Operation[] = []
    const common = { repo: REPO, history, random }
    const claimants = [1, 2, 3, 4, 5, 6, 6].map(
      (agent, n) =>
        new Claimant({ ...common, name: `p${n}`, agent, url: n % 2 === 0 ? through : direct.url }),
    )
    for (const claimant of claimants) claimant.start()

    const faults: Partial<Record<FaultName, number>> = {}
    const draw = deck(chance, FAULTS_HERE)
    const victims = {
      kill: claimants.map((claimant) => () => claimant.kill()),
      freeze: claimants.map((claimant) => (ms: number) => claimant.freeze(ms)),
      killWriter: [],
    }
    const until = performance.now() + seconds * 1_000
    while (performance.now() < until) {
      await delay(200 + chance() * 1_000)
      const name = draw()
      await inject(name, { server: direct, proxy, random: chance, victims })
      faults[name] = (faults[name] ?? 0) + 1
    }
    // else a write on a half-open connection would be waited for until its deadline
    proxy.release()
    await Promise.all(claimants.map((claimant) => claimant.stop()))
    const { rows, invariants } = await readResult(direct)
    const answers = history.flatMap(({ answer }) => (answer ? [answer] : []))
    return {
      operations: history.length,
      acknowledged: answers.filter(({ ok }) => ok).length,
      refused: answers.filter(({ ok }) => !ok).length,
      unknown: history.length - answers.length,
      faults,
      doubleHolders: doubleHolders(history),
      oldFences: oldFences(history),
      lostWrites: lostWrites(history, rows),
      complaints: claimants.flatMap((claimant) => claimant.complaints),
      invariants,
      clockMs: Math.max(clockBefore, await clockDistance(direct)),
    }
  } finally {
    await proxy.close()
    await server.close()
  }
}

async function readResult(server: ScratchServer) {
  return withAdmin(server, async (sql) => {
    const rows = await sql<DoneRow[]>`
      select bead_id as bead, stage, attempt_number as attempt, fence::float8 as fence, agent_id as agent, status
      from swarm.stage_history where repo_id = ${REPO} and status in ('passed', 'failed')`
    const [row] = await sql<
      { invariants: Record<string, number> }[]
    >`select swarm.invariants(${REPO}) as invariants`
    return { rows: [...rows], invariants: row?.invariants ?? {} }
  })
}

/** The largest difference between the two clocks that a round trip leaves possible. */
async function clockDistance(server: ScratchServer): Promise<number> {
  return withAdmin(server, async (sql) => {
    await sql`select 1`
    const before = Date.now()
    const [row] = await sql<
      { ms: number }[]
    >`select extract(epoch from clock_timestamp())::float8 * 1000 as ms`
    const after = Date.now()
    const ms = row?.ms ?? 0
    return Math.max(0, before - ms, ms - after - 1)
  })
}
