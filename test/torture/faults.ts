import { setTimeout as delay } from 'node:timers/promises'
import type postgres from 'postgres'
import type { HalfOpenProxy } from '../support/half-open.ts'
import { pick } from '../support/random.ts'
import type { ScratchServer } from '../support/scratch-server.ts'
import { plainClient } from '../support/template.ts'

export const FAULTS = [
  'backend terminated',
  'listener terminated',
  'server restarted',
  'server crashed',
  'half-open',
  'reader killed',
  'reader frozen',
  'writer killed',
] as const
export type FaultName = (typeof FAULTS)[number]

/** What can be killed and frozen besides the server. */
export interface Victims {
  /** Each may be killed; the call answers what it was. */
  readonly kill: readonly (() => void)[]
  readonly freeze: readonly ((ms: number) => Promise<void>)[]
  readonly killWriter: readonly (() => void)[]
}

export interface FaultWorld {
  readonly server: ScratchServer
  readonly proxy: HalfOpenProxy
  readonly random: () => number
  readonly victims: Victims
}

/** How long a reader that is frozen stays so: longer than its lease. */
const FREEZE_MS = 3_000
/** Sessions that the test itself needs. */
const SPARED = ['torture harness', 'torture foreign']

/** Draws faults so that each comes up before any comes up again; in a random order each time. */
export function deck(random: () => number, faults: readonly FaultName[] = FAULTS): () => FaultName {
  let left: FaultName[] = []
  return () => {
    if (left.length === 0) left = [...faults]
    const drawn = pick(left, random)
    left = left.filter((name) => name !== drawn)
    return drawn
  }
}

/** Does the damage and resolves when the server is there again; answers `performance.now()` of that moment. */
export async function inject(name: FaultName, world: FaultWorld): Promise<number> {
  const { server, proxy, random, victims } = world
  switch (name) {
    case 'backend terminated':
      await terminate(server, random, 'not like', 1 + Math.floor(random() * 3))
      break
    case 'listener terminated':
      await terminate(server, random, 'like', 1 + Math.floor(random() * 3))
      break
    case 'server restarted':
      await server.stop('SIGINT')
      await delay(random() * 500)
      await server.start()
      break
    case 'server crashed':
      await server.crash()
      await delay(random() * 500)
      await server.start()
      break
    case 'half-open':
      proxy.freeze()
      break
    case 'reader killed':
      pick(victims.kill, random)()
      break
    case 'reader frozen':
      await pick(victims.freeze, random)(FREEZE_MS)
      break
    case 'writer killed':
      pick(victims.killWriter, random)()
      break
  }
  return performance.now()
}

async function terminate(
  server: ScratchServer,
  random: () => number,
  which: 'like' | 'not like',
  count: number,
) {
  await withAdmin(server, async (sql) => {
    const rows = await sql.unsafe<{ pid: number }[]>(
      `select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()
       and application_name ${which} 'swarm listen%' and application_name <> all($1::text[])`,
      [SPARED],
    )
    const pids = rows.map((row) => row.pid).sort(() => random() - 0.5)
    await sql`select pg_terminate_backend(pid) from unnest(${pids.slice(0, count)}::int[]) pid`
  })
}

/** Runs `work` on a connection straight to the server. */
export async function withAdmin<T>(
  server: ScratchServer,
  work: (sql: postgres.Sql) => Promise<T>,
): Promise<T> {
  const sql = plainClient(server.url, 1, 'torture harness')
  try {
    return await work(sql)
  } finally {
    await sql.end({ timeout: 1 })
  }
}
