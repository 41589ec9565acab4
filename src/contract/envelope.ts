import type { ErrorArea, ErrorCode, FixRequest, SwarmError } from './errors.ts'
import type { Json, JsonObject } from './json.ts'

/** A request id is echoed as it was sent. */
export type Rid = string | number

/** How `fix` and `next` are written: as a request line for a pipe, as a command for a shell. */
export type RenderRequest = (request: FixRequest) => string

export interface SuccessEnvelope {
  readonly ok: true
  readonly rid?: Rid
  /** Unix milliseconds. */
  readonly t: number
  /** Milliseconds spent. */
  readonly ms: number
  readonly d: Json
  readonly next?: string
  readonly state?: { readonly total: number; readonly active: number }
  /** True when the same operation key had been answered before and this is that answer. */
  readonly replayed?: true
  /** True on every line of a streamed answer but the last. */
  readonly more?: true
}

export interface FailureEnvelope {
  readonly ok: false
  readonly rid?: Rid
  readonly t: number
  readonly ms: number
  readonly err: { readonly code: ErrorCode; readonly msg: string; readonly ctx?: JsonObject }
  readonly fix?: string
}

export type Envelope = SuccessEnvelope | FailureEnvelope

/** An envelope before it is rendered: `fix` and `next` are still objects, and the exit code is known. */
export type Reply =
  | {
      readonly ok: true
      readonly rid?: Rid
      readonly t: number
      readonly ms: number
      readonly d: Json
      readonly next?: FixRequest
      readonly state?: { readonly total: number; readonly active: number }
      readonly replayed?: true
      readonly more?: true
    }
  | {
      readonly ok: false
      readonly rid?: Rid
      readonly t: number
      readonly ms: number
      readonly error: SwarmError
    }

/** Writes lines of an answer ahead of its reply; resolves when the reader has taken them. */
export type Emit = (lines: readonly Reply[]) => Promise<void>

/** Turns a reply into the envelope that is written; key order is the order on the wire. */
export function toEnvelope(reply: Reply, render: RenderRequest): Envelope {
  const head = { ...(reply.rid === undefined ? {} : { rid: reply.rid }), t: reply.t, ms: reply.ms }
  if (reply.ok) {
    return {
      ok: true,
      ...head,
      d: reply.d,
      ...(reply.more ? { more: true as const } : {}),
      ...(reply.replayed ? { replayed: true as const } : {}),
      ...(reply.state ? { state: reply.state } : {}),
      ...(reply.next ? { next: render(reply.next) } : {}),
    }
  }
  const { error } = reply
  return {
    ok: false,
    ...head,
    err: {
      code: error.code,
      msg: error.message,
      ...(Object.keys(error.ctx).length > 0 ? { ctx: error.ctx } : {}),
    },
    ...(error.fix ? { fix: render(error.fix) } : {}),
  }
}

/** The exit code a reply stands for; 0 for success. */
export function exitCodeOfReply(reply: Reply): number {
  return reply.ok ? 0 : reply.error.exitCode
}

/** A request line, as it would be typed into a pipe. */
export function renderLine(request: FixRequest): string {
  return JSON.stringify(request)
}

export type { ErrorArea, ErrorCode, FixRequest }
