import { existsSync, lstatSync, mkdirSync, realpathSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { failure } from './failure.ts'

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

/**
 * The place of a server. Makes `.swarm/` when it is missing and `create` says so, but never the directory that it is in: whoever goes on in a
 * repository that was deleted must not bring it back. Throws DEPENDENCY then, and when `.swarm` is a link: a repository that holds one would
 * command the server of another directory.
 */
export function pathsOf(swarmDir: string, create: boolean): ServerPaths | null {
  if (lstatSync(swarmDir, { throwIfNoEntry: false })?.isSymbolicLink()) {
    throw failure(
      `${swarmDir} is a link, and links are not followed: remove it, or set SWARM_ROOT to the directory that is meant`,
      { swarm_dir: swarmDir },
    )
  }
  if (create) make(swarmDir)
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

function make(swarmDir: string): void {
  try {
    mkdirSync(swarmDir)
  } catch (error) {
    if (existsSync(swarmDir)) return
    if (existsSync(dirname(swarmDir))) throw error
    throw failure(`${dirname(swarmDir)} is not there any more`, { swarm_dir: swarmDir })
  }
}
