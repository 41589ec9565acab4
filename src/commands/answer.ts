import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { text } from '../contract/fields.ts'
import { write } from '../runtime/write.ts'

export default defineCommand({
  name: 'answer',
  group: 'run',
  summary: 'answer a question; the session that asked goes on with it',
  input: z.strictObject({
    question_id: text(200),
    answer: text(16_000),
    by: text(64).optional().describe('who answers; operator by default'),
  }),
  output: z.object({ question_id: z.string(), answer: z.string() }),
  effect: 'write',
  errors: ['NOTFOUND', 'CONFLICT'],
  positional: ['question_id', 'answer'],
  examples: [],
  run: (ctx, input) => write(ctx, 'answer', input),
  dry: async (_ctx, input) => [`answer question ${input.question_id}`],
})
