import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { agentId, beadId } from '../contract/fields.ts'
import { attemptRow, claimRow } from '../contract/rows.ts'
import { limit, more, readPage } from '../runtime/page.ts'

const claim = claimRow.extend({
  title: z.string(),
  stage: z.string(),
  attempt: z.int(),
  feedback: z.string().optional(),
  last_attempt: attemptRow
    .omit({ bead_id: true, feedback: true })
    .optional()
    .describe('the last one that ended'),
  unread: z.int().describe('messages waiting for the holder'),
})

export default defineCommand({
  name: 'resume',
  group: 'compat',
  summary: 'who holds what since when: where work goes on after a crash',
  input: z.strictObject({
    agent_id: agentId.optional(),
    limit: limit(50),
    after: beadId.optional().describe('cursor of the last answer'),
  }),
  output: z.object({
    claims: z.array(claim),
    more,
    cursor: z.string().optional().describe('give it as `after` next time'),
  }),
  effect: 'read',
  speakers: [],
  errors: ['NOTFOUND'],
  examples: [
    {
      given: [
        { cmd: 'register', count: 1 },
        { cmd: 'enqueue', beads: [{ bead_id: 'api', title: 'Write the API' }] },
        { cmd: 'claim-next', agent_id: 1 },
      ],
      in: { cmd: 'resume', agent_id: 1 },
      out: {
        claims: [
          {
            bead_id: 'api',
            agent_id: 1,
            fence: 1,
            title: 'Write the API',
            stage: 'contract',
            attempt: 1,
            claimed_at: '$time',
            heartbeat_at: '$time',
            lease_expires_at: '$time',
            remaining_ms: '$int',
            unread: 0,
          },
        ],
        more: false,
      },
    },
  ],
  async run(ctx, input) {
    const { rows, ...page } = await readPage(
      ctx,
      'resume_json',
      input,
      (row: z.output<typeof claim>) => row.bead_id,
    )
    const [first] = rows
    if (first && input.agent_id !== undefined) ctx.next({ cmd: 'resume-context', bead_id: first.bead_id })
    return { claims: rows, ...page }
  },
})
