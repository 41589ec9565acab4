import { spawn, spawnSync } from 'node:child_process'
import { errnoOf, failure } from './failure.ts'
import type { ServerUser } from './powers.ts'

export interface RunResult {
  readonly code: number | null
  /** The last 8 KiB of what it wrote to stdout and stderr. */
  readonly output: string
}

const OUTPUT_BYTES = 8_192

/** The environment of the server and its tools: nothing of the caller's (PGDATA, PGPORT, LD_LIBRARY_PATH) may reach them. */
export function serverEnv(): Record<string, string> {
  return { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' }
}

/** Runs one of the server's tools to its end, as the server's user, away from the caller's directory. */
export function run(
  command: string,
  args: readonly string[],
  options: { readonly user: ServerUser | null; readonly input?: string; readonly timeoutMs: number },
): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: '/',
      env: serverEnv(),
      timeout: options.timeoutMs,
      killSignal: 'SIGKILL',
      ...options.user,
    })
    let output = ''
    const keep = (chunk: Buffer) => {
      output = (output + chunk.toString('utf8')).slice(-OUTPUT_BYTES)
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    child.stdin.on('error', () => {
      // it ended before it read everything; its exit code tells
    })
    child.stdin.end(options.input ?? '')
    child.on('error', (error) => reject(notStarted(command, error)))
    child.on('close', (code) => resolve({ code, output }))
  })
}

/** True when `user` may create files in `dir`. Asked of the system as that user, so that ACLs and mounts count, too. */
export function canWrite(dir: string, user: ServerUser): boolean {
  const result = spawnSync('test', ['-w', dir, '-a', '-x', dir], { cwd: '/', stdio: 'ignore', ...user })
  if (errnoOf(result.error) === 'EPERM' || errnoOf(result.error) === 'EINVAL') {
    throw notStarted('test', result.error)
  }
  return result.status === 0
}

/** Why a command could not be started at all, in words. */
export function notStarted(command: string, error: unknown): Error {
  const reason = errnoOf(error)
  const why =
    reason === 'EPERM' || reason === 'EINVAL'
      ? 'root may not become another user here, and Postgres refuses to run as root: run swarm as an ordinary user, or set DATABASE_URL'
      : `${command} could not be started (${reason})`
  return failure(why, { reason }, { cause: error })
}
