import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  lstatSync,
  openSync,
  readSync,
  renameSync,
  writeSync,
} from 'node:fs'
import { openOwn } from './own-file.ts'
import type { ServerPaths } from './paths.ts'

const START_BYTES = 1024 * 1024
const LONGEST_BYTES = 8 * 1024 * 1024
/** What stays of a log that grew too long. */
const KEPT_BYTES = 1024 * 1024
const TAIL_BYTES = 4_096
const TAIL_LINES = 20

/** Opens the server's log to append to it; a long one is put aside first, as `postgres.log.1`. */
export function openLog(paths: ServerPaths): { readonly fd: number; readonly offset: number } {
  const size = lstatSync(paths.logFile, { throwIfNoEntry: false })?.size ?? 0
  if (size > START_BYTES) renameSync(paths.logFile, `${paths.logFile}.1`)
  const fd = openOwn(paths, paths.logFile, { mode: 0o600, append: true })
  return { fd, offset: fstatSync(fd).size }
}

/** The last lines written to the log since `offset`. */
export function logTail(paths: ServerPaths, offset: number): string {
  let fd: number
  try {
    fd = openSync(paths.logFile, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch {
    return ''
  }
  try {
    const from = Math.max(offset, fstatSync(fd).size - TAIL_BYTES)
    const buffer = Buffer.alloc(TAIL_BYTES)
    const text = buffer.toString('utf8', 0, readSync(fd, buffer, 0, TAIL_BYTES, from))
    return text.trim().split('\n').slice(-TAIL_LINES).join('\n')
  } finally {
    closeSync(fd)
  }
}

/**
 * Shortens a log that has grown too long under a running server, which goes on appending to the same file: its newest lines stay. `fd`
 * is the log as `openLog` opens it; no name is looked up, which could lead elsewhere by now.
 */
export function boundLog(fd: number): void {
  const { size } = fstatSync(fd)
  if (size <= LONGEST_BYTES) return
  const newest = Buffer.alloc(KEPT_BYTES)
  const length = readSync(fd, newest, 0, KEPT_BYTES, size - KEPT_BYTES)
  ftruncateSync(fd, 0)
  writeSync(fd, newest.subarray(newest.indexOf('\n') + 1, length))
}
