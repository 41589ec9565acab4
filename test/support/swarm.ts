import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Envelope } from '../../src/contract/envelope.ts'
import type { JsonObject } from '../../src/contract/json.ts'

export const BIN = join(__dirname, '..', '..', 'bin', 'swarm')

export interface Finished {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
  readonly envelopes: readonly Envelope[]
}

/** A clean environment: nothing of the developer's own settings reaches the process under test. */
export function cleanEnv(extra: Readonly<Record<string, string | undefined>> = {}): NodeJS.ProcessEnv {
  const { PATH, HOME, TMPDIR, LANG, XDG_STATE_HOME } = process.env
  // a test that writes a configuration trusts it; those of trust itself say otherwise
  return { PATH, HOME, TMPDIR, LANG, XDG_STATE_HOME, SWARM_TRUST: '1', ...extra }
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly cwd?: string
  readonly input?: string | Uint8Array
}

/** Runs `bin/swarm` to its end. Without `input` stdin is empty and closed. */
export async function runSwarm(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const child = spawn(process.execPath, [BIN, ...args], { env: cleanEnv(options.env), cwd: options.cwd })
  child.stdin.on('error', () => {})
  child.stdin.end(options.input ?? '')
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
  const [code]: (number | null)[] = await once(child, 'close')
  const stdout = Buffer.concat(out).toString('utf8')
  return {
    code: code ?? null,
    stdout,
    stderr: Buffer.concat(err).toString('utf8'),
    envelopes: parseLines(stdout),
  }
}

/** The envelopes of a piped session's output; throws when a line is not JSON. */
export function parseLines(stdout: string): Envelope[] {
  return stdout
    .split('\n')
    .filter((line) => line !== '' && line.startsWith('{'))
    .map((line) => JSON.parse(line))
}

/** An open pipe to one `swarm` process. */
export interface Pipe {
  readonly child: ChildProcessWithoutNullStreams
  /** Sends a request under a rid of its own and resolves with its envelope. */
  send(request: JsonObject): Promise<Envelope>
  /** Sends a request and returns `d`; throws when it failed. */
  ok<D = Record<string, never>>(request: JsonObject): Promise<D>
  stderr(): string
  /** Ends the input and resolves with the exit code. */
  close(): Promise<number | null>
  kill(signal: NodeJS.Signals): Promise<void>
}

/** Opens a piped session on a database. */
export function openPipe(env: Readonly<Record<string, string | undefined>>, cwd?: string): Pipe {
  const child = spawn(process.execPath, [BIN], { env: cleanEnv(env), cwd })
  const waiting = new Map<string, { resolve: (envelope: Envelope) => void; reject: (error: Error) => void }>()
  let rids = 0
  let err = ''
  child.stdin.on('error', () => {})
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString('utf8')
  })
  createInterface({ input: child.stdout }).on('line', (line) => {
    const envelope: Envelope = JSON.parse(line)
    const rid = String(envelope.rid)
    waiting.get(rid)?.resolve(envelope)
    waiting.delete(rid)
  })
  const exited = once(child, 'close').then(([code]: (number | null)[]) => {
    for (const { reject } of waiting.values())
      reject(new Error(`swarm ended with ${code}: ${err.slice(0, 2_000)}`))
    waiting.clear()
    return code ?? null
  })
  const pipe: Pipe = {
    child,
    send(request) {
      const rid = `r${++rids}`
      return new Promise((resolve, reject) => {
        waiting.set(rid, { resolve, reject })
        child.stdin.write(`${JSON.stringify({ ...request, rid })}\n`)
      })
    },
    async ok(request) {
      const envelope = await pipe.send(request)
      if (!envelope.ok) throw new Error(`${JSON.stringify(request)} answered ${JSON.stringify(envelope)}`)
      // the caller names the shape that the request under test answers
      return envelope.d as never
    },
    stderr: () => err,
    close() {
      child.stdin.end()
      return exited
    },
    async kill(signal) {
      child.kill(signal)
      await exited.catch(() => {})
    },
  }
  return pipe
}
