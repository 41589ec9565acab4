import type { Readable, Writable } from 'node:stream'
import {
  type Emit,
  exitCodeOfReply,
  type RenderRequest,
  type Reply,
  type Rid,
  renderLine,
} from '../contract/envelope.ts'
import { SwarmError } from '../contract/errors.ts'
import type { JsonObject } from '../contract/json.ts'
import { decodeLine, emptyInput } from './decode.ts'
import { encodeReply } from './encode.ts'
import { sendable } from './fix.ts'
import { guard } from './guard.ts'
import type { Accepted, Handler } from './handler.ts'
import { type Line, MAX_LINE_BYTES } from './lines.ts'
import { createSource } from './source.ts'
import { createWaits } from './waits.ts'
import { createWriter } from './writer.ts'

export interface SessionLimits {
  /** Longest line, in bytes without its newline. */
  readonly maxLineBytes: number
  /** Lines that are read but not answered; beyond this the input is paused. */
  readonly maxQueuedLines: number
  readonly maxQueuedBytes: number
  /** Requests that may wait at once. */
  readonly maxOpenWaits: number
  /** Appends that travel together. */
  readonly maxAppends: number
  /** How long the last answers may take to be read after the session was told to stop, in ms. */
  readonly shutdownFlushMs: number
}

export const SESSION_LIMITS: SessionLimits = {
  maxLineBytes: MAX_LINE_BYTES,
  maxQueuedLines: 1_024,
  maxQueuedBytes: 8_388_608,
  maxOpenWaits: 256,
  maxAppends: 64,
  shutdownFlushMs: 5_000,
}

export interface SessionOptions<A extends Accepted> {
  readonly input: Readable
  readonly output: Writable
  readonly handler: Handler<A>
  readonly render?: RenderRequest
  readonly limits?: Partial<SessionLimits>
  /** Tells the session to stop. Whoever aborts it must also make the handler's waits answer. */
  readonly signal?: AbortSignal
  /** Called once when the input has ended. */
  readonly onInputEnd?: () => void
  /** Called once when nobody reads the output any more: the handler's waits must be made to answer. */
  readonly onOutputClosed?: () => void
  /** Hears of what should not happen: a handler that throws, an answer that is not JSON. */
  readonly onFault?: (fault: unknown) => void
}

export interface SessionResult {
  /** Of the first request that failed, in the order of the answers; 0 when none did. */
  readonly exitCode: number
  /** Why the output could not be written, unless its reader has just gone. */
  readonly outputError: Error | undefined
  /** True when the last answers were not read in time: the process must be ended, it would wait for its reader. */
  readonly abandoned: boolean
}

/** What became of a line: its refusal, or a request that can run. */
type Prepared<A> =
  | { readonly rid: Rid | undefined; readonly reply: Reply }
  | { readonly rid: Rid | undefined; readonly request: A; readonly raw: JsonObject }

/**
 * Answers the lines of `input` on `output` until the input ends, the signal aborts or the output closes (the wire
 * rules of the protocol). Requests run one after the other in line order; appends that are already there travel
 * together; requests that wait run beside the others. After the signal, lines that were read but not started are
 * answered BUSY and not run: the session must end soon, and the same line can be sent to the next one.
 */
export async function runSession<A extends Accepted>(options: SessionOptions<A>): Promise<SessionResult> {
  const limits = { ...SESSION_LIMITS, ...options.limits }
  const { signal, render = renderLine, onFault } = options
  const handler = guard(options.handler, onFault)
  const waits = createWaits(limits.maxOpenWaits)
  let exitCode = 0
  let ended = false
  let asked = false
  let finished = false

  const source = createSource(options.input, {
    ...limits,
    onEnd: () => {
      ended = true
      options.onInputEnd?.()
    },
  })
  const writer = createWriter(options.output, () => {
    if (finished) return
    source.stop()
    options.onOutputClosed?.()
  })

  function answer(replies: readonly { readonly reply: Reply; readonly rid: Rid | undefined }[]): void {
    const encoded = replies.map(({ reply, rid }) => encodeReply(reply, rid, render, onFault))
    for (const one of encoded) if (exitCode === 0) exitCode = exitCodeOfReply(one.reply)
    writer.write(encoded.map((one) => one.text).join(''))
  }

  function emitFor(rid: Rid | undefined): Emit {
    return async (lines) => {
      answer(lines.map((reply) => ({ reply, rid })))
      await writer.ready()
    }
  }

  async function prepare(line: Line): Promise<Prepared<A>> {
    const decoded = decodeLine(line)
    const { rid } = decoded
    if (decoded.error) return { rid, reply: handler.refuse(decoded.error, rid) }
    const raw = decoded.request
    if (signal?.aborted) return { rid, reply: handler.refuse(notStarted(raw), rid) }
    const accepted = await handler.accept(raw)
    if ('ok' in accepted) return { rid, reply: accepted }
    const refusal = accepted.waits ? waits.refusal(raw, rid) : undefined
    return refusal ? { rid, reply: handler.refuse(refusal, rid) } : { rid, request: accepted, raw }
  }

  /** Takes the appends that are already there; the first line that is none comes back as `rest`. */
  async function runAppends(first: A, firstRid: Rid | undefined): Promise<Prepared<A> | undefined> {
    const batch = [{ request: first, rid: firstRid }]
    let rest: Prepared<A> | undefined
    while (batch.length < limits.maxAppends) {
      const line = source.shift()
      if (!line) break
      const next = await prepare(line)
      if ('reply' in next || !next.request.appends) {
        rest = next
        break
      }
      batch.push(next)
    }
    if (batch.length === 1) {
      answer([{ reply: await handler.run(first, emitFor(firstRid)), rid: firstRid }])
      return rest
    }
    const replies = await handler.runAppends(batch.map((one) => one.request))
    answer(replies.map((reply, at) => ({ reply, rid: batch[at]?.rid })))
    return rest
  }

  async function step(prepared: Prepared<A>): Promise<Prepared<A> | undefined> {
    const { rid } = prepared
    if ('reply' in prepared) {
      answer([prepared])
      return undefined
    }
    const { request, raw } = prepared
    if (signal?.aborted) {
      answer([{ reply: handler.refuse(notStarted(raw), rid), rid }])
      return undefined
    }
    if (request.appends) return runAppends(request, rid)
    if (request.waits && rid !== undefined) {
      waits.start(rid, async () => answer([{ reply: await handler.run(request, emitFor(rid)), rid }]))
      return undefined
    }
    answer([{ reply: await handler.run(request, emitFor(rid)), rid }])
    return undefined
  }

  function stop(): void {
    source.stop()
    writer.hurry(limits.shutdownFlushMs)
  }
  signal?.addEventListener('abort', stop, { once: true })
  if (signal?.aborted) stop()

  let held: Prepared<A> | undefined
  for (;;) {
    await writer.ready()
    if (writer.closed) break
    if (!held) {
      const line = await source.next()
      if (!line) break
      asked = true
      held = await prepare(line)
    }
    held = await step(held)
  }
  if (ended && !asked) answer([{ reply: handler.refuse(emptyInput()), rid: undefined }])
  await waits.settled()
  await writer.flush()
  finished = true
  signal?.removeEventListener('abort', stop)
  return { exitCode, outputError: writer.error, abandoned: writer.abandoned }
}

function notStarted(raw: JsonObject): SwarmError {
  return new SwarmError('BUSY', 'swarm was told to stop before it began this request; nothing was done', {
    ctx: { reason: 'shutdown' },
    ...sendable(raw),
  })
}
