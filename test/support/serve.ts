import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { tmpdir } from 'node:os'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import type { Envelope } from '../../src/contract/envelope.ts'
import { BIN, cleanEnv } from './swarm.ts'

/** A `swarm serve` process. */
export interface Serving {
  readonly url: string
  readonly port: number
  readonly pid: number
  /** What it said when it listened. */
  readonly opened: { readonly url: string; readonly auth: string }
  stderr(): string
  /** Ends it by SIGTERM; resolves with its exit code and its last line. */
  stop(): Promise<{ readonly code: number | null; readonly last: Envelope | undefined }>
  kill(): Promise<void>
}

/** Starts the built program on a free port and resolves once it listens; throws what it says when it does not. */
export async function startServe(
  env: Readonly<Record<string, string | undefined>>,
  { args = [], cwd = tmpdir() }: { readonly args?: readonly string[]; readonly cwd?: string } = {},
): Promise<Serving> {
  const child: ChildProcessByStdio<null, Readable, Readable> = spawn(
    process.execPath,
    [BIN, 'serve', '--port', '0', ...args],
    { env: cleanEnv(env), cwd, stdio: ['ignore', 'pipe', 'pipe'] },
  )
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => {
    if (stderr.length < 100_000) stderr += chunk.toString('utf8')
  })
  const lines: Envelope[] = []
  const output = createInterface({ input: child.stdout })
  const ended = once(child, 'close').then(([code]: (number | null)[]) => code ?? null)
  const first = new Promise<Envelope>((resolve) => output.once('line', (line) => resolve(JSON.parse(line))))
  output.on('line', (line) => lines.push(JSON.parse(line)))
  const opened = await Promise.race([
    first,
    ended.then((code) => {
      throw new Error(`swarm serve ended with ${code}: ${stderr}`)
    }),
  ])
  if (!opened.ok) throw new Error(`swarm serve said ${JSON.stringify(opened)}`)
  // the verb answers this shape ahead of its reply
  const said = opened.d as { readonly url: string; readonly auth: string }
  return {
    url: said.url,
    port: Number(new URL(said.url).port),
    pid: child.pid ?? 0,
    opened: said,
    stderr: () => stderr,
    async stop() {
      child.kill('SIGTERM')
      const code = await ended
      return { code, last: lines.at(-1) }
    },
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly text: string
  /** The body as JSON; an empty object when it is none. */
  readonly json: Record<string, never>
}

export interface Asking {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer | object
  readonly token?: string | undefined
  /** The address that it comes from: any of 127.0.0.0/8 on Linux. */
  readonly from?: string
}

/** One request with headers that `fetch` would not let be set, like Host. */
export function ask(url: string, options: Asking = {}): Promise<Answer> {
  const { body, token, headers = {} } = options
  const isRaw = typeof body === 'string' || Buffer.isBuffer(body)
  const bytes = body === undefined ? undefined : isRaw ? body : JSON.stringify(body)
  return new Promise((resolve, reject) => {
    const out = request(
      url,
      {
        method: options.method ?? (body === undefined ? 'GET' : 'POST'),
        agent: false,
        ...(options.from === undefined ? {} : { localAddress: options.from }),
        headers: {
          ...(bytes === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(bytes) }),
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...headers,
        },
      },
      (answer) => {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.on('error', reject)
        answer.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8')
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text, json: parsed(text) })
        })
      },
    )
    out.on('error', reject)
    out.end(bytes)
  })
}

function parsed(text: string): Record<string, never> {
  try {
    return JSON.parse(text)
  } catch {
    return {}
  }
}
