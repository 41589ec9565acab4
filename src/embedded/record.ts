import { randomBytes } from 'node:crypto'
import { lstatSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isJsonObject } from '../contract/json.ts'
import { errnoOf, failure } from './failure.ts'
import { isRoot, removeFrom, writeFileAs } from './powers.ts'
import { readText } from './read-text.ts'
import { isOwn, makeStateDir, stateDir } from './state-dir.ts'

/** A directory as it was when it was noted. */
export interface Identity {
  /** Real path. */
  readonly path: string
  readonly dev: string
  readonly inode: string
}

/**
 * One file of the user's state directory: swarm made the database `data` for `.swarm/` `swarm`, on this user's word. A tree that
 * somebody else wrote can hold any data, links and pointers; it cannot hold this.
 */
export interface DataRecord {
  /** Random; stands in the data directory, too, so that a directory that got the same inode later is not taken for it. */
  readonly id: string
  readonly swarm: Identity
  readonly data: Identity
  /** What the user accepted though it may run code at a start; as `concernsOf` says it. */
  readonly accepted: readonly string[]
}

/** In the data directory. */
const ID_FILE = 'swarm-id'
const ID = /^[0-9a-f]{32}$/
const LONGEST = 1024 * 1024

/** A directory's identity. Throws what lstat(2) throws. */
export function identityOf(path: string): Identity {
  const stat = lstatSync(path, { bigint: true })
  return { path, dev: String(stat.dev), inode: String(stat.ino) }
}

/** The record that says that `dataDir` (a real path) was made for `swarmDir` (a real path); null when none does. */
export function recordOf(swarmDir: string, dataDir: string): DataRecord | null {
  const id = readId(dataDir)
  const record = id === null ? null : readRecord(id)
  return record && isStill(record.swarm, swarmDir) && isStill(record.data, dataDir) ? record : null
}

/** True when record `id` is this user's and is about `swarmDir`. A link is not believed. */
export function isRecordedFor(id: string, swarmDir: string): boolean {
  try {
    if (lstatSync(swarmDir).isSymbolicLink()) return false
    const record = readRecord(id)
    return record !== null && isStill(record.swarm, realpathSync(swarmDir))
  } catch {
    return false
  }
}

/** True when this user has a record of that id, about whatever directory. */
export function isRecorded(id: string): boolean {
  return readRecord(id) !== null
}

/** Notes a record, in one step. Throws DEPENDENCY when the state directory cannot be used. */
export function writeRecord(record: DataRecord): void {
  const file = join(makeStateDir(), `${record.id}.json`)
  const draft = `${file}.${randomBytes(6).toString('hex')}`
  writeFileSync(draft, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600, flag: 'wx' })
  renameSync(draft, file)
}

/** Forgets a record; one that is gone is fine. */
export function removeRecord(id: string): void {
  const dir = stateDir()
  if (dir !== null) rmSync(join(dir, `${id}.json`), { force: true })
}

/** The id that a data directory carries; null when it has none. Throws EACCES when it may not be read. */
export function readId(dataDir: string): string | null {
  try {
    const text = readText(join(dataDir, ID_FILE), 64)?.trim() ?? ''
    return ID.test(text) ? text : null
  } catch (error) {
    if (errnoOf(error) === 'EACCES' || errnoOf(error) === 'EPERM') throw error
    return null
  }
}

/** Gives a data directory a new id; root writes it as the directory's owner. What stands there is replaced. */
export function writeId(dataDir: string): string {
  const id = randomBytes(16).toString('hex')
  const owner = lstatSync(dataDir)
  removeFrom(dataDir, [ID_FILE])
  if (!isRoot() || owner.uid === 0) {
    writeFileSync(join(dataDir, ID_FILE), `${id}\n`, { mode: 0o600, flag: 'wx' })
  } else if (!writeFileAs(owner, dataDir, ID_FILE, `${id}\n`)) {
    throw failure('the id of the data could not be written', { data_dir: dataDir })
  }
  return id
}

/** Moving keeps device and inode; a device may get another number at a boot, while the path stays. */
function isStill(noted: Identity, path: string): boolean {
  const now = identityOf(path)
  return noted.inode === now.inode && (noted.dev === now.dev || noted.path === now.path)
}

function readRecord(id: string): DataRecord | null {
  const dir = stateDir()
  if (dir === null || !ID.test(id)) return null
  const file = join(dir, `${id}.json`)
  try {
    const value: unknown = isOwn(file) ? JSON.parse(readText(file, LONGEST) ?? 'null') : null
    return isDataRecord(value) && value.id === id ? value : null
  } catch {
    return null
  }
}

function isDataRecord(value: unknown): value is DataRecord {
  return (
    isJsonObject(value) &&
    typeof value.id === 'string' &&
    isIdentity(value.swarm) &&
    isIdentity(value.data) &&
    Array.isArray(value.accepted) &&
    value.accepted.every((one) => typeof one === 'string')
  )
}

function isIdentity(value: unknown): value is Identity {
  return isJsonObject(value) && ['path', 'dev', 'inode'].every((key) => typeof value[key] === 'string')
}
