import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { reason, runId, runRow } from '../contract/run-rows.ts'
import { write } from '../runtime/write.ts'

export default defineCommand({
  name: 'down',
  group: 'run',
  summary:
    'end a run: agents finish their turn, or with now are ended at once; either way their work is kept',
  input: z.strictObject({
    run_id: runId.optional(),
    now: z.boolean().optional().describe('end the sessions too'),
    reason: reason.optional(),
  }),
  output: runRow,
  effect: 'write',
  errors: ['NOTFOUND'],
  positional: ['run_id'],
  examples: [],
  run: (ctx, input) => write(ctx, 'run-set', { ...input, to: 'stopping' }),
  dry: async (_ctx, input) => [`end ${input.run_id ?? 'the open run'}`],
})
