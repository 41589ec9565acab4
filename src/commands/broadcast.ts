import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { LIMITS, text, who } from '../contract/fields.ts'
import { appendCall } from '../runtime/append.ts'

export default defineCommand({
  name: 'broadcast',
  group: 'loop',
  summary: 'a message to everybody in the repo',
  input: z.strictObject({
    msg: text(LIMITS.body),
    from: who.describe('number of the agent, or a name for who is none'),
  }),
  fieldAliases: { agent_id: 'from' },
  output: z.object({ broadcast_id: z.int(), sequence: z.int() }),
  effect: 'write',
  role: 'agent',
  speakers: ['from'],
  errors: ['NOTFOUND'],
  examples: [
    {
      given: [{ cmd: 'register', count: 1 }],
      in: { cmd: 'broadcast', from: 1, msg: 'the main branch is green again' },
      out: { broadcast_id: '$int', sequence: '$int' },
    },
  ],
  append: (ctx, input) => appendCall(ctx, 'broadcast', { ...input, from: String(input.from) }),
  dry: async (_ctx, input) => [`broadcast ${input.msg.length} characters`],
})
