import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { agentId, beadId, fence, LIMITS, text, unread } from '../contract/fields.ts'
import { holderWrite } from '../runtime/write.ts'

const output = z.object({ bead_id: z.string(), status: z.string(), unread })

export default defineCommand({
  name: 'release',
  group: 'loop',
  summary: 'give the bead back, ready for somebody else or blocked for a person',
  input: z.strictObject({
    agent_id: agentId,
    bead_id: beadId.optional(),
    fence: fence.optional(),
    reason: text(LIMITS.reason).optional(),
    to: z.enum(['pending', 'blocked']).optional().describe('pending by default'),
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
      in: { cmd: 'release', agent_id: 1, reason: 'needs a key that I do not have', to: 'blocked' },
      out: { bead_id: 'api', status: 'blocked' },
    },
  ],
  run: (ctx, input) => holderWrite<z.output<typeof output>>(ctx, 'release', input, {}, { ended: () => true }),
  dry: async (_ctx, input) => [`release ${input.bead_id ?? 'the held bead'} to ${input.to ?? 'pending'}`],
})
