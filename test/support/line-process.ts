import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { tmpdir } from 'node:os'
import type { Readable, Writable } from 'node:stream'
import { cleanEnv } from './swarm.ts'

/** A process under test that speaks lines. */
export interface LineProcess {
  readonly pid: number
  /** Resolves when it has ended and its output has been read. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>
  readonly stderr: string
  send(text: string): void
  /** Ends its input. */
  end(): void
  kill(signal: NodeJS.Signals): void
}

export interface LineProcessOptions {
  readonly file: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly onLine: (line: string) => void
}

/** Starts a Node program. A last line without its newline, of a process that was killed, is not a line. */
export function startLines({ file, args, env = {}, onLine }: LineProcessOptions): LineProcess {
  // outside of any root: nothing of the machine's own settings counts
  const child: ChildProcessByStdio<Writable, Readable, Readable> = spawn(process.execPath, [file, ...args], {
    env: cleanEnv(env),
    cwd: tmpdir(),
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let rest = ''
  let stderr = ''
  child.stdin.on('error', () => {})
  child.stdout.setEncoding('utf8')
  child.stdout.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) onLine(line)
  })
  child.stderr.setEncoding('utf8')
  child.stderr.on('data', (chunk: string) => {
    if (stderr.length < 10_000) stderr += chunk
  })
  const ended = new Promise<Awaited<LineProcess['ended']>>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal }))
  })
  return {
    pid: child.pid ?? 0,
    ended,
    get stderr() {
      return stderr
    },
    send: (text) => void child.stdin.write(text),
    end: () => void child.stdin.end(),
    kill: (signal) => void child.kill(signal),
  }
}
