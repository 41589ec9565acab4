import {
  closeSync,
  copyFileSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  statSync,
} from 'node:fs'
import { openOwn } from './own-file.ts'
import type { ServerPaths } from './paths.ts'

const START_BYTES = 1024 * 1024
const LONGEST_BYTES = 8 * 1024 * 1024
const TAIL_BYTES = 4_096
const TAIL_LINES = 20

/** Opens the server's log to append to it; a long one is put aside first, as `postgres.log.1`. */
export function openLog(paths: ServerPaths): { readonly fd: number; readonly offset: number } {
  const size = statSync(paths.logFile, { throwIfNoEntry: false })?.size ?? 0
  if (size > START_BYTES) renameSync(paths.logFile, `${paths.logFile}.1`)
  const fd = openOwn(paths, paths.logFile, 0o600)
  return { fd, offset: fstatSync(fd).size }
}

/** The last lines written to the log since `offset`. */
export function logTail(paths: ServerPaths, offset: number): string {
  let fd: number
  try {
    fd = openSync(paths.logFile, 'r')
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

/** Empties a log that has grown too long under a running server, which goes on appending to the same file. */
export function boundLog(paths: ServerPaths): void {
  const size = statSync(paths.logFile, { throwIfNoEntry: false })?.size ?? 0
  if (size <= LONGEST_BYTES) return
  copyFileSync(paths.logFile, `${paths.logFile}.1`)
  const fd = openOwn(paths, paths.logFile, 0o600)
  ftruncateSync(fd, 0)
  closeSync(fd)
}
