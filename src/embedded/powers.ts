import { spawnSync } from 'node:child_process'
import {
  closeSync,
  constants,
  fchownSync,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  rmdirSync,
  rmSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { failure } from './failure.ts'

/*
 * What root does in directories of others. Between a look at a name and its use the owner of the directory can put a link there. So it is
 * done by a process of that user, which can do no more than the user, or through a descriptor.
 */

/** The user that a server run by root runs as. Postgres refuses to run as root. */
export interface ServerUser {
  readonly uid: number
  readonly gid: number
}

/** True when this process is root. */
export function isRoot(): boolean {
  return process.getuid?.() === 0
}

/** Removes what is at `path`, with all that is in it; nothing there is fine. */
export function removeTree(path: string): void {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return
  if (!isRoot() || !stat.isDirectory()) {
    rmSync(path, { recursive: !isRoot(), force: true })
    return
  }
  if (stat.uid !== 0) removeFrom(path, readdirSync(path))
  // where others may rename it, what root made is empty or not root's to empty
  else if (isRootsAlone(dirname(path))) for (const name of readdirSync(path)) removeTree(join(path, name))
  rmdirSync(path)
}

/** Removes entries of `dir`. Root does it as the directory's owner; what that user may not remove stays. */
export function removeFrom(dir: string, names: readonly string[]): void {
  if (names.length === 0) return
  const stat = lstatSync(dir)
  if (!isRoot() || stat.uid === 0) {
    for (const name of names) rmSync(join(dir, name), { force: true })
    return
  }
  runAs(stat, dir, ['rm', '-rf', '--', ...names.map((name) => `./${name}`)])
}

/** Makes a directory that only `user` may enter, as that user. False when there is something at the path, or it cannot be made. */
export function makeDirectoryAs(user: ServerUser, path: string): boolean {
  return runAs(user, '/', ['mkdir', '-m', '700', '--', path])
}

/** Removes an empty directory as `user`. */
export function removeDirectoryAs(user: ServerUser, path: string): void {
  runAs(user, '/', ['rmdir', '--', path])
}

/** Writes a file in a directory as `user`. False when it cannot be written. */
export function writeFileAs(user: ServerUser, dir: string, name: string, text: string): boolean {
  return runAs(user, dir, ['tee', '--', name], text)
}

/** Gives a directory that root has just made, and that is empty for others, to `user`. Throws DEPENDENCY when another stands there by now. */
export function giveDirectory(path: string, { uid, gid }: ServerUser): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  try {
    const stat = fstatSync(fd)
    if (stat.uid !== 0 || (stat.mode & 0o777) !== 0o700) {
      throw failure(`${path} was replaced while it was being made`, { path })
    }
    fchownSync(fd, uid, gid)
  } finally {
    closeSync(fd)
  }
}

function isRootsAlone(dir: string): boolean {
  const { uid, mode } = lstatSync(dir)
  return uid === 0 && (mode & 0o022) === 0
}

/** The command enters `cwd` before it is the user: it needs no access to what lies above. Never run as root. */
function runAs({ uid, gid }: ServerUser, cwd: string, command: readonly string[], input = ''): boolean {
  const [file = '', ...args] = command
  if (uid === 0) return false
  return spawnSync(file, args, { cwd, input, stdio: ['pipe', 'ignore', 'ignore'], uid, gid }).status === 0
}
