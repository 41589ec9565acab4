import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { reason, sessionId } from '../contract/run-rows.ts'
import { write } from '../runtime/write.ts'

export default defineCommand({
  name: 'extend',
  group: 'run',
  summary: 'give a session more time before it counts as stuck',
  input: z.strictObject({
    session_id: sessionId,
    ms: z.int().min(1_000).max(86_400_000).default(1_800_000),
    reason: reason.optional(),
  }),
  output: z.object({ session_id: z.string(), until: z.string() }),
  effect: 'write',
  errors: ['NOTFOUND', 'CONFLICT'],
  positional: ['session_id'],
  examples: [],
  run: (ctx, input) => write(ctx, 'extend', input),
  dry: async (_ctx, input) => [`give session ${input.session_id} ${input.ms} ms`],
})
