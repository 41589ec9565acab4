import { SwarmError } from '../../contract/errors.ts'
import type { JsonObject } from '../../contract/json.ts'
import { answerJson, answerReply } from './answer.ts'
import { type Ctx, goneSignal, headerOf } from './asked.ts'
import { bodyOf } from './json-body.ts'
import { sent } from './parts.ts'
import { perform } from './perform.ts'
import { Refused } from './refused.ts'

const EVENTS: readonly unknown[] = ['state_change', 'progress', 'pr_created', 'activity']

/**
 * `POST /internal/ticket-event`: what an engine reports of a ticket, as an event of its bead: `{ticketId, event, …}`, where all else is
 * payload. The token of a login does not count here: this is for programs.
 */
export async function answerTicketEvent(c: Ctx, maxBytes: number): Promise<Response> {
  const { token, dispatcher } = c.get('asked')
  const header = headerOf(c.env.incoming)
  if (token !== undefined && header('authorization') === undefined) throw needsBearer()
  const body = await bodyOf(c.env.incoming, maxBytes)
  if (!body) return sent()
  const { ticketId, event, ...payload } = body
  if (typeof ticketId !== 'string' || !EVENTS.includes(event)) throw badEvent(ticketId, event)
  const idem = header('idempotency-key')
  const reply = await perform(
    dispatcher,
    {
      cmd: 'record-event',
      event_type: event,
      entity_id: ticketId,
      bead_id: ticketId,
      payload,
      ...(idem === undefined ? {} : { idem }),
    },
    { gone: () => goneSignal(c.env.outgoing) },
  )
  return reply.ok ? answerJson(c, 200, { success: true, event: event ?? null }) : answerReply(c, reply)
}

function badEvent(ticketId: JsonObject[string], event: JsonObject[string]): SwarmError {
  const [field, expected, got] =
    typeof ticketId === 'string'
      ? ['event', EVENTS.join(', '), event]
      : ['ticketId', 'the id of a bead', ticketId]
  return new SwarmError('INVALID', `${field} must be ${expected}`, {
    ctx: { kind: got === undefined ? 'MissingField' : 'InvalidValue', field, expected, got: typeof got },
  })
}

function needsBearer(): Refused {
  return new Refused(
    401,
    new SwarmError('UNAUTHORIZED', 'an engine shows its token as Authorization: Bearer', {
      ctx: { field: 'token', expected: 'the header Authorization' },
    }),
  )
}
