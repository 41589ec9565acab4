import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { agentId, beadId, text } from '../contract/fields.ts'
import { write } from '../runtime/write.ts'

export default defineCommand({
  name: 'ask',
  group: 'talk',
  summary: 'ask a person something; the question stands first everywhere until it is answered',
  input: z.strictObject({
    question: text(8_000),
    options: z.array(text(200)).max(20).optional(),
    agent_id: agentId.optional(),
    bead_id: beadId.optional(),
  }),
  output: z.object({ question_id: z.string() }),
  effect: 'write',
  role: 'agent',
  positional: ['question'],
  errors: ['NOTFOUND'],

  examples: [
    {
      in: { cmd: 'ask', question: 'Which colour?', options: ['red', 'blue'] },
      out: { question_id: '$string' },
    },
  ],
  run: (ctx, input) => write(ctx, 'ask', input),
  dry: async (_ctx, input) => [`ask: ${input.question.slice(0, 80)}`],
})
