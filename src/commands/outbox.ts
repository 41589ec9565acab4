import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { agentId } from '../contract/fields.ts'
import { messageRow } from '../contract/rows.ts'
import { full, limit, more, pageOf } from '../runtime/page.ts'
import { readFunction } from '../runtime/read.ts'

const message = messageRow.omit({ from: true })
const broadcast = z.object({
  broadcast_id: z.int(),
  msg: z.string(),
  at: z.string(),
  seen_by: z.array(z.int()).describe('agents'),
})

export default defineCommand({
  name: 'outbox',
  group: 'talk',
  summary: 'what you have sent, latest first: delivered, read, acted on, by whom',
  input: z.strictObject({
    agent_id: agentId.describe('the sender'),
    limit: limit(20),
    after: z.int().min(1).optional().describe('cursor of the last answer'),
    full: full.describe('with the whole bodies'),
  }),
  output: z.object({
    messages: z.array(message),
    broadcasts: z.array(broadcast).describe('on the first page'),
    more,
    cursor: z.int().optional().describe('give it as `after` next time'),
  }),
  effect: 'read',
  errors: ['NOTFOUND'],
  examples: [
    {
      given: [
        { cmd: 'register', count: 2 },
        { cmd: 'send', agent_id: 1, to: 2, body: 'the API is ready' },
        { cmd: 'inbox', agent_id: 2 },
        { cmd: 'send', agent_id: 1, to: 2, body: 'the docs too' },
      ],
      in: { cmd: 'outbox', agent_id: 1 },
      out: {
        messages: [
          {
            message_id: '$int',
            to: 2,
            message_type: 'coordination',
            body: 'the docs too',
            at: '$time',
            state: 'queued',
          },
          {
            message_id: '$int',
            to: 2,
            body: 'the API is ready',
            state: 'read',
            delivered_at: '$time',
            read_at: '$time',
          },
        ],
        broadcasts: [],
        more: false,
      },
    },
  ],
  async run(ctx, input) {
    type Outbox = { rows: z.output<typeof message>[]; broadcasts: z.output<typeof broadcast>[] }
    const sent = await readFunction<Outbox>(ctx, 'outbox_json', ctx.repo, input)
    const { rows, ...page } = pageOf(sent.rows, input.limit, (row) => row.message_id)
    return { messages: rows, broadcasts: sent.broadcasts, ...page }
  },
})
