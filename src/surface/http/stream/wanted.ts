import * as z from 'zod'
import { SEVERITIES } from '../../../contract/events.ts'
import { agentId, beadId, eventType } from '../../../contract/fields.ts'
import { runId, sessionId } from '../../../contract/run-rows.ts'
import { CHANNELS, ROOM } from './frames.ts'

/** A client may be in so many channels and rooms. */
export const MOST_TOPICS = 256

const channels = z.array(z.enum(CHANNELS)).max(64)
const rooms = z
  .array(z.string().regex(ROOM, { error: 'must be bead:<id>, ticket:<id>, run:<id> or session:<id>' }))
  .max(MOST_TOPICS)

const filters = z.strictObject({
  agent_id: agentId.optional(),
  bead_id: beadId.optional(),
  session_id: sessionId.optional(),
  run_id: runId.optional(),
  event_types: z.array(eventType).max(64).optional(),
  severity: z.enum(SEVERITIES).optional(),
})

const from = z
  .string()
  .regex(/^(?:beginning|now|(?:[0-9a-z]{1,32}:)?\d{1,15})$/, { error: 'must be a cursor, beginning or now' })

const rid = z.union([z.string().max(256), z.int()])

/** What a client says that it wants. */
export const subscribeMessage = z.strictObject({
  type: z.literal('subscribe'),
  rid: rid.optional(),
  channels: channels.optional(),
  rooms: rooms.optional(),
  filters: filters.optional().describe('instead of those before'),
  from: from.optional(),
})

export const unsubscribeMessage = z.strictObject({
  type: z.literal('unsubscribe'),
  rid: rid.optional(),
  channels: channels.optional(),
  rooms: rooms.optional(),
})

/** The same as a query: lists are texts with commas. */
export const streamQuery = z.strictObject({
  channels: channels.optional(),
  rooms: rooms.optional(),
  from: from.optional(),
  ...filters.extend({ agent_id: z.coerce.number().pipe(agentId).optional() }).shape,
})
