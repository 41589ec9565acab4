import { join } from 'node:path'
import type { CommandContext } from '../contract/command.ts'
import type { Root } from '../contract/context.ts'
import { SwarmError } from '../contract/errors.ts'
import { rememberUrl } from '../contract/secrets.ts'
import type { ConnectTarget, UrlTarget } from '../db/database.ts'
import { parseUrl } from '../db/url.ts'

export interface TargetRequest {
  readonly database_url?: string | undefined
  readonly connect_timeout_ms?: number | undefined
}

export interface ResolvedTarget {
  /** Equal for requests that may share connections. */
  readonly key: string
  /** Equal for requests that go to the same database, whoever asks and however long connecting may take. */
  readonly database: () => string
  readonly connectTimeoutMs: number
  readonly listen: UrlTarget | undefined
  readonly open: () => Promise<ConnectTarget>
}

const DEFAULT_CONNECT_TIMEOUT_MS = 3_000

/**
 * Where the database is: `database_url` in the request, `DATABASE_URL`, `.swarm/config.toml`, then the embedded server of the
 * root. The target says whether its URL is of a file. The connect timeout likewise: request, `SWARM_DB_CONNECT_TIMEOUT_MS`, configuration, 3,000 ms.
 */
export function resolveTarget(
  request: TargetRequest,
  env: CommandContext['env'],
  root: Root | null,
): ResolvedTarget {
  const given = request.database_url ?? (env.DATABASE_URL || undefined)
  const url = given ?? root?.config.database_url
  const fromFile = given === undefined
  const connectTimeoutMs =
    request.connect_timeout_ms ??
    timeoutFromEnv(env) ??
    root?.config.connect_timeout_ms ??
    DEFAULT_CONNECT_TIMEOUT_MS
  const listen = listenTarget(env, root)
  if (listen) rememberUrl(listen.url)
  if (url !== undefined) {
    rememberUrl(url)
    return {
      // who named it decides which password may go there
      key: fromFile ? `file ${url}` : url,
      database: () => databaseOf(url),
      connectTimeoutMs,
      listen,
      open: async () => ({ kind: 'url', url, fromFile }),
    }
  }
  if (!root) throw noRoot()
  // the database may be one that it names
  if (root.distrust) throw root.distrust
  const swarmDir = join(root.path, '.swarm')
  const idleStopMs = root.config.idle_stop_ms
  return {
    key: swarmDir,
    database: () => swarmDir,
    connectTimeoutMs,
    listen,
    open: async () => (await import('../embedded/target.ts')).embeddedTarget(swarmDir, idleStopMs),
  }
}

function listenTarget(env: CommandContext['env'], root: Root | null): UrlTarget | undefined {
  if (env.SWARM_LISTEN_URL) return { kind: 'url', url: env.SWARM_LISTEN_URL, fromFile: false }
  const url = root?.config.listen_url
  return url ? { kind: 'url', url, fromFile: true } : undefined
}

/** Hosts and name of a database. A URL that cannot be used stands for itself: connecting to it says what is wrong. */
function databaseOf(url: string): string {
  try {
    const { hosts, database } = parseUrl(url)
    return JSON.stringify([hosts.map(({ host, port }) => `${host}:${port}`), database])
  } catch {
    return url
  }
}

/** Outside a root only `init`, `demo` and help work. */
export function noRoot(): SwarmError {
  return new SwarmError('INVALID', 'there is no .swarm directory here or above', {
    area: 'configuration',
    ctx: { kind: 'Custom', field: 'root' },
    fix: { cmd: 'init' },
  })
}

function timeoutFromEnv(env: CommandContext['env']): number | undefined {
  const text = env.SWARM_DB_CONNECT_TIMEOUT_MS
  if (!text) return undefined
  const ms = Number(text)
  if (Number.isInteger(ms) && ms >= 100 && ms <= 30_000) return ms
  throw new SwarmError('INVALID', 'SWARM_DB_CONNECT_TIMEOUT_MS must be a whole number from 100 to 30000', {
    area: 'configuration',
    ctx: {
      kind: 'InvalidValue',
      field: 'SWARM_DB_CONNECT_TIMEOUT_MS',
      expected: '100 to 30000',
      got: text.slice(0, 80),
    },
  })
}
