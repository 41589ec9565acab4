import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { text } from '../contract/fields.ts'
import { iterationRow, sessionId } from '../contract/run-rows.ts'
import { write } from '../runtime/write.ts'

export default defineCommand({
  name: 'check-iteration',
  group: 'run',
  summary: 'keep what a check of one turn of a session found; it decides nothing about the bead',
  input: z.strictObject({
    session_id: sessionId,
    iteration: z.int().min(1).max(2_147_483_647),
    result: z.enum(['passed', 'failed']),
    findings: z.array(z.json()).max(1_000).optional(),
    recommendations: z.array(z.json()).max(1_000).optional(),
    by: text(64).optional().describe('who has checked; operator by default'),
  }),
  output: z.object({ iteration: iterationRow }),
  effect: 'write',
  role: 'runner',
  errors: ['NOTFOUND'],
  examples: [],
  run: (ctx, input) => write(ctx, 'check-iteration', input),
  dry: async (_ctx, input) => [
    `keep ${input.result} for iteration ${input.iteration} of ${input.session_id}`,
  ],
})
