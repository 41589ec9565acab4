import { readFileSync, statSync } from 'node:fs'
import { dataDirOf } from './data-dir.ts'
import type { ServerPaths } from './paths.ts'
import { isRoot, type ServerUser } from './powers.ts'

/**
 * Null when the server can run as the caller. For root: the owner of the data, else the owner of `.swarm/` (so that they
 * can use it without root, too), else `postgres`, `nobody`, or whoever the system knows.
 */
export function serverUser(paths: ServerPaths): ServerUser | null {
  if (!isRoot()) return null
  const dataDir = dataDirOf(paths)
  const owners = [dataDir, paths.swarmDir].map((path) => (path === null ? null : statSync(path)))
  return chooseUser(readPasswd(), owners[0] ?? null, owners[1] ?? null)
}

/** The rule of `serverUser` over the text of /etc/passwd. `initdb` needs a user that has an entry there. */
export function chooseUser(
  passwd: string,
  dataOwner: ServerUser | null,
  swarmOwner: ServerUser | null,
): ServerUser {
  if (dataOwner && dataOwner.uid !== 0) return { uid: dataOwner.uid, gid: dataOwner.gid }
  const entries = passwd.split('\n').flatMap((line) => {
    const [name, , uid, gid] = line.split(':')
    return name && uid && gid ? [{ name, uid: Number(uid), gid: Number(gid) }] : []
  })
  const found =
    entries.find((entry) => entry.uid !== 0 && entry.uid === swarmOwner?.uid) ??
    entries.find((entry) => entry.name === 'postgres') ??
    entries.find((entry) => entry.name === 'nobody') ??
    entries.find((entry) => entry.uid > 0)
  return found && found.uid > 0 ? { uid: found.uid, gid: found.gid } : { uid: 65_534, gid: 65_534 }
}

function readPasswd(): string {
  try {
    return readFileSync('/etc/passwd', 'utf8')
  } catch {
    return ''
  }
}
