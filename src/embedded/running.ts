import { existsSync } from 'node:fs'
import { type Answer, ask } from './ask.ts'
import { dataDirOf } from './data-dir.ts'
import type { ServerPaths } from './paths.ts'
import { type PidFile, readPidFile } from './pidfile.ts'
import { readPointer, socketPath } from './pointer.ts'
import { type ServerProcesses, serverProcesses } from './processes.ts'
import { EMBEDDED_DATABASE, EMBEDDED_USER } from './terms.ts'

/** What can be seen of a server from here. */
export interface Sighting {
  readonly state: Answer['state']
  /** Of the server that was seen; null when none was. */
  readonly file: PidFile | null
  readonly dataDir: string | null
  /** It runs, and the file that clients connect to is gone. */
  readonly isCutOff: boolean
}

const NOTHING = { state: 'away', file: null, isCutOff: false } as const

/**
 * Looks for the server of these paths: its `postmaster.pid` says where the socket is, the socket says how it is. The process id
 * alone proves nothing: after a boot, in another container or in a copied directory it is somebody else's.
 */
export async function findRunning(paths: ServerPaths): Promise<Sighting> {
  const dataDir = dataDirOf(paths)
  const file = dataDir === null ? null : readPidFile(dataDir)
  if (dataDir === null || file === null || file.socketDir === '') return { ...NOTHING, dataDir }
  if (!isItsOwn(paths, dataDir, file)) return { ...NOTHING, dataDir }
  const socket = socketPath(file.socketDir, file.port)
  const answer = await ask({ socket, user: EMBEDDED_USER, database: EMBEDDED_DATABASE, timeoutMs: 2_000 })
  const isHere = answer.state !== 'away'
  const isCutOff =
    !isHere &&
    file.status === 'ready' &&
    !existsSync(socket) &&
    processesOf(paths, dataDir).postmasters.includes(file.pid)
  return { state: answer.state, file: isHere || isCutOff ? file : null, dataDir, isCutOff }
}

/** The server's processes that can be seen from here. */
export function processesOf(paths: ServerPaths, dataDir: string): ServerProcesses {
  return serverProcesses(dataDir, readPointer(paths.swarmDir)?.cluster ?? null)
}

/** A copied directory has the original's `postmaster.pid`: the paths differ then, and the process works elsewhere. */
function isItsOwn(paths: ServerPaths, dataDir: string, file: PidFile): boolean {
  return file.dataDir === dataDir || processesOf(paths, dataDir).postmasters.includes(file.pid)
}
