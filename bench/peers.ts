import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { plainClient, withDatabase } from '../test/support/template.ts'
import { pairsPerSecond, sameSql } from './claims.ts'
import { median, type Row, type Section } from './measure.ts'
import { pgbench } from './pgbench.ts'
import { type BenchServer, fillBacklog } from './server.ts'

/** Pinned, and no dependencies of ours: they are installed into a cache of the user's when this benchmark first runs. */
const PEERS = { 'graphile-worker': '0.17.3', 'pg-boss': '10.4.2' } as const
const JOBS = 4_000
const ROUNDS = 3
const WIDTHS = [1, 8] as const

interface Pool {
  query(text: string, values?: readonly unknown[]): Promise<unknown>
  end(): Promise<void>
}
type PgModule = { Pool: new (config: object) => Pool }
type GraphileModule = {
  makeWorkerUtils(options: object): Promise<{ migrate(): Promise<void>; release(): Promise<void> }>
  run(options: object): Promise<{ stop(): Promise<void> }>
}
interface Boss {
  on(event: 'error', hear: (error: Error) => void): void
  start(): Promise<unknown>
  stop(options: object): Promise<void>
  createQueue(name: string): Promise<void>
  insert(jobs: readonly object[]): Promise<unknown>
  fetch(queue: string): Promise<readonly { readonly id: string }[]>
  complete(queue: string, id: string): Promise<unknown>
}
type BossModule = new (config: object) => Boss

/** Loads a package of the cache, after an installation where it is missing. Throws when npm fails. */
function loadPeers(): NodeJS.Require {
  const versions = Object.entries(PEERS).map(([name, version]) => `${name}@${version}`)
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache')
  const dir = join(cache, 'swarm-bench', versions.join('+'))
  const manifest = join(dir, 'package.json')
  const ready = join(dir, 'installed')
  if (!existsSync(ready)) {
    mkdirSync(dir, { recursive: true })
    writeFileSync(manifest, '{"private": true}\n')
    const args = ['install', '--prefix', dir, '--save-exact', '--ignore-scripts', '--no-audit', '--no-fund']
    const { status } = spawnSync('npm', [...args, ...versions], { stdio: ['ignore', 2, 2] })
    if (status !== 0) throw new Error(`npm could not install ${versions.join(' and ')} into ${dir}`)
    writeFileSync(ready, '')
  }
  return createRequire(manifest)
}

/** Runs `work` on an empty database of the server. */
async function inDatabase<T>(
  server: BenchServer,
  name: string,
  work: (config: object) => Promise<T>,
): Promise<T> {
  const { host, port, user } = server
  await server.sql.unsafe(`drop database if exists ${name} with (force)`)
  await server.sql.unsafe(`create database ${name} template template0 encoding 'UTF8'`)
  try {
    return await work({ host, port, user, database: name })
  } finally {
    await server.sql.unsafe(`drop database if exists ${name} with (force)`)
  }
}

function perSecond(started: number): number {
  return (JOBS / (performance.now() - started)) * 1_000
}

async function graphileRate(server: BenchServer, load: NodeJS.Require, width: number): Promise<number> {
  const { Pool } = load('pg') as PgModule
  const { makeWorkerUtils, run } = load('graphile-worker') as GraphileModule
  return inDatabase(server, 'peer_graphile', async (config) => {
    const pgPool = new Pool({ ...config, max: width + 2 })
    try {
      const utils = await makeWorkerUtils({ pgPool })
      await utils.migrate()
      await utils.release()
      await pgPool.query(
        `select graphile_worker.add_job('nothing', json_build_object('n', n)) from generate_series(1, $1::integer) n`,
        [JOBS],
      )
      let done = 0
      let finish = () => {}
      const finished = new Promise<void>((resolve) => {
        finish = resolve
      })
      const nothing = async () => {
        done++
        if (done === JOBS) finish()
      }
      const started = performance.now()
      const logger = { error() {}, warn() {}, info() {}, debug() {}, scope: () => logger }
      const options = { pgPool, concurrency: width, noHandleSignals: true, taskList: { nothing }, logger }
      const runner = await run(options)
      await finished
      // stopping waits for the last job's completion to be written
      await runner.stop()
      return perSecond(started)
    } finally {
      await pgPool.end()
    }
  })
}

async function bossRate(server: BenchServer, load: NodeJS.Require, width: number): Promise<number> {
  const Boss = load('pg-boss') as BossModule
  return inDatabase(server, 'peer_boss', async (config) => {
    const boss = new Boss({ ...config, max: width + 2, supervise: false, schedule: false })
    boss.on('error', (error) => process.stderr.write(`pg-boss: ${error.message}\n`))
    await boss.start()
    try {
      await boss.createQueue('nothing')
      await boss.insert(Array.from({ length: JOBS }, (_, n) => ({ name: 'nothing', data: { n } })))
      let done = 0
      const loop = async () => {
        for (let jobs = await boss.fetch('nothing'); jobs[0]; jobs = await boss.fetch('nothing')) {
          await boss.complete('nothing', jobs[0].id)
          done++
        }
      }
      const started = performance.now()
      await Promise.all(Array.from({ length: width }, loop))
      const rate = perSecond(started)
      if (done !== JOBS) throw new Error(`pg-boss completed ${done} of ${JOBS} jobs`)
      return rate
    } finally {
      await boss.stop({ graceful: false, wait: true })
    }
  })
}

const KEEPS = `What each keeps of a job:

| | row of the finished job | history of attempts | log of events | audit | operation keys | lease, fence | reply kept for a resend |
|---|---|---|---|---|---|---|---|
| swarm | yes | yes | 4 events | 2 rows | 2 | renewed lease, fence | yes |
| graphile-worker | no, deleted | last error only | no | no | no, a job key at insertion | lock of a worker, 4 h, no fence | no |
| pg-boss | yes, until it is archived | count of retries, last output | no | no | no, a singleton key at insertion | expiry, no fence | no |`

/** Other queues on Postgres beside ours: one server, the same count of jobs, taken and completed one at a time. */
export async function benchPeers(server: BenchServer): Promise<Section> {
  const load = loadPeers()
  const sql = plainClient(withDatabase(server.url, 'postgres'))
  const admin = { ...server, sql }
  const rows: Row[] = []
  for (const width of WIDTHS) {
    const rates: Record<string, number[]> = {}
    const note = (name: string, rate: number | null) => {
      process.stderr.write(`${width}: ${name} ${rate?.toFixed(0)}/s\n`)
      if (rate !== null) rates[name] = [...(rates[name] ?? []), rate]
    }
    for (let round = 0; round < ROUNDS; round++) {
      const [bare, ours] = [`peers-pg-${width}-${round}`, `peers-us-${width}-${round}`]
      await fillBacklog(server, bare, JOBS + 400)
      const how = { clients: width, transactions: JOBS }
      note(
        `swarm's SQL by pgbench, ${width} client${width > 1 ? 's' : ''}`,
        pgbench(server, sameSql(bare), how),
      )
      await fillBacklog(server, ours, JOBS + 400)
      note(`swarm, ${width} process${width > 1 ? 'es' : ''}`, await pairsPerSecond(server, ours, width, JOBS))
      note(
        `graphile-worker ${PEERS['graphile-worker']}, one process, ${width} at once`,
        await graphileRate(admin, load, width),
      )
      note(
        `pg-boss ${PEERS['pg-boss']}, one process, fetch and complete, ${width} at once`,
        await bossRate(admin, load, width),
      )
    }
    const base = median(Object.values(rates)[0] ?? [])
    for (const [what, measured] of Object.entries(rates))
      rows.push({
        what,
        value: `${median(measured).toFixed(0)}/s`,
        ratio: (median(measured) / base).toFixed(2),
      })
  }
  await sql.end({ timeout: 1 })
  return {
    title: 'Beside other queues on Postgres',
    how: `\`npm run bench -- peers\`: ${JOBS} jobs each, one server, median of ${ROUNDS} rounds run alternately; ratios are to the first row of each width. A process of swarm is warmed by 20 pairs, theirs by nothing; starting a worker of theirs is counted.\n\n${KEEPS}`,
    rows,
  }
}
