import type { CommandContext } from '../contract/command.ts'
import type { Database, Holdings, Root } from '../contract/context.ts'
import { SwarmError } from '../contract/errors.ts'
import { type OpenDatabase, openDatabase } from '../db/database.ts'
import { createHoldings } from './holdings.ts'
import { type ResolvedTarget, resolveTarget, type TargetRequest } from './target.ts'

/** One database with the claims that this process holds in it. */
export interface Connection {
  readonly db: Database
  readonly holdings: Holdings
  /** The last fences of the named cursors that this process has held, by `<repo>/<name>`. */
  readonly cursors: Map<string, number>
}

/** A connection while a request uses it. */
export interface Use extends Connection {
  /** Must be called once, when the request has been answered. */
  release(): void
}

export interface Connections {
  /**
   * The connection a request asks for; opened on first use of its database. BUSY when as many pools are open as may be and all
   * of them are needed.
   */
  use(request: TargetRequest, env: CommandContext['env'], root: Root | null): Use
  /** One connection for each database, to renew its claims on. */
  all(): readonly Connection[]
  close(): Promise<void>
}

/** Pools of one process at most. Beyond it the one that has rested longest is closed. */
const MAX_POOLS = 16

/** What this process holds in one database, by whatever user and parameters it connects. */
type Held = Pick<Connection, 'holdings' | 'cursors'>

interface Pool {
  readonly db: OpenDatabase
  readonly database: string
  readonly held: Held
  /** Requests that use it now. */
  users: number
}

/** The databases one process talks to, each with connections of its own. */
export function createConnections(holder: string): Connections {
  // in the order of their last use, the latest at the end
  const pools = new Map<string, Pool>()
  const held = new Map<string, Held>()

  function open(target: ResolvedTarget, root: Root | null): Pool {
    makeRoom()
    const database = target.database()
    const known = held.get(database) ?? { holdings: createHoldings(), cursors: new Map<string, number>() }
    held.set(database, known)
    const db = openDatabase(target.open, {
      connectTimeoutMs: target.connectTimeoutMs,
      holder,
      onWarn: (message) => {
        import('../logger.ts').then(({ getLogger }) => getLogger().warn({}, message)).catch(() => {})
      },
      ...(root?.config.statement_timeout_ms ? { statementTimeoutMs: root.config.statement_timeout_ms } : {}),
      ...(target.listen ? { listen: target.listen } : {}),
    })
    return { db, database, held: known, users: 0 }
  }

  function makeRoom(): void {
    if (pools.size < MAX_POOLS) return
    const spare = [...pools].find(([, pool]) => !isNeeded(pool))
    if (!spare) {
      throw new SwarmError('BUSY', `this process is at work on ${MAX_POOLS} databases already`, {
        ctx: { field: 'database_url', limit: MAX_POOLS },
      })
    }
    const [key, { db, database, held: rest }] = spare
    pools.delete(key)
    if (rest.holdings.list().length === 0 && rest.cursors.size === 0) held.delete(database)
    // nobody uses it; a wake-up that still waits to be sent may fail
    db.close().catch(() => {})
  }

  /** Whether a request runs on it, or claims are renewed on it alone. */
  function isNeeded(pool: Pool): boolean {
    const { users, held: own } = pool
    const others = [...pools.values()].some((other) => other !== pool && other.held === own)
    return users > 0 || (!others && own.holdings.list().some(({ lost }) => !lost))
  }

  return {
    use(request, env, root) {
      const target = resolveTarget(request, env, root)
      const pool = pools.get(target.key) ?? open(target, root)
      pools.delete(target.key)
      pools.set(target.key, pool)
      pool.db.connectWithin(target.connectTimeoutMs)
      pool.users += 1
      return {
        db: pool.db,
        ...pool.held,
        release() {
          pool.users -= 1
        },
      }
    },
    all: () => [...new Map([...pools.values()].map(({ db, held: own }) => [own, { db, ...own }])).values()],
    async close() {
      await Promise.all([...pools.values()].map(({ db }) => db.close()))
      pools.clear()
    },
  }
}

/** The same pools, with claims and cursors of its own: for one of several holders of a process. Closing it leaves the pools open. */
export function withOwnHoldings(shared: Connections): Connections {
  const own = new Map<Database, Connection>()
  const ownOf = (db: Database): Connection => {
    const found = own.get(db) ?? { db, holdings: createHoldings(), cursors: new Map<string, number>() }
    own.set(db, found)
    return found
  }
  return {
    use(request, env, root) {
      const use = shared.use(request, env, root)
      return { ...ownOf(use.db), release: use.release }
    },
    all: () => [...own.values()],
    async close() {},
  }
}
