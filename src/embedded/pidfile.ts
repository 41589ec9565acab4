import { join } from 'node:path'
import { errnoOf, failure } from './failure.ts'
import { readText } from './read-text.ts'

const LONGEST = 65_536

/** `postmaster.pid`, written by Postgres line by line while it starts (its miscadmin.h lists the lines). */
export interface PidFile {
  readonly pid: number
  /** As the postmaster was told; old when the directory has been moved since. */
  readonly dataDir: string
  /** Unix seconds. */
  readonly startedAt: number
  readonly port: number
  readonly socketDir: string
  /** `starting`, `ready`, `stopping`, `standby`; '' when not written yet. */
  readonly status: string
}

/** Reads `postmaster.pid`; null when there is none. Throws DEPENDENCY when the caller may not read it. */
export function readPidFile(dataDir: string): PidFile | null {
  let text: string | null
  try {
    text = readText(join(dataDir, 'postmaster.pid'), LONGEST)
  } catch (error) {
    if (errnoOf(error) !== 'EACCES') return null
    throw failure('the embedded Postgres of this directory belongs to another user; run swarm as that user', {
      data_dir: dataDir,
    })
  }
  return text === null ? null : parsePidFile(text)
}

/** Parses the text of `postmaster.pid`; null when its first line is no process id. */
export function parsePidFile(text: string): PidFile | null {
  const [pid, dataDir = '', startedAt, port, socketDir = '', , , status = ''] = text.split('\n')
  if (!pid || !/^-?\d+$/.test(pid.trim())) return null
  return {
    pid: Math.abs(Number(pid)),
    dataDir,
    startedAt: Number(startedAt) || 0,
    port: Number(port) || 0,
    socketDir,
    status: status.trim(),
  }
}
