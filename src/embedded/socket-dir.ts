import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, rmdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { errnoOf, failure } from './failure.ts'
import { isPrivateDir, type Pointer } from './pointer.ts'
import { isRoot, makeDirectoryAs, removeDirectoryAs, removeFrom, type ServerUser } from './powers.ts'

/** A socket's path has room for 103 bytes on macOS and 107 on Linux; its name takes 19 with the lock file's. */
const LONGEST = 80
/** `unix_socket_directories` is a list: no commas, quotes or spaces. */
const PLAIN = /^\/[A-Za-z0-9/_.-]+$/

/**
 * A short directory for the socket that only the server's user can enter (and root): the one of the last start, else a new one
 * under $XDG_RUNTIME_DIR or /tmp. Its name is random, so two servers never meet in one.
 */
export function makeSocketDir(last: Pointer | null, user: ServerUser | null): string {
  const uid = user?.uid ?? process.getuid?.() ?? 0
  if (
    last &&
    last.uid === uid &&
    isPrivateDir(last.socket_dir, uid) &&
    isPrivateDir(dirname(last.socket_dir), uid)
  ) {
    clear(last.socket_dir)
    return last.socket_dir
  }
  for (const base of bases(uid, user !== null)) {
    if (!makePrivate(base, uid, user)) continue
    const dir = join(base, randomBytes(5).toString('hex'))
    if (dir.length <= LONGEST && makePrivate(dir, uid, user)) return dir
  }
  throw failure('there is no private directory for the socket of the embedded Postgres', {
    tried: bases(uid, false),
  })
}

/**
 * Removes a socket directory that is not needed any more, of a server that ran as `user`. Root was told its name by a file in `.swarm/`,
 * which may be another user's.
 */
export function removeSocketDir(dir: string, user: ServerUser): void {
  try {
    if (!isPrivateDir(dir, user.uid)) return
    clear(dir)
    if (isRoot()) removeDirectoryAs(user, dir)
    else rmdirSync(dir)
  } catch {
    // gone, or holds what is not ours
  }
}

/** Somebody else may have taken a name in /tmp first: then a random one, known through the pointer file. */
function bases(uid: number, asOther: boolean): string[] {
  const runtime = asOther ? undefined : process.env.XDG_RUNTIME_DIR
  const shared = `/tmp/swarm-${uid}`
  return [
    ...(runtime && PLAIN.test(runtime) && isPrivateDir(runtime, uid) ? [join(runtime, 'swarm')] : []),
    shared,
    `${shared}-${randomBytes(4).toString('hex')}`,
  ]
}

function makePrivate(dir: string, uid: number, user: ServerUser | null): boolean {
  try {
    if (user === null) mkdirSync(dir, { mode: 0o700 })
    else makeDirectoryAs(user, dir)
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') return false
  }
  return isPrivateDir(dir, uid)
}

/** Sockets of a dead server. Under the lock no other one can live there, whatever process ids its lock file names. */
function clear(dir: string): void {
  removeFrom(
    dir,
    readdirSync(dir).filter((name) => name.startsWith('.s.PGSQL.')),
  )
}
