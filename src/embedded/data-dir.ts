import { lstatSync, readlinkSync, realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { SwarmError } from '../contract/errors.ts'
import { errnoOf, failure } from './failure.ts'
import type { ServerPaths } from './paths.ts'
import { type DataRecord, recordOf } from './record.ts'

/**
 * Real path of the data directory; null before the first start. Only data that this user's record says swarm made here:
 * throws DEPENDENCY for any other, also at the end of a link, and when it is another user's.
 */
export function dataDirOf(paths: ServerPaths): string | null {
  return madeHere(paths)?.dataDir ?? null
}

/** The same with its record. */
export function madeHere(
  paths: ServerPaths,
): { readonly dataDir: string; readonly record: DataRecord } | null {
  const dataDir = whatLiesHere(paths)
  if (dataDir === null) return null
  const record = asOwner(paths, () => recordOf(paths.swarmDir, dataDir))
  if (record === null) throw notMadeHere(paths, dataDir)
  return { dataDir, record }
}

/** Real path of the data directory that lies at, or is linked from, `.swarm/pg`, whosever it is. Not to be started or touched. */
export function whatLiesHere(paths: ServerPaths): string | null {
  return asOwner(paths, () => {
    try {
      statSync(join(paths.dataPath, 'PG_VERSION'))
      return realpathSync(paths.dataPath)
    } catch (error) {
      const reason = errnoOf(error)
      if (reason === 'ENOENT' || reason === 'ENOTDIR') return null
      throw error
    }
  })
}

/** What is said of data that no record names. */
function notMadeHere(paths: ServerPaths, dataDir: string): SwarmError {
  const isLink = lstatSync(paths.dataPath).isSymbolicLink()
  const what = isLink
    ? `is a link to data that swarm did not make here`
    : `holds data that swarm did not make here`
  const why = 'it came with the repository, is a copy, or was made by another user or by version 0.1'
  const wayOut = 'see `swarm db adopt --dry`, and if they are yours `swarm db adopt`; else remove them'
  return failure(`${paths.dataPath} ${what} (${why}): nothing was started or touched; ${wayOut}`, {
    data_dir: paths.dataPath,
    ...(isLink ? { link_to: readlinkSync(paths.dataPath) } : {}),
    owner_uid: statSync(dataDir).uid,
  })
}

function asOwner<T>(paths: ServerPaths, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw failure('the data of this directory belongs to another user; run swarm as that user or as root', {
      data_dir: paths.dataPath,
      reason: errnoOf(error),
    })
  }
}
