import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { overview, runId } from '../contract/run-rows.ts'
import { readOverview } from '../orchestrator/overview.ts'

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
  run: (ctx, { run_id }) => readOverview(ctx, run_id),
})
