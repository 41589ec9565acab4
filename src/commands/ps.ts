import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { type Facts, overview, runId } from '../contract/run-rows.ts'
import { judge } from '../core/verdict.ts'
import { readFunction } from '../runtime/read.ts'

export default defineCommand({
  name: 'ps',
  group: 'run',
  summary:
    'how the run stands: the verdict, what needs you, beads, sessions, hosts, the landing train, quotas, spending, questions',
  input: z.strictObject({ run_id: runId.optional() }),
  output: overview,
  effect: 'read',
  errors: [],
  examples: [
    {
      in: { cmd: 'ps' },
      out: {
        as_of: '$time',
        verdict: { level: 'good', text: 'no beads yet' },
        needs_you: [],
        beads: {},
        sessions: [],
        train: [],
        questions: [],
      },
    },
  ],
  async run(ctx, { run_id }) {
    const facts = await readFunction<Facts>(ctx, 'run_overview', ctx.repo, run_id ?? null)
    const { as_of, run, ...rest } = facts
    return { as_of, ...judge(facts), ...(run ? { run } : {}), ...rest }
  },
})
