import { lstatSync, realpathSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { isJsonObject } from '../contract/json.ts'
import { SYSTEM_HOMES } from './binaries.ts'
import { errnoOf } from './failure.ts'
import type { ServerPaths } from './paths.ts'
import { readText } from './read-text.ts'

/** Beside data that lies outside `.swarm/`: whose it is. */
const ORIGIN = 'origin.json'
/** Start of the names of the directories that hold such data. */
export const EXTERNAL = 'data-'

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
  const origin = { swarm_dir: paths.swarmDir, swarm_inode: paths.inode }
  writeFileSync(join(home, ORIGIN), `${JSON.stringify(origin)}\n`, { mode: 0o644 })
}

/** True when root made `home` for the data of this very `.swarm/`: a link elsewhere may lead anywhere. */
export function isMadeFor(home: string, paths: ServerPaths): boolean {
  if (!SYSTEM_HOMES.includes(dirname(home)) || !basename(home).startsWith(EXTERNAL)) return false
  try {
    const value: unknown = JSON.parse(readText(join(home, ORIGIN), 65_536) ?? 'null')
    return isJsonObject(value) && value.swarm_inode === paths.inode
  } catch {
    return false
  }
}
