import { statSync } from 'node:fs'
import { basename, relative } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { SwarmError } from '../contract/errors.ts'
import { findBinaries } from './binaries.ts'
import { ensureData } from './data.ts'
import { madeHere } from './data-dir.ts'
import { failure } from './failure.ts'
import { isKeeper, startKeeper } from './keeper-start.ts'
import { launch } from './launch.ts'
import { type DirectoryLock, tryLock } from './lock.ts'
import { isSamePlace, whereabouts } from './machine.ts'
import { pathsOf, type ServerPaths } from './paths.ts'
import { type PidFile, readPidFile } from './pidfile.ts'
import { markStopped, type Pointer, readPointer, writePointer } from './pointer.ts'
import { removeFrom } from './powers.ts'
import { endOrphans, isTaken } from './processes.ts'
import { identityOf, recordOf, writeRecord } from './record.ts'
import { findRunning, processesOf, type Sighting } from './running.ts'
import { makeSocketDir } from './socket-dir.ts'
import { endPostmaster } from './stop.ts'
import { type EnsureOptions, IDLE_STOP_MS } from './terms.ts'
import { serverUser } from './user.ts'

/** How long others may take to start or stop the server before we give up on them. */
const OTHERS_MS = 30_000
/** How long our own start may take; crash recovery is the long part. */
const START_MS = 30_000
/** After this long without a sight of the lock's holder, it is said to be elsewhere. */
const UNSEEN_MS = 5_000
const STARTS = 3
/** Names the socket file only; nothing listens on TCP. */
const PORT = 5432

export interface Ensured {
  readonly pointer: Pointer
  readonly started: boolean
}

/** The work of `ensureEmbedded`. */
export async function ensure(swarmDir: string, options: EnsureOptions): Promise<Ensured> {
  const paths = pathsOf(swarmDir, true)
  if (paths === null) throw failure(`${swarmDir} cannot be made`)
  noteMove(paths)
  const begun = performance.now()
  let pause = 20
  let lookAt = 0
  let cutOff = 0
  for (;;) {
    const sighting = await findRunning(paths)
    if (isUp(sighting)) return { pointer: adopt(paths, sighting, options), started: false }
    const lock = tryLock(paths)
    if (lock) return await underLock(paths, lock, options)

    const waited = performance.now() - begun
    if (waited >= lookAt) {
      lookAt = waited + 500
      cutOff = sighting.isCutOff ? cutOff + 1 : 0
      await clearTheWay(paths, sighting, cutOff >= 2, options)
    }
    giveUp(paths, sighting, waited)
    await delay(pause)
    pause = Math.min(250, pause * 1.5)
  }
}

/** A working copy that was moved keeps its data; the record follows it. */
function noteMove(paths: ServerPaths): void {
  const made = madeHere(paths)
  if (made === null) return
  const { record, dataDir } = made
  const now = { ...record, swarm: identityOf(paths.swarmDir), data: identityOf(dataDir) }
  if (JSON.stringify(now) !== JSON.stringify(record)) writeRecord(now)
}

/** Lets a client in, or would: what is wrong then (a dropped database) is for the client to see. */
function isUp(
  sighting: Sighting,
): sighting is Sighting & { readonly file: PidFile; readonly dataDir: string } {
  return (sighting.state === 'ready' || sighting.state === 'failed') && sighting.file !== null
}

async function underLock(paths: ServerPaths, lock: DirectoryLock, options: EnsureOptions): Promise<Ensured> {
  try {
    // a server that was started by hand does not hold the lock
    const sighting = await findRunning(paths)
    if (isUp(sighting)) return { pointer: adopt(paths, sighting, options), started: false }
    return { pointer: await start(paths, lock, options), started: true }
  } finally {
    lock.release()
  }
}

async function start(paths: ServerPaths, lock: DirectoryLock, options: EnsureOptions): Promise<Pointer> {
  const log = options.log ?? (() => {})
  const user = serverUser(paths)
  const binaries = await findBinaries(user, log)
  const dataDir = await ensureData(paths, user, binaries, log)
  const last = readPointer(paths.swarmDir)
  if (last?.pid) markStopped(paths.swarmDir, last.pid)
  const socketDir = makeSocketDir(last, user)
  const cluster = `swarm-${basename(socketDir)}`
  log(`starting Postgres ${binaries.version} on ${dataDir}`)
  let tail = ''
  for (let attempt = 1; attempt <= STARTS; attempt++) {
    await endOrphans(dataDir, last?.cluster ?? null)
    removeForeignPidFile(paths, dataDir)
    const result = await launch({
      paths,
      dataDir,
      socketDir,
      port: PORT,
      cluster,
      user,
      binaries,
      lock,
      timeoutMs: START_MS,
    })
    if (result.state === 'slow') {
      throw failure(
        'the embedded Postgres is still recovering; try again',
        { log: result.log },
        { retryable: true },
      )
    }
    if (result.state === 'ready') {
      return publish(paths, { dataDir, file: result.file, cluster, flock: lock.fd !== null }, options)
    }
    tail = result.log
    log(`start ${attempt} of ${STARTS} failed`)
  }
  throw failure(`the embedded Postgres does not start: ${tail.split('\n').at(-1) ?? ''}`, {
    attempts: STARTS,
    data_dir: dataDir,
    log_file: paths.logFile,
    log: tail,
  })
}

/**
 * Postgres refuses to start while the process that `postmaster.pid` names exists, be it a zombie or somebody else by now. We
 * hold the lock and see no Postgres at work in the directory. Else the file is left to Postgres, which checks its shared memory.
 */
function removeForeignPidFile(paths: ServerPaths, dataDir: string): void {
  const file = readPidFile(dataDir)
  if (file === null || !isTaken(file.pid)) return
  if (processesOf(paths, dataDir).postmasters.length === 0) removeFrom(dataDir, ['postmaster.pid'])
}

/** What to do while somebody else holds the lock and nobody answers. */
async function clearTheWay(
  paths: ServerPaths,
  sighting: Sighting,
  isCutOff: boolean,
  options: EnsureOptions,
): Promise<void> {
  const { dataDir } = sighting
  if (dataDir === null) return
  const { postmasters, orphans } = processesOf(paths, dataDir)
  if (postmasters.length === 0 && orphans.length > 0) {
    options.log?.('ending what a killed Postgres left running')
    await endOrphans(dataDir, readPointer(paths.swarmDir)?.cluster ?? null)
  }
  const [postmaster] = postmasters
  if (isCutOff && postmaster !== undefined) {
    options.log?.('the socket of the running Postgres is gone; restarting it')
    await endPostmaster(postmaster)
  }
}

function giveUp(paths: ServerPaths, sighting: Sighting, waitedMs: number): void {
  if (sighting.state === 'forbidden') throw forbidden(sighting)
  const pointer = readPointer(paths.swarmDir)
  const isElsewhere = pointer !== null && pointer.pid !== null && !isSamePlace(pointer, whereabouts())
  if (isElsewhere && sighting.file === null && waitedMs > UNSEEN_MS) {
    throw failure(
      'the embedded Postgres of this directory runs in another container or on another machine; use it from there, or set DATABASE_URL',
      { machine: pointer.machine.split('/')[0] ?? '', socket_dir: pointer.socket_dir },
      { retryable: true },
    )
  }
  if (waitedMs < OTHERS_MS) return
  throw failure(
    'another process has been starting or stopping the embedded Postgres for too long; try again',
    { waited_ms: Math.round(waitedMs), lock_file: paths.lockFile, log_file: paths.logFile },
    { retryable: true },
  )
}

function forbidden(sighting: Sighting): SwarmError {
  return failure('the embedded Postgres runs as another user; run swarm as that user or as root', {
    socket_dir: sighting.file?.socketDir ?? '',
  })
}

/** Makes the pointer agree with a server that runs: a starter may have died before it wrote it. */
function adopt(
  paths: ServerPaths,
  { file, dataDir }: { readonly file: PidFile; readonly dataDir: string },
  options: EnsureOptions,
): Pointer {
  const last = readPointer(paths.swarmDir)
  if (last?.pid === file.pid && last.socket_dir === file.socketDir) {
    const hasKeeper = last.keeper_pid !== null && isKeeper(last.keeper_pid, paths.swarmDir)
    if (hasKeeper || !isSamePlace(last, whereabouts())) return last
  }
  const cluster = `swarm-${basename(file.socketDir)}`
  return publish(paths, { dataDir, file, cluster, flock: last?.flock ?? false }, options)
}

/** Writes the pointer of a server that runs, with a keeper beside it. */
function publish(
  paths: ServerPaths,
  server: {
    readonly dataDir: string
    readonly file: PidFile
    readonly cluster: string
    readonly flock: boolean
  },
  options: EnsureOptions,
): Pointer {
  const { dataDir, file, cluster, flock } = server
  const record = recordOf(paths.swarmDir, dataDir)
  if (record === null) throw failure('the record of the data is gone', { data_dir: dataDir })
  const inside = relative(paths.swarmDir, dataDir)
  const owner = statSync(dataDir)
  const pointer = {
    record: record.id,
    swarm_inode: paths.inode,
    data_dir: inside.startsWith('..') ? dataDir : inside,
    socket_dir: file.socketDir,
    port: file.port,
    uid: owner.uid,
    cluster,
    pid: file.pid,
    started_at: new Date(file.startedAt * 1000).toISOString(),
    ...whereabouts(),
    flock,
    keeper_pid: null,
    idle_stop_ms: options.idleStopMs ?? IDLE_STOP_MS,
  }
  writePointer(paths.swarmDir, pointer)
  const kept = { ...pointer, keeper_pid: startKeeper(paths, pointer, owner, options) }
  writePointer(paths.swarmDir, kept)
  return kept
}
