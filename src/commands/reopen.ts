import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { beadId, LIMITS, stageName, text } from '../contract/fields.ts'
import { write } from '../runtime/write.ts'

export default defineCommand({
  name: 'reopen',
  group: 'work',
  summary: 'put a finished, blocked or cancelled bead back to pending, with fresh attempts',
  input: z.strictObject({
    bead_id: beadId,
    stage: stageName
      .optional()
      .describe(
        'where to go on, at most the first stage whose gate is not passed; for a finished bead the first stage, else the one it is at',
      ),
    feedback: text(LIMITS.feedback).optional().describe('what the next attempt must know'),
  }),
  output: z.object({
    bead_id: z.string(),
    status: z.literal('pending'),
    stage: z.string(),
    asked: z
      .string()
      .optional()
      .describe('the stage that was asked for, where a gate before it is not passed'),
    was: z.string().describe('the status before'),
  }),
  effect: 'write',
  errors: ['NOTFOUND', 'CONFLICT'],
  positional: ['bead_id'],
  examples: [
    {
      given: [
        { cmd: 'enqueue', beads: [{ bead_id: 'api', title: 'Write the API' }] },
        { cmd: 'cancel', bead_id: 'api' },
      ],
      in: { cmd: 'reopen', bead_id: 'api', stage: 'implement', feedback: 'we need it after all' },
      out: { bead_id: 'api', status: 'pending', stage: 'implement', was: 'cancelled' },
    },
  ],
  run: (ctx, input) => write(ctx, 'reopen', input),
  dry: async (_ctx, input) => [`put bead ${input.bead_id} back to pending`],
})
