import * as z from 'zod'
import { ADAPTERS } from '../contract/agents-config.ts'
import { defineCommand } from '../contract/command.ts'
import { text } from '../contract/fields.ts'
import { countsOf, roleCounts } from '../contract/role-counts.ts'
import { overview, reason, runId, runRow } from '../contract/run-rows.ts'

export default defineCommand({
  name: 'up',
  group: 'run',
  summary: 'start a swarm: agents work through the backlog until it has landed',
  input: z.strictObject({
    target: z
      .int()
      .min(1)
      .max(2_147_483_647)
      .optional()
      .describe('how many beads are to land; all of them by default'),
    agents: roleCounts.optional().describe('how many of each role, like implementer=4,reviewer=2'),
    adapter: z.enum(ADAPTERS).optional().describe('for all roles, instead of the configuration'),
    resume: runId.optional().describe('go on with this run instead of starting one'),
    waves: z
      .enum(['rolling', 'strict'])
      .optional()
      .describe('rolling: a bead starts when its blockers have landed; strict: when its whole wave may'),
    continuous: z.boolean().optional().describe('go on when everything has landed, and wait for more'),
    record: text(4_096)
      .optional()
      .describe(
        'a directory that gets what the leader sees and decides, for replay; at most 64 MiB a process',
      ),
    dry_run: z.boolean().optional().describe('only say what would be done'),
    reason: reason.optional(),
  }),
  output: runRow.extend({
    plan: z.json().optional().describe('with dry_run'),
    overview: overview.optional(),
  }),
  effect: 'write',
  hostBound: true,
  resides: true,
  errors: ['NOTFOUND', 'CONFLICT', 'EXISTS', 'BUSY'],
  alone: true,
  waits: ({ dry_run }) => dry_run !== true,
  examples: [],
  async run(ctx, input) {
    const { up } = await import('../orchestrator/up.ts')
    return up(ctx, { ...input, agents: countsOf(input.agents) })
  },
  dry: async (_ctx, input) => [`start a run${input.target ? ` of ${input.target} beads` : ''}`],
})
