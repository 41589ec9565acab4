import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { agentId, beadId, LIMITS, messageType, metadata, name, text } from '../contract/fields.ts'
import { appendCall } from '../runtime/append.ts'

const recipient = z.union([agentId, name(200)])

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
    reply_to: z.int().min(1).optional().describe('the message that this answers'),
    thread_id: z.int().min(1).optional().describe('a thread: the number of its first message'),
    importance: z.enum(['low', 'normal', 'high', 'urgent']).optional().describe('normal by default'),
    ack_required: z.boolean().optional().describe('ask for an ack'),
    deadline_ms: z
      .int()
      .min(1)
      .max(2_592_000_000)
      .optional()
      .describe('not acked after this many ms, it becomes a message_overdue event'),
    metadata: metadata.optional(),
  }),
  output: z.object({ message_ids: z.array(z.int()), sequence: z.int() }),
  effect: 'write',
  role: 'agent',
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
