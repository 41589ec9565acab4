import { realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOf, failure } from './failure.ts'
import { externalOwner } from './origin.ts'
import type { Place } from './paths.ts'

/**
 * Real path of the data directory; null before the first start, also when `.swarm/` was copied and its link leads to the original's.
 * Throws DEPENDENCY when it is another user's.
 */
export function dataDirOf(place: Place): string | null {
  try {
    if (externalOwner(place) === 'original') return null
    statSync(join(place.dataPath, 'PG_VERSION'))
    return realpathSync(place.dataPath)
  } catch (error) {
    const reason = errnoOf(error)
    if (reason === 'ENOENT' || reason === 'ENOTDIR') return null
    throw failure('the data of this directory belongs to another user; run swarm as that user or as root', {
      data_dir: place.dataPath,
      reason,
    })
  }
}
