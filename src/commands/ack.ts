import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { agentId } from '../contract/fields.ts'
import { write } from '../runtime/write.ts'

export default defineCommand({
  name: 'ack',
  group: 'talk',
  summary: 'say that you have acted on messages; their senders see it',
  input: z.strictObject({
    agent_id: agentId.describe('the receiver'),
    message_ids: z.array(z.int().min(1)).min(1).max(1_000),
  }),
  output: z.object({ acked: z.array(z.int()) }),
  effect: 'write',
  role: 'agent',
  errors: ['NOTFOUND', 'CONFLICT'],
  examples: [
    {
      given: [{ cmd: 'register', count: 1 }],
      in: { cmd: 'ack', agent_id: 1, message_ids: [17], dry: true },
      out: { dry: true, would_do: ['mark message 17 as acted on by agent 1'] },
    },
  ],
  run: (ctx, input) => write(ctx, 'ack', input),
  dry: async (_ctx, input) =>
    input.message_ids.map((id) => `mark message ${id} as acted on by agent ${input.agent_id}`),
})
