import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { resource, who } from '../contract/fields.ts'
import { write } from '../runtime/write.ts'

export default defineCommand({
  name: 'lock',
  group: 'loop',
  summary: 'hold a resource for a while; the holder again renews',
  input: z.strictObject({
    resource,
    agent: who,
    ttl_ms: z.int().min(1).max(86_400_000).optional().describe('60,000 by default'),
    mode: z.enum(['exclusive', 'shared']).optional().describe('exclusive by default'),
  }),
  fieldAliases: { agent_id: 'agent' },
  output: z.object({
    resource: z.string(),
    agent: z.string(),
    mode: z.string(),
    fence: z.int(),
    until_at: z.string(),
    renewed: z.boolean(),
  }),
  effect: 'write',
  role: 'agent',
  errors: ['BUSY', 'NOTFOUND'],
  examples: [
    {
      given: [{ cmd: 'register', count: 1 }],
      in: { cmd: 'lock', resource: 'src/api.ts', agent: 1 },
      out: {
        resource: 'src/api.ts',
        agent: '1',
        mode: 'exclusive',
        fence: '$int',
        until_at: '$time',
        renewed: false,
      },
    },
  ],
  run: (ctx, input) => write(ctx, 'lock', { ...input, agent: String(input.agent) }),
  dry: async (_ctx, input) => [`lock ${input.resource} for ${input.ttl_ms ?? 60_000} ms`],
})
