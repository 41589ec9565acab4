import { closeSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { ask } from './ask.ts'
import type { Binaries } from './binaries.ts'
import type { DirectoryLock } from './lock.ts'
import { logTail, openLog } from './log-file.ts'
import type { ServerPaths } from './paths.ts'
import { type PidFile, readPidFile } from './pidfile.ts'
import { socketPath } from './pointer.ts'
import type { ServerUser } from './powers.ts'
import { notStarted, serverEnv } from './run.ts'
import { serverArguments } from './settings.ts'
import { spawnAlone } from './spawn-alone.ts'
import { EMBEDDED_DATABASE, EMBEDDED_USER } from './terms.ts'

export interface LaunchOptions {
  readonly paths: ServerPaths
  readonly dataDir: string
  readonly socketDir: string
  readonly port: number
  readonly cluster: string
  readonly user: ServerUser | null
  readonly binaries: Binaries
  readonly lock: DirectoryLock
  readonly timeoutMs: number
}

export type Launch =
  | { readonly state: 'ready'; readonly file: PidFile }
  | { readonly state: 'failed' | 'slow'; readonly log: string }

/**
 * Starts the postmaster and waits until it lets a client in. It is on its own from the first moment, its output in the log, and the lock
 * in its hands.
 * `slow` is one that still recovers after `timeoutMs`; it goes on.
 */
export async function launch(options: LaunchOptions): Promise<Launch> {
  const { paths, dataDir, socketDir, port, cluster, user, binaries, lock } = options
  const log = openLog(paths)
  const child = spawnAlone(binaries.postgres, serverArguments(dataDir, socketDir, port, cluster), {
    env: serverEnv(),
    files: ['ignore', log.fd, log.fd, lock.fd ?? 'ignore'],
    user,
  })
  closeSync(log.fd)
  let over: 'no' | 'yes' | Error = 'no'
  child.on('exit', () => {
    over = 'yes'
  })
  child.on('error', (error) => {
    over = notStarted(binaries.postgres, error)
  })

  const isOver = () => over
  const deadline = performance.now() + options.timeoutMs
  while (performance.now() < deadline) {
    const end = isOver()
    if (end instanceof Error) throw end
    if (end === 'yes') return { state: 'failed', log: logTail(paths, log.offset) }
    const file = readPidFile(dataDir)
    if (file?.pid === child.pid && file?.status === 'ready' && (await letsIn(socketDir, port))) {
      return { state: 'ready', file }
    }
    await delay(10)
  }
  return { state: 'slow', log: logTail(paths, log.offset) }
}

async function letsIn(socketDir: string, port: number): Promise<boolean> {
  const answer = await ask({
    socket: socketPath(socketDir, port),
    user: EMBEDDED_USER,
    database: EMBEDDED_DATABASE,
    timeoutMs: 5_000,
  })
  return answer.state === 'ready' || answer.state === 'failed'
}
