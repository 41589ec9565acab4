import { statfsSync } from 'node:fs'
import { join } from 'node:path'
import { SWARM_DIR } from '../root/find.ts'
import { bad, type Check, good } from './types.ts'

/** In `.swarm/`: the data of the embedded Postgres, or a link to them where they lie elsewhere. */
const DATA = 'pg'
const GIB = 1024 ** 3
/** Postgres may fill this much with its write-ahead log alone before it takes a checkpoint, and stops when a write to it fails. */
const LEAST_FREE = GIB

/** What `statfs` says of a file system: sizes in blocks of `bsize` bytes. */
export interface Space {
  readonly bsize: number
  readonly blocks: number
  /** Free for users other than root, as whom the server runs. */
  readonly bavail: number
}

/** Whether the disk under the embedded data of the root at `path` has room; before the first start, that under `.swarm/`. */
export function checkDisk(path: string): Check {
  const swarmDir = join(path, SWARM_DIR)
  const dataDir = join(swarmDir, DATA)
  const data = spaceAt(dataDir)
  if (typeof data !== 'string') return disk(data, dataDir)
  const home = data === 'ENOENT' ? spaceAt(swarmDir) : data
  return typeof home === 'string'
    ? bad('disk', `the free disk space of ${dataDir} cannot be read (${home})`)
    : disk(home, swarmDir)
}

/** The rule of `checkDisk`: at least 1 GiB is free for the server. */
export function disk({ bsize, blocks, bavail }: Space, dir: string): Check {
  const free = bavail * bsize
  const detail = `${inGib(free)} of ${inGib(blocks * bsize)} free at ${dir}`
  if (free >= LEAST_FREE) return good('disk', detail)
  return bad(
    'disk',
    `${detail}; below ${inGib(LEAST_FREE)} the embedded Postgres may stop in the middle of its work: make room`,
  )
}

/** The code of the error where it cannot be read. */
function spaceAt(dir: string): Space | string {
  try {
    return statfsSync(dir)
  } catch (error) {
    return (error instanceof Error && 'code' in error && String(error.code)) || String(error)
  }
}

/** Rounded down: what is short of the least must not look like it. */
function inGib(bytes: number): string {
  return `${(Math.floor((bytes / GIB) * 10) / 10).toFixed(1)} GiB`
}
