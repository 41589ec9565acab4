import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { pauseOrAbort } from '../contract/pause.ts'
import { type Facts, overview, runId } from '../contract/run-rows.ts'
import { judge } from '../core/verdict.ts'
import { readFunction } from '../runtime/read.ts'

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
      const facts = await readFunction<Facts>(ctx, 'run_overview', ctx.repo, run_id ?? null)
      const { as_of, run, ...rest } = facts
      const seen = { as_of, ...judge(facts), ...(run ? { run } : {}), ...rest }
      if (look >= looks || ctx.signal.aborted) return seen
      await ctx.emit([seen])
      await pauseOrAbort(every_ms, ctx.signal)
    }
  },
})
