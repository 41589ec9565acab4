import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { agentId, role } from '../contract/fields.ts'
import { agentRow } from '../contract/rows.ts'
import { write } from '../runtime/write.ts'

export default defineCommand({
  name: 'update-agent',
  group: 'run',
  summary: 'give an agent another role; what it holds it may finish',
  input: z.strictObject({
    agent_id: agentId.describe('which agent'),
    role,
  }),
  output: z.object({ agent: agentRow }),
  effect: 'write',
  speakers: [],
  errors: ['NOTFOUND'],
  examples: [
    {
      given: [{ cmd: 'register', count: 1 }],
      in: { cmd: 'update-agent', agent_id: 1, role: 'reviewer' },
      out: { agent: { agent_id: 1, role: 'reviewer', status: '$string', last_update: '$time' } },
    },
  ],
  run: (ctx, input) => write(ctx, 'update-agent', input),
  dry: async (_ctx, input) => [`change agent ${input.agent_id}`],
})
