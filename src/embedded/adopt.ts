import { lstatSync, readlinkSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { SwarmError } from '../contract/errors.ts'
import { concernsOf } from './concerns.ts'
import { whatLiesHere } from './data-dir.ts'
import { failure } from './failure.ts'
import { externalHome, isMadeFor } from './origin.ts'
import { pathsOf, type ServerPaths } from './paths.ts'
import { readText } from './read-text.ts'
import { identityOf, isRecorded, readId, recordOf, writeId, writeRecord } from './record.ts'

/** The data at `.swarm/pg`, as it would be accepted. */
export interface Adoptable {
  readonly data_dir: string
  /** The user that the server would run as. */
  readonly owner_uid: number
  /** Major version, as `18`. */
  readonly data_version: string
  /** What would load a library, run a command or work on files elsewhere at a start. */
  readonly concerns: readonly string[]
  /** This user's record names it already, with these concerns. */
  readonly adopted: boolean
}

/** What lies here, for the user to judge. Starts and writes nothing. Throws DEPENDENCY when there is nothing that can be adopted. */
export function look(swarmDir: string): Adoptable {
  return lookAt(mustPaths(swarmDir))
}

/**
 * The work of `adoptEmbedded`: true when a record was written. Throws INVALID with the concerns in `ctx` unless there are none or
 * `force` accepts them.
 */
export function adopt(swarmDir: string, force: boolean): boolean {
  const paths = mustPaths(swarmDir)
  const found = lookAt(paths)
  if (found.adopted) return false
  if (found.concerns.length > 0 && !force) throw unforced(found)
  const { data_dir: dataDir, concerns } = found
  // two users of one directory keep one id; a copy gets its own
  const known = readId(dataDir)
  const isKept = known !== null && (recordOf(paths.swarmDir, dataDir) !== null || !isRecorded(known))
  const id = isKept ? known : writeId(dataDir)
  writeRecord({ id, swarm: identityOf(paths.swarmDir), data: identityOf(dataDir), accepted: concerns })
  return true
}

function lookAt(paths: ServerPaths): Adoptable {
  const dataDir = whatLiesHere(paths)
  if (dataDir === null) {
    throw failure(`there is no data at ${paths.dataPath}: swarm makes it when it is needed`, {
      data_dir: paths.dataPath,
    })
  }
  const home = externalHome(paths)
  if (lstatSync(paths.dataPath).isSymbolicLink() && (home === null || !isMadeFor(home, paths))) {
    throw failure(
      `${paths.dataPath} is a link to data that are not this directory's, and links are not followed: remove the link, and swarm makes new data`,
      { data_dir: paths.dataPath, link_to: readlinkSync(paths.dataPath) },
    )
  }
  const concerns = concernsOf(dataDir)
  const record = recordOf(paths.swarmDir, dataDir)
  return {
    data_dir: dataDir,
    owner_uid: statSync(dataDir).uid,
    data_version: readText(join(dataDir, 'PG_VERSION'), 64)?.trim().slice(0, 8) ?? '',
    concerns,
    adopted: record !== null && concerns.every((one) => record.accepted.includes(one)),
  }
}

function mustPaths(swarmDir: string): ServerPaths {
  const paths = pathsOf(swarmDir, false)
  if (paths === null) throw failure(`${swarmDir} is missing`)
  return paths
}

function unforced(found: Adoptable): SwarmError {
  return new SwarmError(
    'INVALID',
    `a server on ${found.data_dir} would do what its files say: ${found.concerns.join('; ')}. Accept that with force only if you wrote them`,
    {
      ctx: {
        kind: 'MissingField',
        field: 'force',
        expected: 'true',
        data_dir: found.data_dir,
        owner_uid: found.owner_uid,
        concerns: found.concerns,
      },
    },
  )
}
