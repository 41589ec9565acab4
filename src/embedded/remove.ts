import { spawnSync } from 'node:child_process'
import { lstatSync, readdirSync, rmdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { isRoot, type ServerUser } from './user.ts'

/**
 * Removes what is at `path`, with all that is in it; nothing there is fine. Root walks through nothing that belongs to somebody else,
 * who could put a link in the way: that is emptied with its owner's powers.
 */
export function removeTree(path: string): void {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return
  if (!isRoot() || !stat.isDirectory()) {
    rmSync(path, { recursive: !isRoot(), force: true })
    return
  }
  const names = readdirSync(path)
  if (stat.uid === 0) for (const name of names) removeTree(join(path, name))
  else removeAs(stat, path, names)
  rmdirSync(path)
}

/** Removes entries of `dir`, which it enters first, with the powers of `user` and no others. What that user may not remove stays. */
export function removeAs({ uid, gid }: ServerUser, dir: string, names: readonly string[]): void {
  if (uid === 0 || names.length === 0) return
  const files = names.map((name) => `./${name}`)
  spawnSync('rm', ['-rf', '--', ...files], { cwd: dir, stdio: 'ignore', uid, gid })
}
