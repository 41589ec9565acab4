import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { agentId, beadId, stageName } from '../contract/fields.ts'
import { attemptRow } from '../contract/rows.ts'
import { full, limit, more, readPage, stream } from '../runtime/page.ts'

const attempt = attemptRow.extend({ attempt_id: z.int() })

export default defineCommand({
  name: 'history',
  group: 'look',
  summary: 'what was tried, latest first: attempts with outcome and duration',
  input: z.strictObject({
    bead_id: beadId.optional(),
    agent_id: agentId.optional(),
    stage: stageName.optional(),
    limit: limit(50),
    after: z.int().min(1).optional().describe('cursor of the last answer'),
    full: full.describe('with the whole feedback'),
    stream,
  }),
  output: z.object({
    attempts: z.array(attempt),
    more,
    cursor: z.int().optional().describe('give it as `after` next time'),
  }),
  effect: 'read',
  speakers: [],
  pages: true,
  errors: ['NOTFOUND'],
  positional: ['bead_id'],
  examples: [
    {
      given: [
        { cmd: 'register', count: 1 },
        { cmd: 'enqueue', beads: [{ bead_id: 'api', title: 'Write the API' }] },
        { cmd: 'claim-next', agent_id: 1 },
        { cmd: 'complete-stage', agent_id: 1, outcome: 'passed' },
      ],
      in: { cmd: 'history', bead_id: 'api' },
      out: {
        attempts: [
          {
            attempt_id: '$int',
            bead_id: 'api',
            stage: 'implement',
            attempt: 1,
            agent_id: 1,
            status: 'started',
            duration_ms: '$int',
          },
          {
            stage: 'contract',
            attempt: 1,
            agent_id: 1,
            status: 'passed',
            result: 'advance',
            started_at: '$time',
            duration_ms: '$int',
          },
        ],
        more: false,
      },
    },
  ],
  async run(ctx, input) {
    const { rows, ...page } = await readPage(
      ctx,
      'history_json',
      input,
      (row: z.output<typeof attempt>) => row.attempt_id,
    )
    return { attempts: rows, ...page }
  },
})
