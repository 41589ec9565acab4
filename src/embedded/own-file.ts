import { constants, fchownSync, openSync, statSync } from 'node:fs'
import type { ServerPaths } from './paths.ts'
import { isRoot } from './user.ts'

/**
 * Opens a file of ours in `.swarm/` to append to it, and makes it when it is missing. Root gives it to the owner of `.swarm/`,
 * who may come without root's powers next time. Links are not followed: in somebody else's directory root must not.
 */
export function openOwn(paths: ServerPaths, file: string, mode: number): number {
  const fd = openSync(
    file,
    constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW,
    mode,
  )
  if (isRoot()) {
    const owner = statSync(paths.swarmDir)
    if (owner.uid !== 0) fchownSync(fd, owner.uid, owner.gid)
  }
  return fd
}
