import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { reason, sessionId } from '../contract/run-rows.ts'
import { write } from '../runtime/write.ts'

export default defineCommand({
  name: 'kill',
  group: 'run',
  summary: 'end a session at once; its work is kept and its bead goes back',
  input: z.strictObject({
    session_id: sessionId,
    reason: reason.optional(),
  }),
  output: z.object({
    session_id: z.string(),
    bead_id: z.string(),
    status: z.string().describe('when this was written; its host ends it within seconds'),
    reason: z.string().optional().describe('when it had ended already'),
  }),
  effect: 'write',
  errors: ['NOTFOUND'],
  positional: ['session_id'],
  examples: [],
  run: (ctx, input) => write(ctx, 'kill', input),
  dry: async (_ctx, input) => [`end session ${input.session_id}`],
})
