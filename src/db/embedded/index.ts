import { existsSync } from 'node:fs'
import { dataDirOfPointer, isPrivateDir, type Pointer, readPointer, socketPath } from './pointer.ts'
import type { EmbeddedStatus } from './status.ts'

export type { EmbeddedStatus }

/** The major version of Postgres that the embedded server is. A data directory of another one is refused. */
export const EMBEDDED_MAJOR = 18
/** Database and superuser of the embedded server. */
export const EMBEDDED_DATABASE = 'swarm'
export const EMBEDDED_USER = 'swarm'
/** Without a client's activity for this long the server stops, unless configured. */
export const IDLE_STOP_MS = 30 * 60_000

/** How to reach an embedded server. There is no password: only its own user and root can enter the socket directory. */
export interface EmbeddedServer {
  /** Directory of the Unix socket; what a driver takes as `host`. */
  readonly socketDir: string
  readonly port: number
  readonly user: string
  readonly database: string
  readonly dataDir: string
  /** Process id of the postmaster. Null when it is known not to run: call `ensureEmbedded`. */
  readonly pid: number | null
  /** The same as a URL, its host percent-encoded. */
  readonly url: string
}

export interface EnsureOptions {
  /** Milliseconds without a client's activity after which the server stops; 0 for never, 30 minutes by default. */
  readonly idleStopMs?: number | undefined
  /** Told what is being done, one line at a time. */
  readonly log?: ((line: string) => void) | undefined
  /**
   * Command and arguments of the keeper, which must end up in `runKeeper(swarmDir)`. By default `bin/swarm db keep
   * <swarmDir>`, and none when this code does not run from the bundle; null for none.
   */
  readonly keeper?: readonly [string, readonly string[]] | null | undefined
}

export interface KeeperOptions {
  /** Milliseconds between two looks at the server; once a minute, or more often when it may stop sooner. */
  readonly tickMs?: number | undefined
}

/**
 * Where the server of `swarmDir` (the absolute path of `<root>/.swarm`) was last started. Reads the pointer file only: cheap
 * enough for every command. Null when there is nothing to connect to: never started, copied from another
 * working copy, or its socket directory is gone or not private any more.
 * A caller connects at once, and when that fails (no socket, refused, 57P01, 57P03) calls `ensureEmbedded` and tries again.
 */
export async function embeddedPointer(swarmDir: string): Promise<EmbeddedServer | null> {
  const pointer = readPointer(swarmDir)
  if (!pointer || !isPrivateDir(pointer.socket_dir, pointer.uid)) return null
  return toServer(swarmDir, pointer)
}

/**
 * Starts the server of `swarmDir` unless it runs, and resolves when it accepts connections. Any number of processes may
 * call it at once: one starts, the others wait for it. `started` is true for the one that did.
 * Throws DEPENDENCY when it cannot run here (with `ctx.log`, the tail of its log) or is not ready in 30 s.
 */
export async function ensureEmbedded(
  swarmDir: string,
  options: EnsureOptions = {},
): Promise<EmbeddedServer & { readonly started: boolean }> {
  const { ensure } = await import('./ensure.ts')
  const { pointer, started } = await ensure(swarmDir, options)
  return { ...toServer(swarmDir, pointer), started }
}

/** Stops the server and waits until it is gone; `stopped` is false when it did not run. Data stays. */
export async function stopEmbedded(swarmDir: string): Promise<{ stopped: boolean }> {
  const { stop } = await import('./stop.ts')
  return { stopped: await stop(swarmDir) }
}

/** The state of the server, for people and for `doctor`. Starts nothing. */
export async function embeddedStatus(swarmDir: string): Promise<EmbeddedStatus> {
  const { status } = await import('./status.ts')
  return status(swarmDir)
}

/** Stops the server and deletes its data. The next start makes an empty one. */
export async function resetEmbedded(swarmDir: string): Promise<void> {
  const { reset } = await import('./stop.ts')
  await reset(swarmDir)
}

/**
 * The body of the keeper: a detached process that stops the server after its idle time, bounds its log and tells other
 * machines that it lives. Resolves when the server is gone or another keeper has taken over.
 */
export async function runKeeper(swarmDir: string, options: KeeperOptions = {}): Promise<void> {
  const { keep } = await import('./keeper.ts')
  await keep(swarmDir, options)
}

function toServer(swarmDir: string, pointer: Pointer): EmbeddedServer {
  const { socket_dir: socketDir, port } = pointer
  const host = encodeURIComponent(socketDir)
  return {
    socketDir,
    port,
    user: EMBEDDED_USER,
    database: EMBEDDED_DATABASE,
    dataDir: dataDirOfPointer(swarmDir, pointer),
    pid: existsSync(socketPath(socketDir, port)) ? pointer.pid : null,
    url: `postgres://${EMBEDDED_USER}@${host}:${port}/${EMBEDDED_DATABASE}`,
  }
}
