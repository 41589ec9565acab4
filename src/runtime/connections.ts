import type { CommandContext } from '../contract/command.ts'
import type { Database, Holdings, Root } from '../contract/context.ts'
import { openDatabase } from '../db/database.ts'
import { createHoldings } from './holdings.ts'
import { resolveTarget, type TargetRequest } from './target.ts'

/** One database with the claims that this process holds in it. */
export interface Connection {
  readonly db: Database
  readonly holdings: Holdings
  /** The last fences of the named cursors that this process has held, by `<repo>/<name>`. */
  readonly cursors: Map<string, number>
}

export interface Connections {
  /** The connection a request asks for; opened on first use of its database. */
  get(request: TargetRequest, env: CommandContext['env'], root: Root | null): Connection
  all(): readonly Connection[]
  close(): Promise<void>
}

/** The databases one process talks to, each with connections of its own. */
export function createConnections(holder: string): Connections {
  const open = new Map<string, Connection & { close(): Promise<void> }>()
  return {
    get(request, env, root) {
      const target = resolveTarget(request, env, root)
      const known = open.get(target.key)
      if (known) return known
      const db = openDatabase(target.open, {
        connectTimeoutMs: target.connectTimeoutMs,
        holder,
        onWarn: (message) => {
          import('../logger.ts').then(({ getLogger }) => getLogger().warn({}, message)).catch(() => {})
        },
        ...(root?.config.statement_timeout_ms
          ? { statementTimeoutMs: root.config.statement_timeout_ms }
          : {}),
        ...(target.listenUrl ? { listenUrl: target.listenUrl } : {}),
      })
      const connection = {
        db,
        holdings: createHoldings(),
        cursors: new Map<string, number>(),
        close: () => db.close(),
      }
      open.set(target.key, connection)
      return connection
    },
    all: () => [...open.values()],
    async close() {
      await Promise.all([...open.values()].map((connection) => connection.close()))
      open.clear()
    },
  }
}
