import { readFileSync, statSync } from 'node:fs'
import { SwarmError } from '../contract/errors.ts'
import { dataDirOf } from './data-dir.ts'
import type { ServerPaths } from './paths.ts'
import { isRoot, type ServerUser } from './powers.ts'
import { makeSystemUser, SYSTEM_USER } from './system-user.ts'

/** Users whom other programs run as: what one of them does with its rights, all may do. */
const OTHERS = new Set(['root', 'postgres', 'nobody', 'daemon', 'bin'])

/**
 * Null when the server can run as the caller. For root: the owner of the data, else the user that `SWARM_SERVER_USER` names, the owner
 * of `.swarm/` (so that they can use it without root, too), or the user `swarm`, which is made where there is none.
 */
export function serverUser(paths: ServerPaths): ServerUser | null {
  if (!isRoot()) return null
  const dataDir = dataDirOf(paths)
  const owners = [dataDir, paths.swarmDir].map((path) => (path === null ? null : statSync(path)))
  const choose = () =>
    chooseUser(readPasswd(), owners[0] ?? null, owners[1] ?? null, process.env.SWARM_SERVER_USER || undefined)
  return choose() ?? makeSystemUser(choose)
}

/**
 * The rule of `serverUser` over the text of /etc/passwd; undefined when the user `swarm` is needed and not there. `initdb` needs a user
 * that has an entry. Never one whom others are: `postgres`, `nobody`.
 */
export function chooseUser(
  passwd: string,
  dataOwner: ServerUser | null,
  swarmOwner: ServerUser | null,
  configured?: string,
): ServerUser | undefined {
  if (dataOwner && dataOwner.uid !== 0) return { uid: dataOwner.uid, gid: dataOwner.gid }
  const entries = passwd.split('\n').flatMap((line) => {
    const [name, , uid, gid] = line.split(':')
    return name && uid && gid && Number(uid) > 0 ? [{ name, uid: Number(uid), gid: Number(gid) }] : []
  })
  const named = (name: string) => entries.find((entry) => entry.name === name)
  const chosen = configured === undefined ? undefined : named(configured)
  if (configured !== undefined && (!chosen || OTHERS.has(configured)))
    throw badUser(configured, chosen !== undefined)
  const found = chosen ?? entries.find(({ uid }) => uid === swarmOwner?.uid) ?? named(SYSTEM_USER)
  return found && { uid: found.uid, gid: found.gid }
}

function badUser(name: string, isThere: boolean): SwarmError {
  const why = isThere ? 'is a user whom other programs are' : 'is no user of this system other than root'
  return new SwarmError('INVALID', `SWARM_SERVER_USER names ${name.slice(0, 64)}, which ${why}`, {
    area: 'configuration',
    ctx: {
      kind: 'InvalidValue',
      field: 'SWARM_SERVER_USER',
      expected: 'a user of its own',
      got: name.slice(0, 64),
    },
  })
}

function readPasswd(): string {
  try {
    return readFileSync('/etc/passwd', 'utf8')
  } catch {
    return ''
  }
}
