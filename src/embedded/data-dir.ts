import { realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOf, failure } from './failure.ts'
import { externalOwner } from './origin.ts'
import type { ServerPaths } from './paths.ts'

/**
 * Real path of the data directory; null before the first start, also when `.swarm/` was copied and its link leads to the original's.
 * Throws DEPENDENCY when it is another user's.
 */
export function dataDirOf(paths: ServerPaths): string | null {
  try {
    if (externalOwner(paths) === 'original') return null
    statSync(join(paths.dataPath, 'PG_VERSION'))
    return realpathSync(paths.dataPath)
  } catch (error) {
    const reason = errnoOf(error)
    if (reason === 'ENOENT' || reason === 'ENOTDIR') return null
    throw failure('the data of this directory belongs to another user; run swarm as that user or as root', {
      data_dir: paths.dataPath,
      reason,
    })
  }
}
