import { SwarmError } from '../contract/errors.ts'
import { type EmbeddedAddress, type EmbeddedTarget, openDatabase } from '../db/database.ts'
import { applySchema, isBehind, schemaOf } from '../db/schema.ts'
import { type EmbeddedServer, embeddedPointer, ensureEmbedded } from './index.ts'

const START_CONNECT_TIMEOUT_MS = 10_000

/**
 * The embedded server of a `.swarm/` (its absolute path) as a place to connect to. It is started when nobody answers; one that had
 * to be started gets the schema of this program before it is used. `idleStopMs` as for `ensureEmbedded`.
 */
export async function embeddedTarget(swarmDir: string, idleStopMs?: number): Promise<EmbeddedTarget> {
  const known = await embeddedPointer(swarmDir)
  const address = known?.pid == null ? (await startEmbedded(swarmDir, idleStopMs)).address : addressOf(known)
  return {
    kind: 'embedded',
    ...address,
    ensure: async () => (await startEmbedded(swarmDir, idleStopMs)).address,
  }
}

/** Starts the server unless it runs, and makes it ready for use. `started` is true for the one process that started it. */
export async function startEmbedded(
  swarmDir: string,
  idleStopMs?: number,
): Promise<{ readonly address: EmbeddedAddress; readonly started: boolean }> {
  const server = await ensureEmbedded(swarmDir, { idleStopMs })
  const db = openDatabase(
    { kind: 'url', url: server.url },
    { connectTimeoutMs: START_CONNECT_TIMEOUT_MS, holder: 'start' },
  )
  try {
    if (server.started || isBehind(await schemaOf(db))) await applyAgain(db)
  } finally {
    await db.close()
  }
  return { address: addressOf(server), started: server.started }
}

/**
 * The schema script is one transaction and may run any number of times: when the connection is lost under it, as in a restart, it is
 * applied again.
 */
async function applyAgain(db: ReturnType<typeof openDatabase>): Promise<void> {
  const deadline = performance.now() + START_CONNECT_TIMEOUT_MS
  for (;;) {
    try {
      await applySchema(db)
      return
    } catch (error) {
      const isUnknown = error instanceof SwarmError && error.ctx?.outcome === 'unknown'
      if (!isUnknown || performance.now() >= deadline) throw error
    }
  }
}

function addressOf({ socketDir, port, user, database }: EmbeddedServer): EmbeddedAddress {
  return { host: socketDir, port, user, database }
}
