import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { agentId, beadId, fence, stageName } from '../contract/fields.ts'
import { holderWrite } from '../runtime/write.ts'

const output = z.object({ bead_id: z.string(), stage: z.string(), attempt: z.int() })

export default defineCommand({
  name: 'start-stage',
  group: 'work',
  summary: 'start a stage of the held bead again, this one or an earlier one; claiming starts the first',
  input: z.strictObject({
    agent_id: agentId,
    stage: stageName.optional().describe('the current one by default'),
    bead_id: beadId.optional().describe('the held one by default'),
    fence: fence.optional(),
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
        { cmd: 'complete-stage', agent_id: 1, outcome: 'passed' },
      ],
      in: { cmd: 'start-stage', agent_id: 1, stage: 'contract' },
      out: { bead_id: 'api', stage: 'contract', attempt: 2 },
    },
  ],
  run: (ctx, input) => holderWrite<z.output<typeof output>>(ctx, 'start-stage', input),
  dry: async (_ctx, input) => [
    `start ${input.stage ?? 'the current stage'} of ${input.bead_id ?? 'the held bead'} again`,
  ],
})
