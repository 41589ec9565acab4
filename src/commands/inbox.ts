import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { agentId, waitMs, who } from '../contract/fields.ts'
import { messageExtras } from '../contract/rows.ts'
import { waitUntil } from '../runtime/wait.ts'
import { write } from '../runtime/write.ts'

const output = z.object({
  messages: z.array(
    z.object({
      message_id: z.int(),
      from: agentId,
      message_type: z.string(),
      subject: z.string().optional(),
      bead_id: z.string().optional(),
      body: z.string(),
      metadata: z.json().optional(),
      ...messageExtras,
      at: z.string(),
    }),
  ),
  broadcasts: z.array(z.object({ broadcast_id: z.int(), from: who, msg: z.string(), at: z.string() })),
  unread: z.int().describe('messages and broadcasts that are still unread'),
})
type Inbox = z.output<typeof output>

export default defineCommand({
  name: 'inbox',
  group: 'loop',
  summary: 'read your messages and the broadcasts you have not seen',
  input: z.strictObject({
    agent_id: agentId,
    unread: z.boolean().optional().describe('false: the latest, read or not; true by default'),
    limit: z.int().min(1).max(1_000).optional().describe('20 by default'),
    thread_id: z.int().min(1).optional().describe('what was said in this thread, by you too'),
    peek: z.boolean().optional().describe('leave them unread'),
    wait_ms: waitMs.optional(),
  }),
  output,
  effect: 'write',
  role: 'agent',
  errors: ['NOTFOUND'],
  examples: [
    {
      given: [
        { cmd: 'register', count: 2 },
        { cmd: 'send', agent_id: 1, to: 2, body: 'the API is ready' },
      ],
      in: { cmd: 'inbox', agent_id: 2 },
      out: {
        messages: [
          {
            message_id: '$int',
            from: 1,
            message_type: 'coordination',
            body: 'the API is ready',
            at: '$time',
          },
        ],
        broadcasts: [],
        unread: 0,
      },
    },
  ],
  waits: (input) => (input.wait_ms ?? 0) > 0,
  async run(ctx, input) {
    const { wait_ms = 0, ...args } = input
    const first = await write<Inbox>(ctx, 'inbox', args)
    if (wait_ms === 0 || hasSome(first)) return first
    const waited = await waitUntil(ctx, wait_ms, async (last) => {
      const again = await write<Inbox>(ctx, 'inbox', args)
      return last || hasSome(again) ? again : undefined
    })
    return waited ?? first
  },
  dry: async (_ctx, input) => [`mark up to ${input.limit ?? 20} messages of agent ${input.agent_id} read`],
})

function hasSome(inbox: Inbox): boolean {
  return inbox.messages.length > 0 || inbox.broadcasts.length > 0
}
