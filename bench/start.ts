import { findProgram, median, type Section, timeCommand } from './measure.ts'
import { type BenchServer, fillBacklog } from './server.ts'
import { BIN } from './swarm.ts'

const RUNS = 31

/** (a) What a one-shot call costs beside the bare interpreter and psql. */
export async function benchStart(server: BenchServer): Promise<Section> {
  await fillBacklog(server, 'start', 2_000)
  const env = {
    PATH: process.env.PATH,
    HOME: process.env.HOME,
    DATABASE_URL: server.url,
    SWARM_REPO: 'start',
  }
  const node = median(timeCommand([process.execPath, '-e', '0'], RUNS, env))
  const psql = findProgram('psql')
  const psqlMs = psql
    ? median(
        timeCommand(
          [
            psql,
            '-h',
            server.host,
            '-p',
            String(server.port),
            '-U',
            server.user,
            '-d',
            server.database,
            '-qc',
            'select 1',
          ],
          RUNS,
          env,
        ),
      )
    : undefined
  const goal = (node / 22) * 60
  const row = (what: string, args: readonly string[]) => {
    const ms = median(timeCommand([process.execPath, BIN, ...args], RUNS, env))
    return {
      what,
      value: `${ms.toFixed(1)} ms`,
      against: `node -e 0: ${node.toFixed(1)} ms`,
      ratio: (ms / node).toFixed(2),
      goal: `≤ ${goal.toFixed(1)} ms (60 where node takes 22)`,
      met: ms <= goal,
    }
  }
  return {
    title: '(a) One-shot calls',
    how: `median of ${RUNS} runs each`,
    rows: [
      { what: 'node -e 0', value: `${node.toFixed(1)} ms` },
      ...(psqlMs === undefined ? [] : [{ what: "psql -c 'select 1'", value: `${psqlMs.toFixed(1)} ms` }]),
      row('swarm status', ['status']),
      row('swarm claim-next', ['claim-next', '--agent-id', '1']),
    ],
  }
}
