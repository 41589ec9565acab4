import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { overview, runId } from '../contract/run-rows.ts'
import { readFunction } from '../runtime/read.ts'

export default defineCommand({
  name: 'ps',
  group: 'run',
  summary: 'how the run stands: beads, sessions, hosts, the landing train, quotas, spending, questions',
  input: z.strictObject({ run_id: runId.optional() }),
  output: overview,
  effect: 'read',
  errors: [],
  examples: [
    { in: { cmd: 'ps' }, out: { as_of: '$time', beads: {}, sessions: [], train: [], questions: [] } },
  ],
  run: (ctx, { run_id }) => readFunction(ctx, 'run_overview', ctx.repo, run_id ?? null),
})
