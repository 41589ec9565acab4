import type { Reply } from '../../contract/envelope.ts'
import type { ErrorCode, SwarmError } from '../../contract/errors.ts'

/** The status of each error code. What a code means is the verb's; this only says it in the words of HTTP. */
export const STATUS: Readonly<Record<ErrorCode, number>> = {
  CLI_ERROR: 400,
  INVALID: 400,
  UNAUTHORIZED: 401,
  NOTFOUND: 404,
  CONFLICT: 409,
  EXISTS: 409,
  BUSY: 423,
  INTERNAL: 500,
  DEPENDENCY: 503,
  TIMEOUT: 504,
}

/** 401 asks for a token; who has shown a good one that does not allow this is told 403. */
export function statusOfError({ code, ctx }: SwarmError, shown: boolean): number {
  if (code === 'UNAUTHORIZED' && shown && ctx.field !== 'token') return 403
  return STATUS[code]
}

/** `shown`: whether the request came with a token. */
export function statusOf(reply: Reply, shown: boolean): number {
  return reply.ok ? 200 : statusOfError(reply.error, shown)
}
