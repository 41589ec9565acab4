import { existsSync } from 'node:fs'
import type { Adoptable } from './adopt.ts'
import { dataDirOfPointer, isPrivateDir, type Pointer, readPointer, socketPath } from './pointer.ts'
import type { EmbeddedStatus } from './status.ts'
import {
  EMBEDDED_DATABASE,
  EMBEDDED_USER,
  type EmbeddedServer,
  type EnsureOptions,
  type KeeperOptions,
} from './terms.ts'

export { EMBEDDED_DATABASE, EMBEDDED_MAJOR, EMBEDDED_USER, IDLE_STOP_MS } from './terms.ts'
export type { Adoptable, EmbeddedServer, EmbeddedStatus, EnsureOptions, KeeperOptions }

/**
 * Where the server of `swarmDir` (the absolute path of `<root>/.swarm`) was last started. Reads the pointer file only: cheap
 * enough for every command. Null when there is nothing to connect to: never started, copied from another
 * working copy, no record of this user names it, or its socket directory is gone or not private any more.
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

/** What lies at `.swarm/pg` and how it would behave, for the user to judge. Starts nothing. DEPENDENCY when it cannot be adopted. */
export async function embeddedFound(swarmDir: string): Promise<Adoptable> {
  const { look } = await import('./adopt.ts')
  return look(swarmDir)
}

/**
 * Records data that this user has not had made here as the user's own, so that it is started. True when it was not so before. INVALID
 * with `ctx.concerns` when its files would load libraries, run commands or lead elsewhere, and `force` does not accept that.
 */
export async function adoptEmbedded(swarmDir: string, force = false): Promise<boolean> {
  const { adopt } = await import('./adopt.ts')
  return adopt(swarmDir, force)
}

/**
 * The body of the keeper: a detached process of the server's user that stops the server after its idle time, bounds its log and tells
 * other machines that it lives. Resolves when the server is gone or another keeper has taken over, and at once where nobody gave orders.
 */
export async function runKeeper(options: KeeperOptions = {}): Promise<void> {
  const { keep } = await import('./keeper.ts')
  await keep(options)
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
