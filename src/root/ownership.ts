import { lstatSync, readFileSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { SwarmError } from '../contract/errors.ts'
import { SWARM_DIR } from './find.ts'
import { safeRoots } from './user-config.ts'

/** What of a file or directory decides whether somebody else can put another in its place. */
export interface Owned {
  readonly uid: number
  readonly gid: number
  readonly mode: number
  readonly isLink: boolean
  readonly isDirectory: boolean
}

type Env = Readonly<Record<string, string | undefined>>

const GROUP_WRITES = 0o020
const OTHERS_WRITE = 0o002
const STICKY = 0o1000

/**
 * Why what is at a place cannot be believed by the user `uid`, in words that follow its name; null when it can. It must belong
 * to the user, be no link, and not be open to others. A sticky directory is open to nobody but the owners of what is in it.
 * `isOwnGroup` says whether a group has no member but the user.
 */
export function suspicion(owned: Owned, uid: number, isOwnGroup: (gid: number) => boolean): string | null {
  const { mode, gid, isLink, isDirectory } = owned
  if (isLink) return 'is a symbolic link'
  const sticky = isDirectory && (mode & STICKY) !== 0
  if (owned.uid !== uid) return `belongs to another user (uid ${owned.uid}; you are ${uid})`
  if (sticky) return null
  if ((mode & OTHERS_WRITE) !== 0) return 'can be written by everybody'
  if ((mode & GROUP_WRITES) !== 0 && !isOwnGroup(gid)) return `can be written by others (group ${gid})`
  return null
}

/**
 * Refuses a root that somebody else could have made: INVALID (configuration), which names the directory or file and what is
 * wrong with it. `SWARM_ROOT`, or `safe_root` in the user's own configuration, says that it is believed all the same.
 * The directory itself, `.swarm` and the file `config` in it are looked at, as far as they are there.
 */
export function checkOwnership(path: string, config: string, env: Env): void {
  const uid = process.geteuid?.()
  if (env.SWARM_ROOT || uid === undefined) return
  const real = realpathSync(path)
  for (const place of [real, join(real, SWARM_DIR), join(real, SWARM_DIR, config)]) {
    const found = lstatSync(place, { throwIfNoEntry: false })
    if (!found) return
    const owned = {
      uid: found.uid,
      gid: found.gid,
      mode: found.mode,
      isLink: found.isSymbolicLink(),
      isDirectory: found.isDirectory(),
    }
    const why = suspicion(owned, uid, (gid) => isOwnGroup(gid, uid, read('/etc/group'), read('/etc/passwd')))
    if (why === null) continue
    if (safeRoots(env).some((safe) => safe === path || safe === real)) return
    throw new SwarmError(
      'INVALID',
      `${place} ${why}: set SWARM_ROOT=${real}, or list it as safe_root in ~/.config/swarm/config.toml, to use it all the same`,
      { area: 'configuration', ctx: { kind: 'Custom', field: 'root', file: place } },
    )
  }
}

/** Whether a group holds nobody but this user, by the texts of /etc/group and /etc/passwd. An unknown group may hold anybody. */
export function isOwnGroup(gid: number, uid: number, groups: string, users: string): boolean {
  const group = lines(groups).find(([, , id]) => id === String(gid))
  if (!group) return false
  const name = lines(users).find(([, , id]) => id === String(uid))?.[0]
  const members = (group[3] ?? '').split(',').filter((member) => member !== '')
  const others = lines(users).filter(([, , id, primary]) => primary === String(gid) && id !== String(uid))
  return others.length === 0 && members.every((member) => member === name)
}

function lines(text: string): string[][] {
  return text.split('\n').map((line) => line.split(':'))
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
