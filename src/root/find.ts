import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

export const SWARM_DIR = '.swarm'

/**
 * The directory that holds `.swarm/`: `SWARM_ROOT`, else the nearest parent with `.swarm/`, else the main worktree of the
 * git repository that `cwd` is a linked worktree of (agents sit in worktrees). Null when there is none.
 */
export function findRoot(cwd: string, env: Readonly<Record<string, string | undefined>>): string | null {
  if (env.SWARM_ROOT) {
    const root = resolve(cwd, env.SWARM_ROOT)
    return isDirectory(join(root, SWARM_DIR)) ? root : null
  }
  const start = resolve(cwd)
  const parent = nearest(start, (dir) => isDirectory(join(dir, SWARM_DIR)))
  if (parent) return parent
  const main = mainWorktree(start)
  return main && isDirectory(join(main, SWARM_DIR)) ? main : null
}

/** Where `init` should put `.swarm/`: the main worktree's top level when `cwd` is in a git repository, else `cwd`. */
export function rootForInit(cwd: string, env: Readonly<Record<string, string | undefined>>): string {
  if (env.SWARM_ROOT) return resolve(cwd, env.SWARM_ROOT)
  const start = resolve(cwd)
  return mainWorktree(start) ?? nearest(start, (dir) => existsSync(join(dir, '.git'))) ?? start
}

/** A linked worktree's `.git` is a file that names a directory below the main repository's common directory. */
function mainWorktree(start: string): string | null {
  const top = nearest(start, (dir) => existsSync(join(dir, '.git')))
  if (!top || isDirectory(join(top, '.git'))) return null
  const gitDir = /^gitdir: (.+)$/m.exec(readText(join(top, '.git')))?.[1]
  if (!gitDir) return null
  const linked = resolve(top, gitDir)
  const common = readText(join(linked, 'commondir')).trim()
  return common ? dirname(resolve(linked, common)) : null
}

function nearest(start: string, matches: (dir: string) => boolean): string | null {
  for (let dir = start; ; dir = dirname(dir)) {
    if (matches(dir)) return dir
    if (dir === dirname(dir)) return null
  }
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
