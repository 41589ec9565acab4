import { lstatSync, mkdirSync, statSync } from 'node:fs'
import { homedir, userInfo } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { errnoOf, failure } from './failure.ts'

/**
 * Where this user's records of embedded databases lie: `$XDG_STATE_HOME/swarm/embedded`, else `~/.local/state/swarm/embedded`.
 * Null when there is none yet that only this user can write to.
 */
export function stateDir(): string | null {
  const base = stateHome()
  if (base === null) return null
  const dir = join(base, 'swarm', 'embedded')
  return isOwn(dir) ? dir : null
}

/** The same, made when it is missing. Throws DEPENDENCY when it cannot be, or somebody else can write to it. */
export function makeStateDir(): string {
  const base = stateHome()
  const fix = 'set XDG_STATE_HOME to a directory of your own that lasts'
  if (base === null) throw failure(`there is no home directory to note in which databases are yours: ${fix}`)
  const dir = join(base, 'swarm', 'embedded')
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw failure(`${dir}, where swarm notes which databases are yours, cannot be made: ${fix}`, {
      reason: errnoOf(error),
    })
  }
  if (isOwn(dir)) return dir
  throw failure(`${dir}, where swarm notes which databases are yours, must belong to you alone: ${fix}`)
}

/** True when `path` belongs to this user and nobody else may write to it. */
export function isOwn(path: string): boolean {
  try {
    const stat = lstatSync(path)
    return !stat.isSymbolicLink() && stat.uid === process.geteuid?.() && (stat.mode & 0o022) === 0
  } catch {
    return false
  }
}

/** A home that is handed down by another user (`sudo -E`) is not this user's. */
function stateHome(): string | null {
  const given = process.env.XDG_STATE_HOME
  if (given && isAbsolute(given)) return given
  const home = homedir()
  if (statSync(home, { throwIfNoEntry: false })?.uid === process.geteuid?.())
    return join(home, '.local', 'state')
  try {
    return join(userInfo().homedir, '.local', 'state')
  } catch {
    return null
  }
}
