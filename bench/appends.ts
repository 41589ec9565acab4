import { median, type Section } from './measure.ts'
import { pgbench } from './pgbench.ts'
import type { BenchServer } from './server.ts'
import { openSession } from './swarm.ts'

const SINGLE = 3_000
const BURST = 64
const BURSTS = 200
const ROUNDS = 3

const SAME_SQL = `select swarm.append(jsonb_build_array(jsonb_build_object('repo', 'appends', 'cmd', 'record-event', 'args',
  '{"event_type":"progress","entity_id":"bench","payload":{"n":1}}'::jsonb, 'proc', '{}'::jsonb, 'key', gen_random_uuid()::text)));
`

/** (b) Appends through one pipe, one at a time and in bursts, beside pgbench with one client and the same statement. */
export async function benchAppends(server: BenchServer): Promise<Section> {
  const session = openSession({ DATABASE_URL: server.url, SWARM_REPO: 'appends' })
  const line = { cmd: 'record-event', event_type: 'progress', entity_id: 'bench', payload: { n: 1 } }
  const single: number[] = []
  const burst: number[] = []
  const bare: number[] = []
  await session.send(Array.from({ length: 500 }, () => line))
  for (let round = 0; round < ROUNDS; round++) {
    const tps = pgbench(server, SAME_SQL, { clients: 1, transactions: SINGLE })
    if (tps !== null) bare.push(tps)
    let started = performance.now()
    for (let n = 0; n < SINGLE; n++) await session.send([line])
    single.push((SINGLE / (performance.now() - started)) * 1_000)
    started = performance.now()
    for (let n = 0; n < BURSTS; n++) await session.send(Array.from({ length: BURST }, () => line))
    burst.push(((BURST * BURSTS) / (performance.now() - started)) * 1_000)
  }
  await session.close()
  const one = median(single)
  const many = median(burst)
  const pg = bare.length > 0 ? median(bare) : undefined
  return {
    title: '(b) Appends through one pipe',
    how: `record-event, median of ${ROUNDS} rounds: ${SINGLE} one at a time, ${BURSTS} bursts of ${BURST}; pgbench: the same statement, one client, in the same rounds`,
    rows: [
      ...(pg === undefined ? [] : [{ what: 'pgbench, one client', value: `${pg.toFixed(0)}/s` }]),
      {
        what: 'one at a time',
        value: `${one.toFixed(0)}/s`,
        ...(pg === undefined
          ? {}
          : { against: 'pgbench', ratio: (one / pg).toFixed(2), goal: '≥ 0.6', met: one / pg >= 0.6 }),
      },
      {
        what: `bursts of ${BURST}`,
        value: `${many.toFixed(0)}/s`,
        against: 'one at a time',
        ratio: (many / one).toFixed(1),
        goal: '≥ 5',
        met: many / one >= 5,
      },
    ],
  }
}
