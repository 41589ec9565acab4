import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { beadId, LIMITS, text } from '../contract/fields.ts'
import { write } from '../runtime/write.ts'

export default defineCommand({
  name: 'cancel',
  group: 'work',
  summary: 'give a bead up for good; its claim ends and nothing waits for it any more',
  input: z.strictObject({ bead_id: beadId, reason: text(LIMITS.reason).optional() }),
  output: z.object({
    bead_id: z.string(),
    status: z.literal('cancelled'),
    was: z.string().describe('the status before'),
  }),
  effect: 'write',
  errors: ['NOTFOUND', 'CONFLICT'],
  positional: ['bead_id'],
  examples: [
    {
      given: [{ cmd: 'enqueue', beads: [{ bead_id: 'api', title: 'Write the API' }] }],
      in: { cmd: 'cancel', bead_id: 'api', reason: 'nobody needs it' },
      out: { bead_id: 'api', status: 'cancelled', was: 'pending' },
    },
  ],
  run: (ctx, input) => write(ctx, 'cancel', input),
  dry: async (_ctx, input) => [`cancel bead ${input.bead_id}`],
})
