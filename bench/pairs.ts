import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { schemaSql } from '../src/db/schema.ts'
import { plainClient, withDatabase } from '../test/support/template.ts'
import { serverCpuMs } from './cpu.ts'
import { median, type Row, type Section } from './measure.ts'
import { pgbench } from './pgbench.ts'
import { type BenchServer, fillBacklog } from './server.ts'

/** How much is measured: pairs that age a database, alternations of old and new, pairs of each with one client (with eight: three times as many). */
export interface PairsOptions {
  readonly aged: number
  readonly rounds: number
  readonly pairs: number
}

const GOALS = { fresh: { 1: 1.4, 8: 1.6 }, aged: { 1: 1.7, 8: 2 } } as const

/** `--aged N`, `--rounds N` and `--pairs N`. Throws for anything that is not a positive number. */
export function pairsOptions(args: readonly string[]): PairsOptions {
  const number = (name: string, fallback: number) => {
    const at = args.indexOf(`--${name}`)
    const value = at < 0 ? fallback : Number(args[at + 1])
    if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} is a positive number`)
    return value
  }
  return { aged: number('aged', 60_000), rounds: number('rounds', 8), pairs: number('pairs', 6_000) }
}

/** The statements of a claim and its completion. The first schema calls the holder `session`. */
function pairSql(repo: string): string {
  const call = (cmd: string, args: string) =>
    `select swarm.run('${repo}', '${cmd}', jsonb_build_object('agent_id', :agent::integer)${args}, '{"session":"bench","holder":"bench"}', gen_random_uuid()::text, null);\n`
  return `\\set agent :client_id + 1\n${call('claim-next', '')}${call('complete-stage', ` || '{"outcome":"passed"}'`)}`
}

/** A database of its own with this schema. */
async function databaseWith(server: BenchServer, name: string, schema: string): Promise<BenchServer> {
  await server.sql.unsafe(`drop database if exists ${name} with (force)`)
  await server.sql.unsafe(`create database ${name} template template0 encoding 'UTF8'`)
  const url = withDatabase(server.url, name)
  const sql = plainClient(url)
  await sql.unsafe(schema)
  return { ...server, database: name, url, sql }
}

async function dropDatabase(server: BenchServer, { sql, database }: BenchServer): Promise<void> {
  await sql.end({ timeout: 1 })
  await server.sql.unsafe(`drop database if exists ${database} with (force)`)
}

interface Worked {
  /** Pairs per second. */
  readonly rate: number
  /** CPU time of the server for a pair, in ms; NaN where it cannot be asked for. */
  readonly cpu: number
}

/** Works off a new repo of as many beads. */
async function workOff(on: BenchServer, repo: string, clients: number, pairs: number): Promise<Worked> {
  await fillBacklog(on, repo, pairs + 400)
  const [file] = await on.sql`select pg_read_file('postmaster.pid') as text`
  const postmaster = Number.parseInt(file?.text, 10)
  const before = serverCpuMs(postmaster)
  const rate = pgbench(on, pairSql(repo), { clients, transactions: pairs })
  if (rate === null) throw new Error('pgbench is not on this machine')
  const after = serverCpuMs(postmaster)
  return { rate, cpu: before === null || after === null ? Number.NaN : (after - before) / pairs }
}

/** The SQL of a claim and its completion, beside that of 0.1.0, on one server, in fresh databases and in aged ones. */
export async function benchPairs(server: BenchServer, options: PairsOptions): Promise<Section> {
  const fixture = join(process.env.SWARM_BENCH_ROOT ?? '.', 'test', 'db', 'fixtures', 'schema-0.1.0.sql.gz')
  const schemas = { old: gunzipSync(readFileSync(fixture)).toString('utf8'), now: schemaSql() }
  const rows: Row[] = []
  for (const age of ['fresh', 'aged'] as const) {
    const databases = async () => ({
      old: await databaseWith(server, 'pairs_old', schemas.old),
      now: await databaseWith(server, 'pairs_now', schemas.now),
    })
    let both = await databases()
    if (age === 'aged') for (const on of [both.old, both.now]) await workOff(on, 'before', 8, options.aged)
    for (const clients of [1, 8] as const) {
      const worked = { old: [] as Worked[], now: [] as Worked[] }
      for (let round = 0; round < options.rounds; round++) {
        for (const which of round % 2 === 0 ? (['old', 'now'] as const) : (['now', 'old'] as const))
          worked[which].push(
            await workOff(
              both[which],
              `r-${clients}-${round}`,
              clients,
              options.pairs * (clients === 8 ? 3 : 1),
            ),
          )
        const [old, now] = [worked.old[round], worked.now[round]]
        process.stderr.write(
          `${age}, ${clients} clients: ${old?.rate.toFixed(0)}/s ${old?.cpu.toFixed(2)} ms, now ${now?.rate.toFixed(0)}/s ${now?.cpu.toFixed(2)} ms\n`,
        )
        if (age === 'fresh') {
          await dropDatabase(server, both.old)
          await dropDatabase(server, both.now)
          both = await databases()
        }
      }
      const middle = (of: readonly Worked[], field: keyof Worked) => median(of.map((one) => one[field]))
      const ratio = (of: (old: Worked, now: Worked) => number) =>
        median(worked.old.map((old, round) => of(old, worked.now[round] ?? old)))
      const [faster, cheaper] = [
        ratio((old, now) => now.rate / old.rate),
        ratio((old, now) => old.cpu / now.cpu),
      ]
      const what = `${age}, ${clients} client${clients > 1 ? 's' : ''}`
      const goal = GOALS[age][clients]
      rows.push({
        what,
        value: `${middle(worked.now, 'rate').toFixed(0)}/s`,
        against: `0.1.0: ${middle(worked.old, 'rate').toFixed(0)}/s`,
        ratio: faster.toFixed(2),
        goal: `≥ ${goal}`,
        met: faster >= goal,
      })
      if (Number.isNaN(cheaper)) continue
      rows.push({
        what: `${what}: CPU time of the server`,
        value: `${middle(worked.now, 'cpu').toFixed(2)} ms`,
        against: `0.1.0: ${middle(worked.old, 'cpu').toFixed(2)} ms`,
        ratio: cheaper.toFixed(2),
      })
    }
    await dropDatabase(server, both.old)
    await dropDatabase(server, both.now)
  }
  return {
    title: 'The SQL of a claim and its completion',
    how: `\`npm run bench -- pairs\`: pgbench on databases of schema 0.1.0 and of today on one server, ${options.pairs} pairs each time with one client and three times as many with eight, ${options.rounds} alternations, medians (of the ratios too); fresh: new databases each time; aged: by ${options.aged} pairs before, each repo's beads vacuumed and analysed. A workflow of one stage. The ratio of CPU times is that of 0.1.0 to now: what the rates would come to if nothing else cost time.`,
    rows,
  }
}
