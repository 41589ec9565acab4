import type { CommandContext } from '../contract/command.ts'
import type { FixRequest } from '../contract/errors.ts'
import { knownSchema, type SchemaBuild, schemaOf } from '../db/schema.ts'
import { toSwarmError } from '../runtime/faults.ts'
import { checkDisk } from './disk.ts'
import { checkResident } from './resident.ts'
import { checkPlace, repoOfPlace } from './root.ts'
import { bad, type Check, good } from './types.ts'

const EMBEDDED = 'the embedded Postgres'
const START = { cmd: 'db', action: 'start' }
const OLDEST_SERVER = 140_000
/** Leases and waits are measured in seconds: a clock that is further off misleads whoever reads the times. */
const MAX_SKEW_MS = 2_000

/** Looks at everything. A check that cannot be made is a failed check; nothing is thrown. */
export async function examine(ctx: CommandContext): Promise<Check[]> {
  const resident = ctx.root ? [await checkResident(ctx.root.path)] : []
  const place = [...checkPlace(ctx), ...checkSpace(ctx), ...resident]
  try {
    return [...place, ...(await checkServer(ctx)), ...(await checkTables(ctx))]
  } catch (error) {
    const { message, fix } = toSwarmError(error)
    const from = source(ctx)
    const mend = fix && fix.cmd !== 'doctor' ? fix : from === EMBEDDED ? START : undefined
    return [...place, bad('database', `${from}: ${message}`, mend)]
  }
}

/** The disk of another server cannot be seen from here. */
function checkSpace(ctx: CommandContext): Check[] {
  return ctx.root && source(ctx) === EMBEDDED ? [checkDisk(ctx.root.path)] : []
}

/** Where the address of the database comes from; never the address with its password. */
function source({ env, root }: CommandContext): string {
  if (env.DATABASE_URL) return 'DATABASE_URL'
  return root?.config.database_url ? 'database_url of the configuration' : EMBEDDED
}

interface Server {
  readonly version: string
  readonly number: number
  readonly encoding: string
  readonly database: string
  readonly user: string
  readonly address: string | null
  readonly embedded: boolean
  readonly now: number
}

async function checkServer(ctx: CommandContext): Promise<Check[]> {
  const from = Date.now()
  const [server] = await ctx.db.read<Server>(
    `select current_setting('server_version') as version, current_setting('server_version_num')::integer as number,
       current_setting('server_encoding') as encoding, current_database()::text as database, current_user::text as "user",
       host(inet_server_addr()) || ':' || inet_server_port() as address,
       current_setting('cluster_name') like 'swarm-%' as embedded,
       (extract(epoch from clock_timestamp()) * 1000)::float8 as now`,
  )
  const to = Date.now()
  if (!server) return [bad('database', 'it answered nothing')]
  const { version, number, encoding, database, user, address, embedded, now } = server
  const where = embedded
    ? 'the embedded Postgres'
    : `${database} at ${address ?? 'a local socket'} as ${user}`
  const skew = Math.round(Math.max(0, now - to, from - now))
  return [
    good('database', `${where}, answers in ${to - from} ms`),
    number < OLDEST_SERVER
      ? bad('server', `Postgres ${version}; swarm needs 14 or newer`)
      : good('server', `Postgres ${version}`),
    encoding === 'UTF8'
      ? good('encoding', encoding)
      : bad('encoding', `the database is ${encoding}; swarm needs UTF8: make one with encoding UTF8`),
    skew > MAX_SKEW_MS
      ? bad('clock', `the clock here and that of the database are ${skew} ms apart; set one of them right`)
      : good('clock', `at most ${Math.max(skew, to - from)} ms from the database’s`),
  ]
}

interface Fault {
  readonly count: number
  readonly some: readonly (string | number)[]
}

interface Tables {
  readonly repo: { readonly path: string | null; readonly workflows: number } | null
  readonly log_id: string
  readonly blockers: Fault
  readonly expired: Fault
  readonly agents: Fault
}

async function checkTables(ctx: CommandContext): Promise<Check[]> {
  const found = await schemaOf(ctx.db)
  const schema = checkSchema(found)
  if (found === null || found.version !== knownSchema().version) return [schema]
  const repo = repoOfPlace(ctx)
  if (!repo) return [schema]
  const [row] = await ctx.db.read<{ d: Tables }>('select swarm.doctor_json($1) as d', [repo])
  if (!row) return [schema]
  const { d } = row
  return [
    schema,
    d.repo
      ? good('repo', `${repo}${d.repo.path ? ` of ${d.repo.path}` : ''}, log ${d.log_id}`)
      : bad('repo', `${repo} is not in this database`, { cmd: 'init-db' }),
    fault(
      'blockers',
      d.blockers,
      'beads count their open blockers as the links say',
      (n, some) => `${n} beads count their open blockers wrong, like ${some}: this is a fault in swarm`,
      { cmd: 'doctor', ...(ctx.repo ? { repo: ctx.repo } : {}), recount: true },
    ),
    fault(
      'leases',
      d.expired,
      'no claim has run out',
      (n, some) =>
        `${n} claims have run out, like that of ${some}; the next claim-next of anybody takes them back`,
    ),
    fault(
      'agents',
      d.agents,
      'agents and claims agree',
      (n, some) =>
        `${n} agents point at a bead that they do not hold, like agent ${some}: this is a fault in swarm`,
    ),
  ]
}

function checkSchema(found: SchemaBuild | null): Check {
  if (found === null) return bad('schema', 'the database has no swarm tables', { cmd: 'init-db' })
  const { version, functions } = found
  const known = knownSchema()
  if (version > known.version) {
    return bad(
      'schema',
      `version ${version} of a newer swarm; this one knows ${known.version}: install the newer one`,
    )
  }
  if (version < known.version)
    return bad('schema', `version ${version}, this swarm needs ${known.version}`, { cmd: 'init-db' })
  if (functions === known.functions) return good('schema', `version ${version}`)
  const differ = `version ${version}, but its functions are those of another build or were changed by hand`
  return bad('schema', differ, { cmd: 'init-db' })
}

function fault(
  name: string,
  { count, some }: Fault,
  fine: string,
  wrong: (count: number, some: string) => string,
  mend?: FixRequest,
): Check {
  return count === 0 ? good(name, fine) : bad(name, wrong(count, some.join(', ')), mend)
}
