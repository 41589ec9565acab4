import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { resource, who } from '../contract/fields.ts'
import { write } from '../runtime/write.ts'

export default defineCommand({
  name: 'unlock',
  group: 'loop',
  summary: 'let go of a resource',
  input: z.strictObject({ resource, agent: who }),
  fieldAliases: { agent_id: 'agent' },
  output: z.object({ resource: z.string(), agent: z.string(), held_ms: z.int() }),
  effect: 'write',
  role: 'agent',
  errors: ['CONFLICT', 'NOTFOUND'],
  examples: [
    {
      given: [
        { cmd: 'register', count: 1 },
        { cmd: 'lock', resource: 'src/api.ts', agent: 1 },
      ],
      in: { cmd: 'unlock', resource: 'src/api.ts', agent: 1 },
      out: { resource: 'src/api.ts', agent: '1', held_ms: '$int' },
    },
  ],
  run: (ctx, input) => write(ctx, 'unlock', { ...input, agent: String(input.agent) }),
  dry: async (_ctx, input) => [`unlock ${input.resource}`],
})
