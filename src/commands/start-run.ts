import * as z from 'zod'
import { ADAPTERS } from '../contract/agents-config.ts'
import { defineCommand } from '../contract/command.ts'
import { countsOf, roleCounts } from '../contract/role-counts.ts'
import { reason, runRow } from '../contract/run-rows.ts'

export default defineCommand({
  name: 'start-run',
  group: 'run',
  summary: 'make a run without driving it: swarm up with resume does, on any host',
  input: z.strictObject({
    target: z
      .int()
      .min(1)
      .max(2_147_483_647)
      .optional()
      .describe('how many beads are to land; all of them by default'),
    agents: roleCounts.optional().describe('how many of each role'),
    adapter: z.enum(ADAPTERS).optional().describe('for all roles, instead of the configuration'),
    waves: z.enum(['rolling', 'strict']).optional(),
    reason: reason.optional(),
  }),
  output: runRow.extend({ beads: z.int().describe('that are now of this run') }),
  effect: 'write',
  errors: ['EXISTS'],
  examples: [],
  async run(ctx, input) {
    const { startRun } = await import('../orchestrator/up.ts')
    const run = await startRun(ctx, { ...input, agents: countsOf(input.agents) })
    ctx.next({ cmd: 'up', resume: run.run_id })
    return run
  },
  dry: async (_ctx, input) => [`make a run${input.target ? ` of ${input.target} beads` : ''}`],
})
