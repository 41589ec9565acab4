import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import { agentId, beadId, fence } from '../contract/fields.ts'
import { ran, timeoutMs, withDatabase } from '../contract/stage-fields.ts'
import { priorReply } from '../runtime/prior-reply.ts'
import { holderWrite } from '../runtime/write.ts'
import { gateOfWork, heldWork } from '../work/held-work.ts'
import { runStageCommand } from '../work/stage-runner.ts'

const output = z.object({ ran: ran.nullable(), reason: z.string().optional() })
type Output = z.output<typeof output>

export default defineCommand({
  name: 'qa',
  group: 'work',
  summary: 'run the held bead’s gate now and store its output as verified evidence; decides nothing',
  input: z.strictObject({
    agent_id: agentId,
    bead_id: beadId.optional().describe('the held one by default'),
    fence: fence.optional(),
    timeout_ms: timeoutMs.optional(),
    with_database: withDatabase.optional(),
  }),
  output,
  effect: 'write',
  role: 'runner',
  errors: ['NOTFOUND', 'CONFLICT'],
  examples: [],
  waits: () => true,
  async run(ctx, input): Promise<Output> {
    const prior = await priorReply<Output>(ctx, 'qa', input)
    if (prior) return prior
    const work = await heldWork(ctx, input)
    const gate = gateOfWork(ctx, work) ?? gateOfWork(ctx, work, 'qa')
    if (!gate) {
      throw new SwarmError(
        'INVALID',
        `neither stage ${work.stage} nor stage qa of this bead’s workflow has a gate in .swarm/config.toml`,
        {
          area: 'configuration',
          ctx: {
            kind: 'MissingField',
            field: 'workflows.default.stages.gate',
            stage: work.stage,
            bead_id: work.bead.bead_id,
          },
          fix: { cmd: 'workflows' },
        },
      )
    }
    const stageRun = await runStageCommand(ctx, input.agent_id, work, {
      argv: gate.argv,
      timeoutMs: input.timeout_ms ?? gate.timeout_ms,
      gate,
      withDatabase: input.with_database ?? false,
    })
    if ('stopped' in stageRun) return { ran: null, reason: stageRun.stopped }
    const { ran, evidence } = stageRun
    const { fence, attempt_id } = work
    const { bead_id } = work.bead
    const claim = { agent_id: input.agent_id, bead_id, fence, attempt_id }
    return holderWrite<Output>(ctx, 'qa', input, { bead_id, fence, claim, evidence, ran })
  },
  dry: async (_ctx, input) => [
    `run the gate of the bead that agent ${input.agent_id} holds, and store its output`,
  ],
})
