import { existsSync, mkdirSync, realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** The files of one embedded server under `.swarm/`. */
export interface ServerPaths {
  /** Real path of `.swarm/`. */
  readonly swarmDir: string
  /** Tells this `.swarm/` from a copy of it. */
  readonly inode: number
  /** The data directory, or a link to it. */
  readonly dataPath: string
  /** Locked while a server runs or is being started or stopped. Never deleted: that would split the lock in two. */
  readonly lockFile: string
  readonly logFile: string
}

/** The paths of a server. Makes `.swarm/` when it is missing and `create` says so. */
export function pathsOf(swarmDir: string, create: boolean): ServerPaths | null {
  if (create) mkdirSync(swarmDir, { recursive: true })
  if (!existsSync(swarmDir)) return null
  const real = realpathSync(swarmDir)
  return {
    swarmDir: real,
    inode: statSync(real).ino,
    dataPath: join(real, 'pg'),
    lockFile: join(real, 'postgres.lock'),
    logFile: join(real, 'postgres.log'),
  }
}
