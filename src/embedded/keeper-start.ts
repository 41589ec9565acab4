import { closeSync } from 'node:fs'
import { ownLauncher, SELF } from '../self.ts'
import { takeKeeping } from './keeper-file.ts'
import { KEEPER_VARIABLE, type KeeperOrders } from './keeper-orders.ts'
import { openLog } from './log-file.ts'
import type { ServerPaths } from './paths.ts'
import type { Pointer } from './pointer.ts'
import { isRoot, type ServerUser } from './powers.ts'
import { titleOf } from './processes.ts'
import { spawnAlone } from './spawn-alone.ts'
import type { EnsureOptions } from './terms.ts'

/** The keeper sleeps nearly always: it needs little memory and no helper threads. */
const SMALL = ['--max-old-space-size=32', '--max-semi-space-size=1', '--v8-pool-size=0', '--single-threaded']

/**
 * Starts the keeper of the server that `pointer` names, on its own, and does not wait for it. Its process id; null when there is none
 * to start. It gets open files, not names, so that it can be the server's own user, who may have no way to them, and so that nobody
 * can put others in their place.
 */
export function startKeeper(
  paths: ServerPaths,
  pointer: Pointer & { readonly pid: number },
  server: ServerUser,
  options: EnsureOptions,
): number | null {
  const command = options.keeper === undefined ? defaultKeeper(paths.swarmDir) : options.keeper
  if (command === null) return null
  const { fd, token } = takeKeeping(paths)
  const log = openLog(paths)
  const { pid, cluster, socket_dir, port, idle_stop_ms } = pointer
  const user = isRoot() ? { uid: server.uid, gid: server.gid } : null
  const orders: KeeperOrders = { token, pid, cluster, socket_dir, port, idle_stop_ms, user }
  try {
    const child = spawnAlone(command[0], command[1], {
      env: {
        PATH: process.env.PATH ?? '/usr/bin:/bin',
        UV_THREADPOOL_SIZE: '1',
        [KEEPER_VARIABLE]: JSON.stringify(orders),
      },
      files: ['ignore', 'ignore', 'ignore', fd, log.fd],
      // it reads its code first, which the server's user may have no way to, and then becomes that user
      user: null,
    })
    child.on('error', () => {
      // the server runs on without one; the next start or adoption tries again
    })
    return child.pid ?? null
  } finally {
    closeSync(fd)
    closeSync(log.fd)
  }
}

/** True when `pid` is the keeper of `swarmDir` still, and not whoever got its number since. */
export function isKeeper(pid: number, swarmDir: string): boolean {
  return titleOf(pid).includes(` ${swarmDir} `)
}

function defaultKeeper(swarmDir: string): readonly [string, readonly string[]] | null {
  const launcher = ownLauncher()
  return launcher === null ? null : [process.execPath, [...SMALL, launcher, SELF.keeper, swarmDir]]
}
