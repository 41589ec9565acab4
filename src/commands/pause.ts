import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { reason, runId, runRow } from '../contract/run-rows.ts'
import { write } from '../runtime/write.ts'

export default defineCommand({
  name: 'pause',
  group: 'run',
  summary: 'start nothing new in a run; sessions that run go on',
  input: z.strictObject({
    run_id: runId.optional(),
    reason: reason.optional(),
  }),
  output: runRow,
  effect: 'write',
  errors: ['NOTFOUND'],
  positional: ['run_id'],
  examples: [],
  run: (ctx, input) => write(ctx, 'run-set', { ...input, to: 'paused' }),
  dry: async (_ctx, input) => [`pause ${input.run_id ?? 'the open run'}`],
})
