import { lstatSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { isJsonObject } from '../contract/json.ts'
import { readText } from './read-text.ts'
import { isRecordedFor } from './record.ts'

/** Name of the pointer file under `.swarm/`. */
export const POINTER_FILE = 'postgres.json'
const LONGEST = 65_536

/** What `.swarm/postgres.json` holds: where the server's data and socket lie, and who runs it. */
export interface Pointer {
  /** Id of the record of the data. Only who has seen the data or the record knows it. */
  readonly record: string
  /** Inode of the `.swarm/` this was written for: a copied working copy must not use the original's server. */
  readonly swarm_inode: number
  /** Relative to `.swarm/`, or absolute when the server's user cannot reach it. */
  readonly data_dir: string
  readonly socket_dir: string
  readonly port: number
  /** The user that the server runs as, and that owns the socket directory. */
  readonly uid: number
  /** `cluster_name` of the server; stands in the title of each of its processes. */
  readonly cluster: string
  /** Process id of the postmaster; null once it was seen to have stopped. */
  readonly pid: number | null
  /** ISO 8601 UTC. */
  readonly started_at: string
  readonly boot_id: string
  readonly pid_ns: string
  readonly machine: string
  /** True when the server holds an flock of `postgres.lock`. */
  readonly flock: boolean
  readonly keeper_pid: number | null
  /** Milliseconds without a client's activity after which the server stops; 0 for never. */
  readonly idle_stop_ms: number
}

/**
 * Reads the pointer of a `.swarm/`; null when there is none, it is damaged, it was copied from elsewhere, or this user has no record
 * of its data: anybody's repository may hold such a file.
 */
export function readPointer(swarmDir: string): Pointer | null {
  let value: unknown
  try {
    value = JSON.parse(readText(join(swarmDir, POINTER_FILE), LONGEST) ?? 'null')
    if (!isPointer(value) || statSync(swarmDir).ino !== value.swarm_inode) return null
    if (!isRecordedFor(value.record, swarmDir)) return null
  } catch {
    return null
  }
  return value
}

/** Writes the pointer in one step, so that a reader sees the old one or the new one. */
export function writePointer(swarmDir: string, pointer: Pointer): void {
  const file = join(swarmDir, POINTER_FILE)
  const draft = `${file}.${process.pid}-${Math.random().toString(36).slice(2)}`
  writeFileSync(draft, `${JSON.stringify(pointer, null, 2)}\n`, { mode: 0o644, flag: 'wx' })
  renameSync(draft, file)
}

/** Marks the server `pid` as stopped, unless another one has been started since. */
export function markStopped(swarmDir: string, pid: number): void {
  const pointer = readPointer(swarmDir)
  if (pointer?.pid === pid) writePointer(swarmDir, { ...pointer, pid: null, keeper_pid: null })
}

/** Absolute path of the data directory that a pointer names. */
export function dataDirOfPointer(swarmDir: string, pointer: Pointer): string {
  return resolve(swarmDir, pointer.data_dir)
}

/** The path of the server's socket in a socket directory. */
export function socketPath(socketDir: string, port: number): string {
  return join(socketDir, `.s.PGSQL.${port}`)
}

/** True when `path` is a real directory that only `uid` may enter: whoever finds a socket in it can trust it. */
export function isPrivateDir(path: string, uid: number): boolean {
  try {
    const stat = lstatSync(path)
    return stat.isDirectory() && stat.uid === uid && (stat.mode & 0o077) === 0
  } catch {
    return false
  }
}

function isPointer(value: unknown): value is Pointer {
  if (!isJsonObject(value)) return false
  const strings = [
    'record',
    'data_dir',
    'socket_dir',
    'cluster',
    'started_at',
    'boot_id',
    'pid_ns',
    'machine',
  ]
  const numbers = ['swarm_inode', 'port', 'uid', 'idle_stop_ms']
  const pids = ['pid', 'keeper_pid']
  return (
    strings.every((key) => typeof value[key] === 'string') &&
    numbers.every((key) => Number.isFinite(value[key])) &&
    pids.every((key) => value[key] === null || Number.isInteger(value[key])) &&
    typeof value.flock === 'boolean'
  )
}
