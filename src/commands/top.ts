import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { pauseOrAbort } from '../contract/pause.ts'
import { overview, runId } from '../contract/run-rows.ts'
import { readOverview } from '../orchestrator/overview.ts'

export default defineCommand({
  name: 'top',
  group: 'run',
  summary: 'watch how the run stands: ps again and again; on a terminal a picture that is drawn in place',
  input: z.strictObject({
    run_id: runId.optional(),
    every_ms: z.int().min(250).max(60_000).default(2_000).describe('from one look to the next'),
    looks: z
      .int()
      .min(1)
      .max(1_000_000)
      .optional()
      .describe('end after so many; until told to stop by default'),
  }),
  output: overview,
  effect: 'read',
  errors: [],
  waits: () => true,
  examples: [
    {
      in: { cmd: 'top', rid: 't', looks: 1 },
      out: { as_of: '$time', verdict: { level: 'good', text: 'no beads yet' }, needs_you: [], sessions: [] },
    },
  ],
  async run(ctx, { run_id, every_ms, looks = Number.POSITIVE_INFINITY }) {
    for (let look = 1; ; look += 1) {
      const seen = await readOverview(ctx, run_id)
      if (look >= looks || ctx.signal.aborted) return seen
      await ctx.emit([seen])
      await pauseOrAbort(every_ms, ctx.signal)
    }
  },
})
