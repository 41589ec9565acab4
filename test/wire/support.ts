import { PassThrough, Writable } from 'node:stream'
import type { Envelope, Reply, Rid } from '../../src/contract/envelope.ts'
import { SwarmError } from '../../src/contract/errors.ts'
import type { JsonObject } from '../../src/contract/json.ts'
import type { Accepted, Handler } from '../../src/wire/handler.ts'
import { runSession, type SessionOptions, type SessionResult } from '../../src/wire/session.ts'

export interface FakeRequest extends Accepted {
  readonly raw: JsonObject
}

/** A handler over nothing: `echo` answers its request, `append` counts its batch, `wait` waits to be let go. */
export interface FakeHandler extends Handler<FakeRequest> {
  /** What was run, in order; a batch is one entry. */
  readonly ran: (JsonObject | readonly JsonObject[])[]
  /** Lets the wait of this rid answer. */
  release(rid: Rid): void
  /** Lets every wait answer, now and from now on. */
  shutdown(): void
  /** While set, `echo` requests do not finish. */
  hold: Promise<void> | undefined
}

export function fakeHandler(): FakeHandler {
  const ran: (JsonObject | readonly JsonObject[])[] = []
  const waiting = new Map<Rid | undefined, (reason: string) => void>()
  let stopped = false
  const ok = (d: JsonObject, rid?: Rid): Reply => ({
    ok: true,
    ...(rid === undefined ? {} : { rid }),
    t: 1,
    ms: 0,
    d,
  })
  const refuse = (error: SwarmError, rid?: Rid): Reply => ({
    ok: false,
    ...(rid === undefined ? {} : { rid }),
    t: 1,
    ms: 0,
    error,
  })
  const handler: FakeHandler = {
    ran,
    hold: undefined,
    refuse,
    async accept(raw) {
      // safe: the session reads the rid itself; the tests send only text and numbers here
      const rid = raw.rid as Rid | undefined
      if (raw.cmd === 'throw-accept') throw new Error('accept threw')
      if (raw.cmd === 'refuse') return refuse(new SwarmError('NOTFOUND', 'no such thing'), rid)
      return { rid, raw, waits: raw.cmd === 'wait', appends: raw.cmd === 'append' }
    },
    async run({ raw, rid, waits }) {
      if (waits) {
        const reason = await new Promise<string>((resolve) => {
          if (stopped) resolve('shutdown')
          else waiting.set(rid, resolve)
        })
        waiting.delete(rid)
        return ok({ reason }, rid)
      }
      if (raw.cmd === 'throw-run') throw new Error('run threw')
      if (raw.cmd === 'big') return ok({ text: 'x'.repeat(Number(raw.size)) }, rid)
      // safe: a fault on purpose, JSON cannot hold it
      if (raw.cmd === 'not-json') return ok({ n: 1n as unknown as number }, rid)
      if (handler.hold) await handler.hold
      ran.push(raw)
      return ok({ ran: ran.length }, rid)
    },
    async runAppends(requests) {
      ran.push(requests.map((one) => one.raw))
      if (requests.some((one) => one.raw.lose)) return []
      return requests.map(({ rid }) => ok({ batch: requests.length }, rid))
    },
    release: (rid) => waiting.get(rid)?.('released'),
    shutdown() {
      stopped = true
      for (const resolve of waiting.values()) resolve('shutdown')
    },
  }
  return handler
}

export interface Running {
  readonly input: PassThrough
  readonly handler: FakeHandler
  readonly done: Promise<SessionResult>
  readonly stop: AbortController
  /** The envelopes written so far. */
  envelopes(): Envelope[]
  /** Resolves when `count` envelopes were written. */
  seen(count: number): Promise<Envelope[]>
}

type Extra = Partial<SessionOptions<FakeRequest>>

/** Starts a session over streams. */
export function startSession(extra: Extra = {}): Running {
  const input = new PassThrough()
  const handler = fakeHandler()
  const stop = new AbortController()
  let text = ''
  let watchers: (() => void)[] = []
  const output = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString('utf8')
      for (const watcher of watchers) watcher()
      done()
    },
  })
  const envelopes = () =>
    text
      .split('\n')
      .slice(0, -1)
      // safe: what a session writes is envelopes; the tests check their content
      .map((line) => JSON.parse(line) as Envelope)
  stop.signal.addEventListener('abort', () => handler.shutdown())
  const done = runSession({ input, output, handler, signal: stop.signal, ...extra })
  return {
    input,
    handler,
    done,
    stop,
    envelopes,
    async seen(count) {
      while (envelopes().length < count) {
        await new Promise<void>((resolve) => watchers.push(resolve))
        watchers = []
      }
      return envelopes()
    },
  }
}

/** Runs a session over all of `bytes` and returns what it wrote. */
export async function runAll(bytes: Uint8Array | string, extra: Extra = {}) {
  const session = startSession(extra)
  session.input.end(bytes)
  const result = await session.done
  return { ...result, envelopes: session.envelopes(), ran: session.handler.ran }
}

/** One line of a request. */
export function line(request: JsonObject): string {
  return `${JSON.stringify(request)}\n`
}
