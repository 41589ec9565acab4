import { statSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { SwarmError } from '../contract/errors.ts'

/** A command and its arguments, as the kernel gets them: no shell reads them. */
export type Argv = readonly string[]

export interface StartOptions {
  readonly cwd: string
  /** The whole environment; nothing is inherited besides. */
  readonly env: Readonly<Record<string, string>>
  /** True makes the child the leader of a process group of its own. */
  readonly detached: boolean
  readonly stderr: 'pipe' | 'inherit' | 'ignore'
}

export interface Exit {
  readonly exitCode: number | null
  readonly signal: NodeJS.Signals | null
}

export interface Child {
  readonly pid: number
  readonly stdin: Writable
  readonly stdout: Readable
  /** Null unless piped. */
  readonly stderr: Readable | null
  readonly exited: Promise<Exit>
  kill(signal: NodeJS.Signals): void
}

/**
 * Starts `argv` and resolves once it runs. A binary or directory that is missing or may not be used is DEPENDENCY, with
 * its name.
 */
export async function startChild(argv: Argv, options: StartOptions): Promise<Child> {
  const [file, ...args] = argv
  if (!file) {
    throw new SwarmError('INVALID', 'the command is empty', {
      ctx: { kind: 'InvalidValue', field: 'command' },
    })
  }
  const { cwd } = options
  if (!isDirectory(cwd)) throw missing(`the directory ${cwd} is not there`, { cwd })
  // the verbs that run commands are also loaded to be described
  const { execa } = await import('execa')
  const child = execa(file, args, {
    ...options,
    stdin: 'pipe',
    stdout: 'pipe',
    extendEnv: false,
    // the caller reads the pipes, ends the child and judges its exit
    buffer: false,
    reject: false,
    cleanup: false,
  })
  // a command need not read its input; its exit tells, not the pipe
  child.stdin.on('error', () => {})
  const { pid } = child
  if (pid === undefined) throw notStarted(file, await child)
  return {
    pid,
    stdin: child.stdin,
    stdout: child.stdout,
    stderr: child.stderr,
    exited: new Promise((resolve) => {
      child.once('exit', (exitCode, signal) => resolve({ exitCode, signal }))
    }),
    kill: (signal) => void child.kill(signal),
  }
}

function notStarted(file: string, result: { readonly code?: string | undefined }): SwarmError {
  const { code } = result
  const problem =
    code === 'ENOENT'
      ? 'is not installed or not on the PATH'
      : code === 'EACCES'
        ? 'may not be executed'
        : `could not be started${code ? ` (${code})` : ''}`
  return missing(`${file} ${problem}`, { binary: file })
}

function missing(message: string, ctx: Record<string, string>): SwarmError {
  return new SwarmError('DEPENDENCY', message, { ctx, retryable: false })
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}
