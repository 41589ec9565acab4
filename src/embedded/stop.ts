import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { deleteData } from './data.ts'
import { failure } from './failure.ts'
import { isKeeper } from './keeper-start.ts'
import { serverElsewhere, tryLock } from './lock.ts'
import { type Place, placeOf } from './paths.ts'
import { markStopped, POINTER_FILE, readPointer } from './pointer.ts'
import { endOrphans, isAlive, signal, waitUntil } from './processes.ts'
import { findRunning, processesOf } from './running.ts'
import { removeSocketDir } from './socket-dir.ts'

/** How long the clean end may take (it writes a checkpoint), and then the hard one. */
const CLEAN_MS = 30_000
const HARD_MS = 10_000
const LOCK_MS = 30_000

/** The work of `stopEmbedded`: true when a server was stopped. */
export async function stop(swarmDir: string): Promise<boolean> {
  const place = placeOf(swarmDir, false)
  return place !== null && (await stopAt(place))
}

/** The work of `resetEmbedded`. */
export async function reset(swarmDir: string): Promise<void> {
  const place = placeOf(swarmDir, false)
  if (place === null) return
  const deadline = performance.now() + LOCK_MS
  for (;;) {
    await stopAt(place)
    const lock = tryLock(place)
    if (lock) {
      try {
        // started by hand, without the lock, a moment ago
        if ((await findRunning(place)).file !== null) continue
        remove(place)
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

async function stopAt(place: Place): Promise<boolean> {
  const { dataDir, file } = await findRunning(place)
  if (dataDir === null) return false
  const { postmasters, orphans } = processesOf(place, dataDir)
  const pointer = readPointer(place.swarmDir)
  if (postmasters.length === 0 && (file !== null || isElsewhere(place))) {
    throw failure(
      'the embedded Postgres of this directory runs in another container or on another machine: stop it there',
      {
        machine: pointer?.machine.split('/')[0] ?? '',
      },
    )
  }
  for (const pid of postmasters) await endPostmaster(pid)
  if (orphans.length > 0) await endOrphans(dataDir, pointer?.cluster ?? null)
  if (pointer?.keeper_pid && isKeeper(pointer.keeper_pid, place.swarmDir))
    signal(pointer.keeper_pid, 'SIGTERM')
  if (pointer?.pid) markStopped(place.swarmDir, pointer.pid)
  return postmasters.length > 0
}

/** Whoever can have the lock knows that no server runs, whatever the pointer says. */
function isElsewhere(place: Place): boolean {
  const lock = tryLock(place)
  lock?.release()
  return lock === null && serverElsewhere(place, false)
}

function remove(place: Place): void {
  const pointer = readPointer(place.swarmDir)
  deleteData(place)
  if (pointer) removeSocketDir(pointer.socket_dir)
  for (const file of [join(place.swarmDir, POINTER_FILE), place.logFile, `${place.logFile}.1`]) {
    rmSync(file, { force: true })
  }
}
