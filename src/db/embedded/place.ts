import { constants, existsSync, fchownSync, mkdirSync, openSync, realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOf, failure } from './failure.ts'
import { externalOwner } from './origin.ts'
import { isRoot } from './user.ts'

/** The files of one embedded server under `.swarm/`. */
export interface Place {
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

/** The place of a server. Makes `.swarm/` when it is missing and `create` says so. */
export function placeOf(swarmDir: string, create: boolean): Place | null {
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

/**
 * Real path of the data directory; null before the first start, also when `.swarm/` was copied and its link leads to the original's.
 * Throws DEPENDENCY when it is another user's.
 */
export function dataDirOf(place: Place): string | null {
  try {
    if (externalOwner(place) === 'original') return null
    statSync(join(place.dataPath, 'PG_VERSION'))
    return realpathSync(place.dataPath)
  } catch (error) {
    const reason = errnoOf(error)
    if (reason === 'ENOENT' || reason === 'ENOTDIR') return null
    throw failure('the data of this directory belongs to another user; run swarm as that user or as root', {
      data_dir: place.dataPath,
      reason,
    })
  }
}

/**
 * Opens a file of ours in `.swarm/` to append to it, and makes it when it is missing. Root gives it to the owner of `.swarm/`,
 * who may come without root's powers next time. Links are not followed: in somebody else's directory root must not.
 */
export function openOwn(place: Place, file: string, mode: number): number {
  const fd = openSync(
    file,
    constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW,
    mode,
  )
  if (isRoot()) {
    const owner = statSync(place.swarmDir)
    if (owner.uid !== 0) fchownSync(fd, owner.uid, owner.gid)
  }
  return fd
}
