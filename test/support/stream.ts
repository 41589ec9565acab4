import { afterEach } from 'vitest'
import type { Envelope } from '../../src/contract/envelope.ts'
import { isJsonObject, type JsonObject } from '../../src/contract/json.ts'
import { type LineProcess, startLines } from './line-process.ts'
import { BIN } from './swarm.ts'

/** A process of `swarm` that streams, and what it has said so far. */
export interface Stream {
  readonly process: LineProcess
  readonly lines: readonly Envelope[]
  /** `d` of the lines of one kind, in order. */
  kind(kind: string): readonly JsonObject[]
  /** Resolves with `d` of the first line, from now or from before, that `wanted` takes; throws after `timeoutMs`. */
  line(wanted: (d: JsonObject) => boolean, timeoutMs?: number): Promise<JsonObject>
  /** Sends a request into its pipe. */
  send(request: JsonObject): void
  /** Waits for its end. */
  end(): Promise<number | null>
}

const PATIENCE_MS = 10_000

/** Starts `swarm` with these arguments; without any it is a pipe. */
export function openStream(args: readonly string[], env: Readonly<Record<string, string>>): Stream {
  const lines: Envelope[] = []
  let heard = () => {}
  const process = startLines({
    file: BIN,
    args,
    env,
    onLine: (line) => {
      lines.push(JSON.parse(line))
      heard()
    },
  })
  const all = () => lines.flatMap((line) => (line.ok && isJsonObject(line.d) ? [line.d] : []))
  return {
    process,
    lines,
    kind: (kind) => all().filter((d) => d.kind === kind),
    async line(wanted, timeoutMs = PATIENCE_MS) {
      const until = performance.now() + timeoutMs
      for (;;) {
        const found = all().find(wanted)
        if (found) return found
        const left = until - performance.now()
        if (left <= 0) throw new Error(`no such line among ${JSON.stringify(lines).slice(0, 2_000)}`)
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, left)
          heard = () => {
            clearTimeout(timer)
            resolve()
          }
        })
      }
    },
    send: (request) => process.send(`${JSON.stringify(request)}\n`),
    end: async () => (await process.ended).code,
  }
}

/** Starts subscriptions in this environment; each is killed after its test. */
export function subscriptions(env: Readonly<Record<string, string>>): (...args: string[]) => Stream {
  const streams: Stream[] = []
  afterEach(async () => {
    for (const { process } of streams) process.kill('SIGKILL')
    await Promise.all(streams.splice(0).map((stream) => stream.end()))
  })
  return (...args) => {
    const stream = openStream(['subscribe', ...args], env)
    streams.push(stream)
    return stream
  }
}
