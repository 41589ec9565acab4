import { rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { deleteData } from './data.ts'
import { madeHere } from './data-dir.ts'
import { failure } from './failure.ts'
import { KEEPER_FILE } from './keeper-file.ts'
import { isKeeper } from './keeper-start.ts'
import { serverElsewhere, tryLock } from './lock.ts'
import { pathsOf, type ServerPaths } from './paths.ts'
import { markStopped, POINTER_FILE, readPointer } from './pointer.ts'
import { endOrphans, isAlive, signal, waitUntil } from './processes.ts'
import { removeRecord } from './record.ts'
import { findRunning, processesOf } from './running.ts'
import { removeSocketDir } from './socket-dir.ts'

/** How long the clean end may take (it writes a checkpoint), and then the hard one. */
const CLEAN_MS = 30_000
const HARD_MS = 10_000
const LOCK_MS = 30_000

/** The work of `stopEmbedded`: true when a server was stopped. */
export async function stop(swarmDir: string): Promise<boolean> {
  const paths = pathsOf(swarmDir, false)
  return paths !== null && (await stopAt(paths))
}

/** The work of `resetEmbedded`. */
export async function reset(swarmDir: string): Promise<void> {
  const paths = pathsOf(swarmDir, false)
  if (paths === null) return
  const deadline = performance.now() + LOCK_MS
  for (;;) {
    await stopAt(paths)
    const lock = tryLock(paths)
    if (lock) {
      try {
        // started by hand, without the lock, a moment ago
        if ((await findRunning(paths)).file !== null) continue
        await remove(paths)
        return
      } finally {
        lock.release()
      }
    }
    if (performance.now() > deadline) {
      throw failure(
        'the embedded Postgres is being started again and again; its data was not deleted',
        {},
        { retryable: true },
      )
    }
    await delay(50)
  }
}

/** Ends a postmaster: its clients are disconnected, what is committed is kept. Forced when that takes too long. */
export async function endPostmaster(pid: number): Promise<void> {
  signal(pid, 'SIGINT')
  if (await waitUntil(() => !isAlive(pid), CLEAN_MS)) return
  signal(pid, 'SIGQUIT')
  if (await waitUntil(() => !isAlive(pid), HARD_MS)) return
  throw failure(`the embedded Postgres (process ${pid}) does not stop`, { pid })
}

async function stopAt(paths: ServerPaths): Promise<boolean> {
  const { dataDir, file } = await findRunning(paths)
  if (dataDir === null) return false
  const { postmasters, orphans } = processesOf(paths, dataDir)
  const pointer = readPointer(paths.swarmDir)
  if (postmasters.length === 0 && (file !== null || isElsewhere(paths))) {
    throw failure(
      'the embedded Postgres of this directory runs in another container or on another machine: stop it there',
      {
        machine: pointer?.machine.split('/')[0] ?? '',
      },
    )
  }
  for (const pid of postmasters) await endPostmaster(pid)
  if (orphans.length > 0) await endOrphans(dataDir, pointer?.cluster ?? null)
  if (pointer?.keeper_pid && isKeeper(pointer.keeper_pid, paths.swarmDir))
    signal(pointer.keeper_pid, 'SIGTERM')
  if (pointer?.pid) markStopped(paths.swarmDir, pointer.pid)
  return postmasters.length > 0
}

/** Whoever can have the lock knows that no server runs, whatever the pointer says. */
function isElsewhere(paths: ServerPaths): boolean {
  const lock = tryLock(paths)
  lock?.release()
  return lock === null && serverElsewhere(paths, false)
}

async function remove(paths: ServerPaths): Promise<void> {
  const pointer = readPointer(paths.swarmDir)
  const made = madeHere(paths)
  const owner = made && statSync(made.dataDir)
  await deleteData(paths, made?.dataDir ?? null)
  if (made) removeRecord(made.record.id)
  if (pointer && owner) removeSocketDir(pointer.socket_dir, owner)
  const files = [POINTER_FILE, KEEPER_FILE].map((name) => join(paths.swarmDir, name))
  for (const file of [...files, paths.logFile, `${paths.logFile}.1`]) rmSync(file, { force: true })
}
