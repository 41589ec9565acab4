import { spawnSync } from 'node:child_process'
import { closeSync, linkSync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs'
import { SwarmError } from '../contract/errors.ts'
import { isJsonObject } from '../contract/json.ts'
import { errnoOf, failure } from './failure.ts'
import { FLOCK } from './flock.ts'
import { silenceOf } from './keeper-file.ts'
import { type Whereabouts, whereabouts } from './machine.ts'
import { openOwn } from './own-file.ts'
import type { ServerPaths } from './paths.ts'
import { dataDirOfPointer, type Pointer, readPointer } from './pointer.ts'
import { isAlive, serverProcesses } from './processes.ts'
import { readText } from './read-text.ts'

/** The right to start, change or delete the server of one `.swarm/`. */
export interface DirectoryLock {
  /** Hand it to the postmaster as an open file: the lock then lasts until its last process has ended. Null without flock. */
  readonly fd: number | null
  release(): void
}

/** After so long without a sign, a server or a starter that cannot be seen from here is taken for dead. */
const SERVER_SILENT_MS = 180_000
const STARTER_SILENT_MS = 60_000
/** No start lasts longer: a claim this old carries the process id of somebody else. */
const STARTER_LONGEST_MS = 600_000
/** Bytes of a file that names a starter. */
const LONGEST_CLAIM = 4_096

/** The lock, or null while a server or another process that starts or stops one has it. Does not wait. */
export function tryLock(paths: ServerPaths, flock = FLOCK): DirectoryLock | null {
  const lock = tryFlock(paths, flock) ?? tryClaimFile(`${paths.lockFile}.held`)
  if (lock === 'held') return null
  if (!serverElsewhere(paths, lock.fd !== null)) return lock
  lock.release()
  return null
}

/** True when the pointer names a server that may be alive where neither the lock nor a process id can tell. */
export function serverElsewhere(paths: ServerPaths, flocked: boolean): boolean {
  const pointer = readPointer(paths.swarmDir)
  if (!pointer || pointer.pid === null) return false
  return mayBeAlive(pointer, whereabouts(), silenceOf(paths.swarmDir), flocked, () => {
    const dataDir = dataDirOfPointer(paths.swarmDir, pointer)
    return serverProcesses(dataDir, pointer.cluster).postmasters.length > 0
  })
}

/** The rule of `serverElsewhere`. `flocked`: we hold the flock; `silentMs`: age of its last heartbeat; `isSeen`: it runs here. */
export function mayBeAlive(
  pointer: Pick<Pointer, keyof Whereabouts | 'flock'>,
  here: Whereabouts,
  silentMs: number,
  flocked: boolean,
  isSeen: () => boolean,
): boolean {
  if (pointer.boot_id !== here.boot_id) {
    // the same machine has been booted since; another machine shares the directory over a network
    return pointer.machine !== here.machine && silentMs < SERVER_SILENT_MS
  }
  if (pointer.flock && flocked) return false
  return pointer.pid_ns === here.pid_ns ? isSeen() : silentMs < SERVER_SILENT_MS
}

/** Null when there is no flock(1) that works on this file. */
function tryFlock(paths: ServerPaths, commands: typeof FLOCK): DirectoryLock | 'held' | null {
  const fd = openLockFile(paths)
  for (const [command, ...args] of commands) {
    const { status } = spawnSync(command, [...args, '-n', '3'], { stdio: ['ignore', 'ignore', 'ignore', fd] })
    if (status === 0) return { fd, release: () => closeSync(fd) }
    if (status === 1) {
      closeSync(fd)
      return 'held'
    }
  }
  closeSync(fd)
  return null
}

function openLockFile(paths: ServerPaths): number {
  try {
    return openOwn(paths, paths.lockFile, { mode: 0o600 })
  } catch (error) {
    if (error instanceof SwarmError) throw error
    throw failure(`${paths.lockFile} cannot be opened; .swarm/ must be writable by the user who runs swarm`, {
      reason: errnoOf(error),
    })
  }
}

/** Without flock: a file that names its maker, taken away when that process is dead. */
function tryClaimFile(file: string): DirectoryLock | 'held' {
  const mine = JSON.stringify({ ...whereabouts(), pid: process.pid, nonce: Math.random() })
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      const fd = openSync(file, 'wx', 0o644)
      writeSync(fd, mine)
      closeSync(fd)
      return { fd: null, release: () => (read(file) === mine ? rmSync(file, { force: true }) : undefined) }
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw failure(`${file} cannot be written`, { reason: errnoOf(error) })
    }
    const theirs = read(file)
    if (theirs === null) continue
    if (isStarterAlive(file, theirs)) return 'held'
    removeIfStill(file, theirs)
  }
  return 'held'
}

function isStarterAlive(file: string, text: string): boolean {
  const silentMs = Date.now() - (statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0)
  let claim: unknown
  try {
    claim = JSON.parse(text)
  } catch {
    // made a moment ago and not written yet
  }
  if (!isJsonObject(claim) || typeof claim.pid !== 'number') return silentMs < STARTER_SILENT_MS
  const here = whereabouts()
  if (claim.boot_id !== here.boot_id) return claim.machine !== here.machine && silentMs < STARTER_SILENT_MS
  if (claim.pid_ns !== here.pid_ns) return silentMs < STARTER_SILENT_MS
  return isAlive(claim.pid) && silentMs < STARTER_LONGEST_MS
}

/** Two processes may find the same dead claim: only the one that still moves that very claim away has removed it. */
function removeIfStill(file: string, expected: string): void {
  const aside = `${file}.${process.pid}-${Math.random().toString(36).slice(2)}`
  try {
    renameSync(file, aside)
  } catch {
    return
  }
  if (read(aside) !== expected) {
    try {
      linkSync(aside, file)
    } catch {
      // somebody has claimed it meanwhile; the one moved away notices when it releases
    }
  }
  rmSync(aside, { force: true })
}

function read(file: string): string | null {
  try {
    return readText(file, LONGEST_CLAIM)
  } catch {
    return null
  }
}
