import type { IncomingMessage } from 'node:http'
import { SwarmError } from '../../contract/errors.ts'
import type { JsonObject } from '../../contract/json.ts'
import { decodeLine } from '../../wire/decode.ts'
import { readBody } from './body.ts'
import { textOf } from './parts.ts'
import { Refused } from './refused.ts'

/**
 * Reads a body that is a JSON object; no body is an empty one. Another type than `application/json` is refused: a form of another site
 * could send it. Undefined when the client has gone.
 */
export async function bodyOf(incoming: IncomingMessage, maxBytes: number): Promise<JsonObject | undefined> {
  const bytes = await readBody(incoming, maxBytes)
  if (!bytes) return undefined
  if (bytes.length === 0) return {}
  const type = incoming.headers['content-type'] ?? ''
  if (!/^application\/(?:[\w.-]+\+)?json\b/i.test(type)) throw new Refused(415, notJson(type))
  const decoded = decodeLine({ number: 1, bytes: bytes.length, text: textOf(bytes) })
  if (decoded.error) throw decoded.error.with({ fix: undefined })
  return decoded.request
}

function notJson(type: string): SwarmError {
  return new SwarmError('INVALID', 'a body is application/json', {
    ctx: {
      kind: 'InvalidValue',
      field: 'Content-Type',
      expected: 'application/json',
      got: type.slice(0, 100),
    },
  })
}
