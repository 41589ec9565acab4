import { lstatSync, readFileSync, realpathSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { isJsonObject } from '../contract/json.ts'
import { errnoOf } from './failure.ts'
import type { ServerPaths } from './paths.ts'

/** Beside data that lies outside `.swarm/`: whose it is. */
const ORIGIN = 'origin.json'

interface Origin {
  readonly swarm_dir: string
  readonly swarm_inode: number
}

/**
 * Whose data the link `.swarm/pg` leads to. A copied working copy still names the data of the original, and two
 * servers on one directory lose rows: `original`. One that was moved keeps its own: `moved`.
 * `none`: the data lies in `.swarm/` itself, or there is none.
 */
export function externalOwner(paths: ServerPaths): 'us' | 'moved' | 'original' | 'none' {
  const home = externalHome(paths)
  if (home === null) return 'none'
  const origin = readOrigin(home)
  if (origin === null || origin.swarm_inode === paths.inode) return 'us'
  const theirs = statSync(origin.swarm_dir, { throwIfNoEntry: false })?.ino === origin.swarm_inode
  return theirs ? 'original' : 'moved'
}

/** The directory around data that lies outside `.swarm/`; null when it lies inside or is gone. */
export function externalHome(paths: ServerPaths): string | null {
  if (!lstatSync(paths.dataPath, { throwIfNoEntry: false })?.isSymbolicLink()) return null
  try {
    return dirname(realpathSync(paths.dataPath))
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  }
}

/** Notes whose data lies in `home`. */
export function writeOrigin(home: string, paths: ServerPaths): void {
  const origin: Origin = { swarm_dir: paths.swarmDir, swarm_inode: paths.inode }
  writeFileSync(join(home, ORIGIN), `${JSON.stringify(origin)}\n`, { mode: 0o644 })
}

function readOrigin(home: string): Origin | null {
  try {
    const value: unknown = JSON.parse(readFileSync(join(home, ORIGIN), 'utf8'))
    if (!isJsonObject(value)) return null
    const { swarm_dir, swarm_inode } = value
    return typeof swarm_dir === 'string' && typeof swarm_inode === 'number'
      ? { swarm_dir, swarm_inode }
      : null
  } catch {
    return null
  }
}
