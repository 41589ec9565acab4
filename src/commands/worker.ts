import * as z from 'zod'
import { ADAPTERS } from '../contract/agents-config.ts'
import { defineCommand } from '../contract/command.ts'
import { countsOf, roleCounts } from '../contract/role-counts.ts'

export default defineCommand({
  name: 'worker',
  group: 'run',
  summary: 'run sessions on this host for whoever leads, until told to stop',
  input: z.strictObject({
    capacity: roleCounts.optional().describe('sessions at once, by role; as many as cores by default'),
    adapter: z.enum(ADAPTERS).optional(),
  }),
  output: z.object({ host_id: z.string(), ended: z.string() }),
  effect: 'write',
  hostBound: true,
  resides: true,
  errors: [],
  alone: true,
  waits: () => true,
  examples: [],
  async run(ctx, { capacity, adapter }) {
    const { runWorker } = await import('../orchestrator/up.ts')
    return runWorker(ctx, { adapter, capacity: countsOf(capacity) })
  },
})
