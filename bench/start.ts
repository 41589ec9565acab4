import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { findProgram, median, type Section, timeCommand } from './measure.ts'
import { type BenchServer, fillBacklog } from './server.ts'
import { BIN } from './swarm.ts'

const RUNS = 31
const AT_ONCE = 200

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
  const alone = { ...env, SWARM_RESIDENT: '0' }
  const inhabited = await withResident(env, async (cwd) => {
    const row = (what: string, args: readonly string[]) => {
      const ms = median(timeCommand([process.execPath, BIN, ...args], RUNS, env, cwd))
      const ratio = ms / node
      return {
        what,
        value: `${ms.toFixed(1)} ms`,
        against: `node -e 0: ${node.toFixed(1)} ms`,
        ratio: ratio.toFixed(2),
        goal: '≤ 1.4',
        met: ratio <= 1.4,
      }
    }
    const rates = { here: [] as number[], alone: [] as number[] }
    for (let round = 0; round < 3; round++) {
      rates.alone.push(await atOnce(alone, cwd))
      rates.here.push(await atOnce(env, cwd))
    }
    const [here, without] = [median(rates.here), median(rates.alone)]
    return [
      row('swarm status, beside swarm serve', ['status']),
      row('swarm claim-next, beside swarm serve', ['claim-next', '--agent-id', '2']),
      {
        what: `${AT_ONCE} at once, beside swarm serve`,
        value: `${here.toFixed(0)}/s`,
        against: `each by itself: ${without.toFixed(0)}/s`,
        ratio: (here / without).toFixed(2),
        goal: '≥ 3',
        met: here / without >= 3,
      },
    ]
  })
  return {
    title: '(a) One-shot calls',
    how: `median of ${RUNS} runs each; ${AT_ONCE} of \`status\` at once, median of 3 rounds run alternately`,
    rows: [
      { what: 'node -e 0', value: `${node.toFixed(1)} ms` },
      ...(psqlMs === undefined ? [] : [{ what: "psql -c 'select 1'", value: `${psqlMs.toFixed(1)} ms` }]),
      row('swarm status', ['status']),
      row('swarm claim-next', ['claim-next', '--agent-id', '1']),
      ...inhabited,
    ],
  }
}

/** Runs `work` in a root where `swarm serve` answers one-shot calls. */
async function withResident<T>(env: NodeJS.ProcessEnv, work: (cwd: string) => Promise<T>): Promise<T> {
  const cwd = mkdtempSync(join(tmpdir(), 'swarm-bench-root-'))
  mkdirSync(join(cwd, '.swarm'))
  writeFileSync(join(cwd, '.swarm', 'config.toml'), `repo = "${env.SWARM_REPO}"\n`)
  const serving = spawn(process.execPath, [BIN, 'serve', '--port', '0'], {
    cwd,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    await once(serving.stdout, 'data')
    const socket = join(cwd, '.swarm', 'run', 'resident.sock')
    while (!existsSync(socket)) await delay(10)
    return await work(cwd)
  } finally {
    serving.kill()
    await once(serving, 'close')
    rmSync(cwd, { recursive: true, force: true })
  }
}

/** Calls a second of many that are started at the same moment. Throws when one fails. */
async function atOnce(env: NodeJS.ProcessEnv, cwd: string): Promise<number> {
  const started = performance.now()
  const codes = await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      const child = spawn(process.execPath, [BIN, 'status'], {
        cwd,
        env,
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      child.stdout.resume()
      const [code]: (number | null)[] = await once(child, 'close')
      return code
    }),
  )
  if (codes.some((code) => code !== 0)) throw new Error(`of ${AT_ONCE} calls at once some failed: ${codes}`)
  return (AT_ONCE / (performance.now() - started)) * 1_000
}
