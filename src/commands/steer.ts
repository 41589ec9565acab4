import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { text } from '../contract/fields.ts'
import { sessionId } from '../contract/run-rows.ts'
import { write } from '../runtime/write.ts'

export default defineCommand({
  name: 'steer',
  group: 'run',
  summary: 'say something to a running session',
  input: z.strictObject({
    session_id: sessionId,
    text: text(16_000),
  }),
  output: z.object({ session_id: z.string(), input_id: z.int() }),
  effect: 'write',
  errors: ['NOTFOUND', 'CONFLICT'],
  positional: ['session_id', 'text'],
  examples: [],
  run: (ctx, input) => write(ctx, 'steer', input),
  dry: async (_ctx, input) => [`say to session ${input.session_id}: ${input.text.slice(0, 80)}`],
})
