import { type Reply, renderLine, toEnvelope } from '../../contract/envelope.ts'
import type { SwarmError } from '../../contract/errors.ts'
import type { Json } from '../../contract/json.ts'
import type { Ctx } from './asked.ts'
import { statusOf, statusOfError } from './status.ts'

const JSON_TYPE = 'application/json; charset=utf-8'

/** Answers a body as JSON. */
export function answerJson(
  c: Ctx,
  status: number,
  body: Json | object,
  headers: Record<string, string> = {},
) {
  return answerText(c, status, JSON.stringify(body), { 'content-type': JSON_TYPE, ...headers })
}

/** Answers a reply as its envelope, with the status that fits. */
export function answerReply(c: Ctx, reply: Reply): Response {
  const shown = c.get('asked')?.token !== undefined
  const status = statusOf(reply, shown)
  return answerJson(c, status, toEnvelope(reply, renderLine), extra(status))
}

/** Answers an error as an envelope. `status` instead of the one that its code has. */
export function answerError(
  c: Ctx,
  error: SwarmError,
  status?: number,
  headers: Record<string, string> = {},
) {
  const reply: Reply = { ok: false, t: Date.now(), ms: 0, error }
  const code = status ?? statusOfError(error, c.get('asked')?.token !== undefined)
  return answerJson(c, code, toEnvelope(reply, renderLine), { ...extra(code), ...headers })
}

/** Every answer is text or bytes as a whole; what streams is written to the connection itself. */
export function answerText(c: Ctx, status: number, text: string, headers: Record<string, string>): Response {
  // safe: Hono's type lists the statuses that it knows; each of ours is one
  return c.body(text, status as 200, headers)
}

function extra(status: number): Record<string, string> {
  if (status === 401) return { 'www-authenticate': 'Bearer' }
  if (status === 413) return { connection: 'close' }
  return status === 503 || status === 423 || status === 429 ? { 'retry-after': '1' } : {}
}
