import { decide } from '../src/core/decide.ts'
import type { Snapshot } from '../src/core/snapshot.ts'
import { rulesOf } from '../src/orchestrator/settings.ts'
import { quantile, type Section } from './measure.ts'
import type { BenchServer } from './server.ts'

const AGENTS = 200
const TICKS = 120
const SIZES = [1_000, 10_000, 100_000]
/** Beads that wait for nothing, the same number in each backlog: a look is to cost what is active, not what there is. */
const ROOTS = 600
const RUN = 'run-bench'

/** What a look of the leader costs, with 200 sessions at work, by the size of the backlog. */
export async function benchTick(fresh: () => Promise<BenchServer>): Promise<Section> {
  const yards = []
  for (const beads of SIZES)
    yards.push({ beads, look: await yard(await fresh(), beads), took: [] as number[] })
  // alternately, so that what else the machine does falls on all
  for (let n = 0; n < TICKS; n++) {
    for (const { look, took } of yards) {
      const begun = performance.now()
      await look()
      took.push(performance.now() - begun)
    }
  }
  const smallest = quantile(yards[0]?.took ?? [], 0.5)
  return {
    title: 'A look of the leader',
    how: `${AGENTS} sessions at work on one host, ${ROOTS - AGENTS} more beads ready; the snapshot read and decided, ${TICKS} times each, run alternately; nothing is written`,
    rows: yards.map(({ beads, took }, at) => {
      const [p50, p99] = [quantile(took, 0.5), quantile(took, 0.99)]
      const last = at === SIZES.length - 1
      return {
        what: `${beads.toLocaleString('en')} beads`,
        value: `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`,
        ...(last
          ? {
              against: '1,000 beads, p50',
              ratio: (p50 / smallest).toFixed(2),
              goal: '≤ 1.2',
              met: p50 / smallest <= 1.2,
            }
          : { goal: 'p99 ≤ 100 ms', met: p99 <= 100 }),
      }
    }),
  }
}

/** A run over so many beads, in chains that begin with the roots, with every agent at work. */
async function yard({ sql }: BenchServer, beads: number): Promise<() => Promise<void>> {
  const repo = `tick-${beads}`
  const json = (value: object) => JSON.stringify(value)
  const run = async (cmd: string, args: object) => {
    const [row] =
      await sql`select swarm.run(${repo}, ${cmd}, ${json(args)}::text::jsonb, '{"holder":"bench"}'::jsonb,
      gen_random_uuid()::text, null) as r`
    if (row?.r.refused) throw new Error(`${cmd}: ${json(row.r.refused)}`)
    return row?.r.d
  }
  await run('register', { count: 1 })
  await sql`insert into swarm.workflows (repo_id, name) values (${repo}, 'one')`
  await sql`insert into swarm.workflow_stages (repo_id, name, stage, position, role) values (${repo}, 'one', 'implement', 1, '{implementer}')`
  await sql`insert into swarm.bead_backlog (repo_id, bead_id, title, workflow, stage, priority, open_blockers)
    select ${repo}, 'b' || n, 'bead ' || n, 'one', 'implement', 'p' || n % 5, case when n <= ${ROOTS}::integer then 0 else 1 end
    from generate_series(1, ${beads}) n`
  await sql`insert into swarm.bead_links (repo_id, bead_id, other_id, kind)
    select ${repo}, 'b' || n, 'b' || n - ${ROOTS}::integer, 'blocks' from generate_series(${ROOTS + 1}::integer, ${beads}) n`
  await run('run-start', { run_id: RUN, agents: { implementer: AGENTS }, config: { adapter: 'demo' } })
  await sql`insert into swarm.hosts (repo_id, host_id, name, capacity, adapters, heartbeat_at, free_disk_mb)
    values (${repo}, 'h1', 'here', ${json({ implementer: AGENTS })}::text::jsonb, '{"demo": {"version": "1"}}'::jsonb, now() + interval '1 day', 100000)`
  await sql`vacuum analyze`
  const [lead] = await sql`select swarm.lead(${repo}, 'bench', 86400000, null, null) as l`
  const rules = { ...rulesOf({}, { implementer: AGENTS }, 'demo'), spawn_per_tick: AGENTS }
  const look = async () => {
    const [row] = await sql<{ d: Snapshot }[]>`select swarm.snapshot(${repo}, ${RUN}) as d`
    if (!row) throw new Error('no snapshot')
    return decide(row.d, rules)
  }
  for (let round = 0; round < 5; round++) {
    for (const action of (await look()).actions) {
      if (action.kind === 'warn') continue
      const session_id =
        action.kind === 'assign' ? { session_id: `s-${crypto.randomUUID().slice(0, 12)}` } : {}
      await run('lead-act', { term: lead?.l.term, run_id: RUN, ...action, ...session_id })
    }
  }
  const [count] = await sql<
    { n: number }[]
  >`select count(*)::integer as n from swarm.agent_sessions where repo_id = ${repo} and ended_at is null`
  if (count?.n !== AGENTS) throw new Error(`${count?.n} sessions of ${AGENTS}`)
  return async () => void (await look())
}
