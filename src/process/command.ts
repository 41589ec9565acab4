import type { Readable, Writable } from 'node:stream'
import { type BoundedText, collectBounded } from './bounded.ts'
import { drain } from './drain.ts'
import { echo } from './echo.ts'
import { childEnvironment, type Environment } from './environment.ts'
import { endGroup, forgetGroup, groupGone, rememberGroup } from './group.ts'
import { type Argv, type Exit, startChild } from './spawn.ts'
import { startWatchdog } from './watchdog.ts'

export interface CommandOptions {
  /** Binary and arguments; no shell. */
  readonly argv: Argv
  readonly cwd: string
  /** Added to this process's own environment; undefined removes. */
  readonly env?: Environment
  /** Leave the database's password in the environment. False unless said. */
  readonly withDatabase?: boolean
  /** Written to stdin, which then ends. Without it stdin is empty. */
  readonly input?: string
  /** The command is ended after this many ms; without it, only by `signal`. */
  readonly timeoutMs?: number | undefined
  /** Bytes of output to keep, 64 KiB unless said. */
  readonly maxOutputBytes?: number
  /** Ms between SIGTERM and SIGKILL, 2,000 unless said. */
  readonly graceMs?: number
  /** Ends the command when aborted. */
  readonly signal?: AbortSignal
  /** Gets the output as it comes, besides. A slow reader of it slows the command. */
  readonly echo?: Writable | undefined
  /** End the command also when this process is killed; costs a process of its own. False unless said. */
  readonly watched?: boolean
}

export interface CommandResult {
  /** Why it ended: by itself, by a signal that was not ours, by the deadline, by the abort signal. */
  readonly ended: 'exited' | 'signaled' | 'timed_out' | 'aborted'
  /** Only when it ended by itself. */
  readonly exitCode?: number
  /** The signal that ended it. */
  readonly signal?: string
  readonly durationMs: number
  /** stdout and stderr in the order of arrival. */
  readonly output: BoundedText
  readonly stdout: BoundedText
  /** True when the command ended and left processes behind; they have been ended too. */
  readonly leftProcesses: boolean
}

const DEFAULT_OUTPUT_BYTES = 65_536
const DEFAULT_GRACE_MS = 2_000
/** After the command has ended: what a process that it started may still take to end by itself. */
const LEFT_MS = 100
/** After the group has ended: how long a process that left the group may hold the pipes open without a word. */
const DRAIN_MS = 500

/**
 * Runs an external command to its end. The result says how it ended; only a command that cannot be started throws
 * (DEPENDENCY). When this resolves no process of the command's group runs any more, unless not even SIGKILL ends it.
 */
export async function runCommand(options: CommandOptions): Promise<CommandResult> {
  const { argv, cwd, input, timeoutMs, signal } = options
  const { graceMs = DEFAULT_GRACE_MS, maxOutputBytes = DEFAULT_OUTPUT_BYTES } = options
  const started = performance.now()
  let endedAt: number | undefined
  const output = collectBounded(maxOutputBytes)
  const stdout = collectBounded(maxOutputBytes)
  const result = (ended: CommandResult['ended'], exit?: Exit, leftProcesses = false): CommandResult => ({
    ended,
    ...(ended === 'exited' && exit?.exitCode != null ? { exitCode: exit.exitCode } : {}),
    ...(exit?.signal ? { signal: exit.signal } : {}),
    durationMs: Math.round((endedAt ?? performance.now()) - started),
    output: output.result(),
    stdout: stdout.result(),
    leftProcesses,
  })
  if (signal?.aborted) return result('aborted')
  const watchdog = options.watched ? await startWatchdog() : undefined
  const child = await startChild(argv, {
    cwd,
    env: childEnvironment(process.env, options.env, options.withDatabase),
    detached: true,
    stderr: 'pipe',
  }).catch((error: unknown) => {
    watchdog?.stop()
    throw error
  })
  watchdog?.watch(child.pid)
  rememberGroup(child.pid)
  const pipes = [child.stdout, ...(child.stderr ? [child.stderr] : [])]
  const drained = Promise.all(pipes.map(closed))
  child.stdout.on('data', (chunk: Buffer) => stdout.add(chunk))
  for (const pipe of pipes) pipe.on('data', (chunk: Buffer) => output.add(chunk))
  const { echo: shown } = options
  const echoes = shown ? pipes.map((pipe) => echo(pipe, shown)) : []
  child.stdin.end(input ?? '')

  const stop = stopAfter(timeoutMs, signal)
  try {
    const first = await Promise.race([child.exited, stop.stopped])
    if (typeof first !== 'string') endedAt = performance.now()
    for (const one of echoes) one.hurry()
    if (typeof first === 'string') {
      const gone = await endGroup(child.pid, graceMs)
      const exit = gone ? await child.exited : undefined
      await drain(drained, DRAIN_MS, output.bytes)
      return result(first, exit)
    }
    const left = !(await groupGone(child.pid, LEFT_MS))
    if (left) await endGroup(child.pid, graceMs)
    else forgetGroup(child.pid)
    await drain(drained, DRAIN_MS, output.bytes)
    return result(first.signal ? 'signaled' : 'exited', first, left)
  } finally {
    stop.cancel()
    watchdog?.stop()
    for (const pipe of pipes) pipe.destroy()
    child.stdin.destroy()
  }
}

/** Says when a command has to stop, and why: its deadline passed or it was aborted. */
function stopAfter(timeoutMs: number | undefined, signal: AbortSignal | undefined) {
  let cancel = () => {}
  const stopped = new Promise<'timed_out' | 'aborted'>((resolve) => {
    const timer = timeoutMs === undefined ? undefined : setTimeout(resolve, timeoutMs, 'timed_out' as const)
    const onAbort = () => resolve('aborted')
    signal?.addEventListener('abort', onAbort, { once: true })
    if (signal?.aborted) onAbort()
    cancel = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
  })
  return { stopped, cancel: () => cancel() }
}

function closed(stream: Readable): Promise<void> {
  return new Promise((resolve) => stream.once('close', () => resolve()))
}
