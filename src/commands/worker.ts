import * as z from 'zod'
import { ADAPTERS } from '../contract/agents-config.ts'
import { defineCommand } from '../contract/command.ts'
import { text } from '../contract/fields.ts'

export default defineCommand({
  name: 'worker',
  group: 'run',
  summary: 'run sessions on this host for whoever leads, until told to stop',
  input: z.strictObject({
    capacity: z
      .union([
        z.record(text(64), z.int().min(0).max(1_000)),
        z.string().regex(/^[^=,]+=\d+(,[^=,]+=\d+)*$/, { error: 'must be like implementer=4' }),
      ])
      .optional()
      .describe('sessions at once, by role; as many as cores by default'),
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
    return runWorker(ctx, {
      adapter,
      capacity:
        typeof capacity === 'string'
          ? Object.fromEntries(
              capacity.split(',').map((pair) => [pair.split('=')[0] ?? '', Number(pair.split('=')[1])]),
            )
          : capacity,
    })
  },
})
