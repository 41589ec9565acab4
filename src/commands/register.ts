import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { agentId, role, text } from '../contract/fields.ts'
import { write } from '../runtime/write.ts'

export default defineCommand({
  name: 'register',
  group: 'loop',
  summary: 'take an agent number; the same name gets the same number, count ensures 1 to N',
  input: z.strictObject({
    name: text(200).optional().describe('a name of your own; asking again with it gives the same number'),
    role: role.optional(),
    count: z.int().min(1).max(100).optional().describe('ensure that agents 1 to count exist'),
  }),
  output: z.object({
    agent_ids: z.array(agentId),
    agents: z.int().describe('how many there are in the repo now'),
  }),
  effect: 'write',
  errors: ['CONFLICT'],
  examples: [
    { in: { cmd: 'register', name: 'ada', role: 'implementer' }, out: { agent_ids: ['$int'], agents: 1 } },
    { in: { cmd: 'register', count: 3 }, out: { agent_ids: [1, 2, 3], agents: 3 } },
  ],
  run: (ctx, input) =>
    write(ctx, 'register', input, { ...(ctx.env.HOSTNAME ? { host: ctx.env.HOSTNAME } : {}) }),
  async dry(_ctx, input) {
    if (input.count) return [`ensure agents 1 to ${input.count}`]
    return [input.name ? `register the agent ${input.name}, or find it` : 'register one agent']
  },
})
