import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, extname, join } from 'node:path'
import { titleOf } from './processes.ts'
import type { EnsureOptions } from './terms.ts'

/** The keeper sleeps nearly always: it needs little memory and no helper threads. */
const SMALL = ['--max-old-space-size=32', '--max-semi-space-size=1', '--v8-pool-size=0', '--single-threaded']

/** Tells the keeper the id of the record: the user who runs it may have no access to the record itself. */
export const RECORD_VARIABLE = 'SWARM_KEEPER_RECORD'

/** Starts the keeper, on its own, and does not wait for it. Its process id; null when there is none to start. */
export function startKeeper(swarmDir: string, recordId: string, options: EnsureOptions): number | null {
  const command = options.keeper === undefined ? defaultKeeper(swarmDir) : options.keeper
  if (command === null) return null
  const child = spawn(command[0], command[1], {
    cwd: '/',
    detached: true,
    stdio: 'ignore',
    env: { PATH: process.env.PATH ?? '/usr/bin:/bin', UV_THREADPOOL_SIZE: '1', [RECORD_VARIABLE]: recordId },
  })
  child.on('error', () => {
    // the server runs on without one; the next start or adoption tries again
  })
  child.unref()
  return child.pid ?? null
}

/** True when `pid` is the keeper of `swarmDir` still, and not whoever got its number since. */
export function isKeeper(pid: number, swarmDir: string): boolean {
  return titleOf(pid).includes(` ${swarmDir} `)
}

/**
 * The launcher beside the bundle, and nothing when there is none: this file or `argv[1]` may be part of anybody's program, which would
 * be started again and again.
 */
function defaultKeeper(swarmDir: string): readonly [string, readonly string[]] | null {
  const launcher = join(dirname(__filename), '..', 'bin', 'swarm')
  if (extname(__filename) === '.ts' || !existsSync(launcher)) return null
  return [process.execPath, [...SMALL, launcher, 'db', 'keep', swarmDir]]
}
