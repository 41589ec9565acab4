import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { EVENT_ALIASES } from '../contract/common.ts'
import { diagnostics } from '../contract/events.ts'
import { agentId, beadId, eventType, metadata, stageName, text, timestamp } from '../contract/fields.ts'
import { appendCall } from '../runtime/append.ts'
import { readFunction } from '../runtime/read.ts'

export default defineCommand({
  name: 'record-event',
  group: 'other',
  summary: 'append an event of your own to the log',
  input: z.strictObject({
    event_type: eventType.describe('progress, activity, state_change, pr_created, or a name of your own'),
    entity_id: text(200).describe('what it is about'),
    bead_id: beadId.optional(),
    agent_id: agentId.optional(),
    stage: stageName.optional(),
    causation_id: text(200).optional().describe('what caused it'),
    diagnostics: diagnostics.optional(),
    payload: metadata.optional(),
    payload_version: z.int().min(1).max(32_767).optional().describe('1 by default'),
    timestamp: timestamp
      .optional()
      .describe('when it happened, by your own clock: kept as client_time of the payload'),
    sequence: z.int().min(0).optional().describe('of an exported row; the log gives its own'),
  }),
  fieldAliases: EVENT_ALIASES,
  output: z.object({ sequence: z.int() }),
  effect: 'write',
  role: 'agent',
  errors: [],
  examples: [
    {
      in: {
        cmd: 'record-event',
        event_type: 'progress',
        entity_id: 'build',
        payload: { phase: 'executing' },
      },
      out: { sequence: '$int' },
    },
  ],
  append: (ctx, input) => appendCall(ctx, 'record-event', input),
  dry: async (ctx, input) => {
    await readFunction(ctx, 'check_event', ctx.repo, { ...input })
    return [`append the event ${input.event_type} about ${input.entity_id}`]
  },
})
