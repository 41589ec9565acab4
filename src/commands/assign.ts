import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { agentId, beadId, LIMITS, leaseMs, text } from '../contract/fields.ts'
import { write } from '../runtime/write.ts'

export default defineCommand({
  name: 'assign',
  group: 'work',
  summary: 'give a ready bead to an agent; its process picks it up with claim-next',
  input: z.strictObject({
    agent_id: agentId.describe('who gets it'),
    bead_id: beadId,
    reason: text(LIMITS.reason).optional().describe('kept in an event'),
    lease_ms: leaseMs.optional().describe('how long the agent has to pick it up; 900,000 by default'),
  }),
  output: z.object({
    bead_id: z.string(),
    agent_id: z.int(),
    stage: z.string(),
    attempt: z.int(),
    fence: z.int(),
    lease_ms: z.int(),
  }),
  effect: 'write',
  errors: ['NOTFOUND', 'CONFLICT'],
  examples: [
    {
      given: [
        { cmd: 'register', count: 2 },
        { cmd: 'enqueue', beads: [{ bead_id: 'api', title: 'Write the API' }] },
      ],
      in: { cmd: 'assign', agent_id: 2, bead_id: 'api' },
      out: { bead_id: 'api', agent_id: 2, stage: 'contract', attempt: 1, fence: 1, lease_ms: 900_000 },
    },
  ],
  run: (ctx, input) => write(ctx, 'assign', input),
  dry: async (_ctx, input) => [`give bead ${input.bead_id} to agent ${input.agent_id}`],
})
