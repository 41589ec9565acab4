import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { agentId, beadId, fence, LIMITS, leaseMs, text, unread } from '../contract/fields.ts'
import { holderWrite } from '../runtime/write.ts'

const output = z.object({ bead_id: z.string().optional(), lease_ms: z.int().optional(), unread })

export default defineCommand({
  name: 'heartbeat',
  group: 'loop',
  summary: 'a sign of life; renews the claim, and a note becomes a progress event',
  input: z.strictObject({
    agent_id: agentId,
    bead_id: beadId.optional(),
    fence: fence.optional(),
    lease_ms: leaseMs.optional(),
    note: text(LIMITS.note).optional().describe('what you are doing'),
  }),
  output,
  effect: 'write',
  role: 'agent',
  errors: ['NOTFOUND', 'CONFLICT'],
  examples: [
    {
      given: [
        { cmd: 'register', count: 1 },
        { cmd: 'enqueue', beads: [{ bead_id: 'api', title: 'Write the API' }] },
        { cmd: 'claim-next', agent_id: 1 },
      ],
      in: { cmd: 'heartbeat', agent_id: 1, note: 'half of the tests pass' },
      out: { bead_id: 'api', lease_ms: '$int' },
    },
  ],
  run: (ctx, input) =>
    holderWrite<z.output<typeof output>>(ctx, 'heartbeat', input, {}, { leaseMs: (d) => d.lease_ms }),
  dry: async (_ctx, input) => [`renew the claim of agent ${input.agent_id}`],
})
