import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { SwarmError } from '../../contract/errors.ts'
import { Refused } from './refused.ts'

/** Tells Hono that the answer has been written to the connection itself. */
export function sent(): Response {
  return RESPONSE_ALREADY_SENT
}

/** The text of a body; one that is not UTF-8 is refused. */
export function textOf(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new Refused(
      400,
      new SwarmError('INVALID', 'the body is not UTF-8', {
        ctx: { kind: 'InvalidType', field: 'body', expected: 'UTF-8 text', got: 'other bytes' },
      }),
    )
  }
}
