import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { reason, runId } from '../contract/run-rows.ts'
import { priorReply } from '../runtime/prior-reply.ts'

const output = z.object({
  audit_id: z.int(),
  checked: z.int().describe('turns of sessions that are over'),
  passed: z.int(),
  failed: z.int(),
  running: z.int().describe('sessions that were looked at while they ran'),
  ended: z.int().describe('of these, told to end: they are stuck'),
  more: z.boolean().describe('there are more sessions than one cycle checks'),
  failures: z
    .array(
      z.object({
        session_id: z.string(),
        iteration: z.int(),
        findings: z.array(z.string()),
        recommendations: z.array(z.string()),
      }),
    )
    .describe('at most 100; iterations has all'),
})

export default defineCommand({
  name: 'qa-cycle',
  group: 'run',
  summary:
    'hold finished turns against the facts and running sessions against the rules of liveness; up does it every 15 minutes',
  input: z.strictObject({
    run_id: runId.optional().describe('of this run only'),
    reason: reason.optional(),
  }),
  output,
  effect: 'write',
  hostBound: true,
  alone: true,
  errors: [],
  examples: [
    {
      in: { cmd: 'qa-cycle', reason: 'before the release' },
      out: {
        audit_id: '$int',
        checked: 0,
        passed: 0,
        failed: 0,
        running: 0,
        ended: 0,
        more: false,
        failures: [],
      },
    },
  ],
  async run(ctx, asked) {
    const prior = await priorReply<z.output<typeof output>>(ctx, 'qa-cycle', asked)
    if (prior) return prior
    const { qaHere } = await import('../orchestrator/up.ts')
    const { failures, ...counts } = await qaHere(ctx, asked)
    return {
      ...counts,
      failures: failures.map(({ findings, recommendations, ...one }) => ({
        ...one,
        findings: [...findings],
        recommendations: [...recommendations],
      })),
    }
  },
  dry: async (_ctx, { run_id }) => [
    `check the finished turns of ${run_id ?? 'all runs'}, and tell sessions that are stuck to end`,
  ],
})
