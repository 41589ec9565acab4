import { spawnSync } from 'node:child_process'
import { closeSync, existsSync, openSync } from 'node:fs'
import { failure } from './failure.ts'
import { FLOCK } from './flock.ts'

/** The user that is made for servers which root starts: nothing else runs as it. */
export const SYSTEM_USER = 'swarm'

/** How systems make a user without a password, a home and a shell; the first program that is there is used. */
const WAYS: readonly (readonly (readonly string[])[])[] = [
  [
    [
      ...['/usr/sbin/useradd', '--system', '--user-group', '--no-create-home', '--home-dir', '/nonexistent'],
      ...['--shell', '/usr/sbin/nologin', '--comment', 'servers of swarm', SYSTEM_USER],
    ],
  ],
  // of BusyBox
  [
    ['/usr/sbin/addgroup', '-S', SYSTEM_USER],
    [
      ...['/usr/sbin/adduser', '-S', '-D', '-H', '-h', '/nonexistent', '-s', '/sbin/nologin'],
      ...['-G', SYSTEM_USER, '-g', 'servers of swarm', SYSTEM_USER],
    ],
  ],
]
const USERS = '/etc/passwd'
/** Somebody else may be changing the list of users, which locks it. */
const TRIES = 30
const PAUSE_MS = 100
const LONGEST_MS = 20_000

/** Makes the user, unless another process is quicker. `find` looks it up. DEPENDENCY where that cannot be done, with what to do. */
export function makeSystemUser<User>(find: () => User | undefined): User {
  const lock = lockUsers()
  try {
    return find() ?? make(find)
  } finally {
    if (lock !== null) closeSync(lock)
  }
}

function make<User>(find: () => User | undefined): User {
  const way = WAYS.find((commands) => commands.every(([file = '']) => existsSync(file))) ?? []
  let said = 'this system has neither useradd nor the adduser of BusyBox'
  for (let left = way.length > 0 ? TRIES : 0; left > 0; left--) {
    for (const [file = '', ...args] of way) {
      const { stderr, error } = spawnSync(file, args, {
        encoding: 'utf8',
        env: { LC_ALL: 'C' },
        timeout: LONGEST_MS,
      })
      said = (error?.message ?? stderr).trim().slice(0, 300)
    }
    const user = find()
    if (user !== undefined) return user
    if (!/lock|try again/i.test(said)) break
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS)
  }
  throw failure(
    `Postgres does not run as root, and the user ${SYSTEM_USER} could not be made for it (${said}): make it, or name another in SWARM_SERVER_USER`,
    { user: SYSTEM_USER },
  )
}

/**
 * Only one process of swarm makes the user: of two useradd at once, the second gives the name of the first another number. The lock is
 * that of the file as it is now: whoever has that of the next one finds the user in it. Null without flock(1).
 */
function lockUsers(): number | null {
  if (!existsSync(USERS)) return null
  const fd = openSync(USERS, 'r')
  for (const [command, ...args] of FLOCK) {
    const { status } = spawnSync(command, [...args, '3'], {
      stdio: ['ignore', 'ignore', 'ignore', fd],
      timeout: LONGEST_MS,
    })
    if (status === 0) return fd
  }
  closeSync(fd)
  return null
}
