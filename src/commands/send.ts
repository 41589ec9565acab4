import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { agentId, beadId, LIMITS, messageType, metadata, text } from '../contract/fields.ts'
import { appendCall } from './shared/append.ts'

const recipient = z.union([agentId, text(64)])

export default defineCommand({
  name: 'send',
  group: 'loop',
  summary: 'a message to an agent, to a role, or to several',
  input: z.strictObject({
    agent_id: agentId.describe('the sender'),
    to: z
      .union([recipient, z.array(recipient).min(1).max(100)])
      .describe('agent number, role or name, or a list of them'),
    body: text(LIMITS.body),
    subject: z.string().max(500).optional(),
    message_type: messageType.optional().describe('coordination by default'),
    bead_id: beadId.optional(),
    metadata: metadata.optional(),
  }),
  output: z.object({ message_ids: z.array(z.int()), sequence: z.int() }),
  effect: 'write',
  errors: ['NOTFOUND'],
  examples: [
    {
      given: [{ cmd: 'register', count: 2 }],
      in: { cmd: 'send', agent_id: 1, to: 2, body: 'the API is ready' },
      out: { message_ids: ['$int'], sequence: '$int' },
    },
  ],
  append: (ctx, input) => appendCall(ctx, 'send', { message_type: 'coordination', ...input }),
  dry: async (_ctx, input) => [`send ${input.body.length} characters to ${JSON.stringify(input.to)}`],
})
