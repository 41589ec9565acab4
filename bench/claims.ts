import { median, type Section } from './measure.ts'
import { pgbench } from './pgbench.ts'
import { type BenchServer, fillBacklog } from './server.ts'
import { openSession, type Session } from './swarm.ts'

const PAIRS = 2_400
/** For each of eight processes: a process is slow until it has run for a while, and each of them has to. */
const PAIRS_EACH = 1_200
const ROUNDS = 3
/** Pairs of each process before the clock starts: V8 compiles what it runs often only by and by. */
const WARM = 3_000
/** Pairs of lines that are in the pipe at once. */
const WAITING = 20

export function sameSql(repo: string): string {
  const call = (cmd: string, args: string) =>
    `select swarm.run('${repo}', '${cmd}', jsonb_build_object('agent_id', :agent::integer)${args}, '{"session":"bench"}', gen_random_uuid()::text, null);\n`
  return `\\set agent :client_id + 1\n${call('claim-next', '')}${call('complete-stage', ` || '{"outcome":"passed"}'`)}`
}

/** Claim and complete pairs per second over `processes` pipes, each an agent of its own; the lines wait in the pipe, as in pgbench. */
export async function pairsPerSecond(
  server: BenchServer,
  repo: string,
  processes: number,
  pairs: number,
): Promise<number> {
  const sessions = Array.from({ length: processes }, () =>
    openSession({ DATABASE_URL: server.url, SWARM_REPO: repo }),
  )
  const loop = async (session: Session, agent_id: number, count: number) => {
    const pair = [
      { cmd: 'claim-next', agent_id, require: true },
      { cmd: 'complete-stage', agent_id, outcome: 'passed' },
    ]
    for (let n = 0; n < count; n += WAITING)
      await session.send(Array.from({ length: WAITING }, () => pair).flat())
  }
  await Promise.all(sessions.map((session, at) => loop(session, at + 1, WARM)))
  const each = Math.ceil(pairs / processes / WAITING) * WAITING
  const started = performance.now()
  await Promise.all(sessions.map((session, at) => loop(session, at + 1, each)))
  const rate = ((each * processes) / (performance.now() - started)) * 1_000
  await Promise.all(sessions.map((session) => session.close()))
  return rate
}

/** (c) Claiming and completing, beside pgbench with the same statements, and at two sizes of backlog. */
export async function benchClaims(fresh: () => Promise<BenchServer>): Promise<Section> {
  const server = await fresh()
  const rows = []
  for (const [processes, pairs] of [
    [1, PAIRS],
    [8, 8 * PAIRS_EACH],
  ] as const) {
    const ours: number[] = []
    const bare: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      await fillBacklog(server, `pg-${processes}-${round}`, pairs + 400)
      const tps = pgbench(server, sameSql(`pg-${processes}-${round}`), {
        clients: processes,
        transactions: pairs,
      })
      if (tps !== null) bare.push(tps)
      await fillBacklog(server, `us-${processes}-${round}`, pairs + processes * WARM + 400)
      ours.push(await pairsPerSecond(server, `us-${processes}-${round}`, processes, pairs))
    }
    const us = median(ours)
    const pg = bare.length > 0 ? median(bare) : undefined
    rows.push({
      what: `${processes} process${processes > 1 ? 'es' : ''}, claim and complete`,
      value: `${us.toFixed(0)}/s`,
      ...(pg === undefined
        ? {}
        : {
            against: `pgbench, ${processes} clients: ${pg.toFixed(0)}/s`,
            ratio: (us / pg).toFixed(2),
            goal: '≥ 0.6',
            met: us / pg >= 0.6,
          }),
    })
  }
  const small: number[] = []
  const large: number[] = []
  const [few, many] = [await fresh(), await fresh()]
  await fillBacklog(many, 'many', 300_000)
  for (let round = 0; round < ROUNDS; round++) {
    await few.sql`truncate swarm.bead_backlog, swarm.bead_claims, swarm.stage_history, swarm.execution_events, swarm.workflows, swarm.operations cascade`
    await fillBacklog(few, 'few', 2_000 + PAIRS + WARM)
    small.push(await pairsPerSecond(few, 'few', 1, PAIRS))
    large.push(await pairsPerSecond(many, 'many', 1, PAIRS))
  }
  const ratio = median(large) / median(small)
  rows.push({
    what: '300,000 beads waiting',
    value: `${median(large).toFixed(0)}/s`,
    against: `2,000 waiting: ${median(small).toFixed(0)}/s`,
    ratio: ratio.toFixed(2),
    goal: '≥ 0.9',
    met: ratio >= 0.9,
  })
  return {
    title: '(c) Claiming and completing',
    how: `${PAIRS} pairs, with eight processes ${PAIRS_EACH} each, each process warmed by ${WARM}, median of ${ROUNDS} rounds, run alternately; a workflow of one stage`,
    rows,
  }
}
