import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { eventRow, SEVERITIES } from '../contract/events.ts'
import { agentId, beadId, eventType, logPosition, stageName, timestamp } from '../contract/fields.ts'
import { runId, sessionId } from '../contract/run-rows.ts'
import { readEvents } from '../events/events.ts'
import { stream } from '../runtime/page.ts'

export default defineCommand({
  name: 'events',
  group: 'loop',
  summary: 'what happened since a cursor, in order and without gaps',
  input: z.strictObject({
    after: logPosition.optional().describe('sequence number, or the cursor of the last answer; 0 by default'),
    limit: z.int().min(1).max(10_000).optional().describe('200 by default'),
    bead_id: beadId.optional(),
    agent_id: agentId.optional(),
    event_type: eventType.optional(),
    stage: stageName.optional(),
    session_id: sessionId.optional(),
    run_id: runId.optional(),
    severity: z.enum(SEVERITIES).optional().describe('this one or worse'),
    from_time: timestamp.optional().describe('not before this time'),
    latest: z.boolean().optional().describe('the last ones, in order; the cursor is then the end'),
    stream,
  }),
  output: z.object({
    events: z.array(eventRow),
    cursor: z.string().describe('give it as `after` next time'),
    more: z.boolean().describe('true when the limit, or 1 MiB, cut the answer'),
  }),
  effect: 'read',
  speakers: [],
  pages: true,
  errors: ['CONFLICT'],
  examples: [
    {
      given: [{ cmd: 'enqueue', beads: [{ bead_id: 'api', title: 'Write the API' }] }],
      in: { cmd: 'events', bead_id: 'api' },
      out: {
        events: [
          {
            sequence: '$int',
            payload_version: 1,
            timestamp: '$time',
            event_type: 'bead_enqueued',
            entity_id: 'api',
            bead_id: 'api',
            payload: { priority: 'p2', status: 'pending' },
          },
        ],
        cursor: '$string',
        more: false,
      },
    },
  ],
  run: (ctx, input) =>
    readEvents(ctx.db, { ...input, repo: ctx.repo, limit: input.limit ?? (input.stream ? 1_000 : 200) }),
})
