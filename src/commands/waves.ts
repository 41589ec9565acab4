import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { runId } from '../contract/run-rows.ts'
import { readFunction } from '../runtime/read.ts'

export default defineCommand({
  name: 'waves',
  group: 'run',
  summary: 'the waves of a run: beads of one depth, with how many are in each status',
  input: z.strictObject({ run_id: runId.optional().describe('the latest by default') }),
  output: z.object({
    run_id: z.string(),
    waves: z.array(
      z.object({
        number: z.int(),
        status: z.enum(['waiting', 'running', 'completed']),
        started_at: z.string().optional(),
        completed_at: z.string().optional(),
        beads: z.record(z.string(), z.int()).describe('how many in each status'),
      }),
    ),
  }),
  effect: 'read',
  errors: ['NOTFOUND'],
  positional: ['run_id'],
  examples: [],
  run: (ctx, { run_id }) => readFunction(ctx, 'waves_json', ctx.repo, run_id ?? null),
})
