import { closeSync, constants, fchmodSync, fchownSync, fstatSync, openSync, statSync } from 'node:fs'
import type { SwarmError } from '../contract/errors.ts'
import { errnoOf, failure } from './failure.ts'
import type { ServerPaths } from './paths.ts'
import { isRoot } from './powers.ts'

const { O_RDWR, O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK } = constants

/**
 * Opens a file of ours in `.swarm/` to read it and write to it, and makes it when it is missing. Root gives a new one to the owner of
 * `.swarm/`, who may come without root's powers next time. Links are not followed, and neither is a second name of a file elsewhere: in
 * somebody else's directory root must not. Throws DEPENDENCY for those, else what open(2) throws.
 */
export function openOwn(
  paths: ServerPaths,
  file: string,
  { mode, append = false }: { readonly mode: number; readonly append?: boolean },
): number {
  const flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | (append ? O_APPEND : 0)
  const { fd, isNew } = openOrMake(file, flags, mode)
  const stat = fstatSync(fd)
  const owner = statSync(paths.swarmDir)
  if (!stat.isFile() || stat.nlink > 1) {
    closeSync(fd)
    throw notItsOwn(file)
  }
  const mayChange = isRoot() || stat.uid === process.geteuid?.()
  // earlier versions and another umask made it otherwise
  if (mayChange && (stat.mode & 0o777) !== mode) fchmodSync(fd, mode)
  if (isNew && isRoot() && owner.uid !== 0) fchownSync(fd, owner.uid, owner.gid)
  return fd
}

function openOrMake(
  file: string,
  flags: number,
  mode: number,
): { readonly fd: number; readonly isNew: boolean } {
  for (;;) {
    try {
      return { fd: openSync(file, flags), isNew: false }
    } catch (error) {
      if (errnoOf(error) === 'ELOOP') throw notItsOwn(file)
      if (errnoOf(error) !== 'ENOENT') throw error
    }
    try {
      return { fd: openSync(file, flags | O_CREAT | O_EXCL, mode), isNew: true }
    } catch (error) {
      // another process was faster
      if (errnoOf(error) !== 'EEXIST') throw error
    }
  }
}

function notItsOwn(file: string): SwarmError {
  return failure(`${file} cannot be opened: it is a link, has a second name or is no file; remove it`, {
    file,
  })
}
