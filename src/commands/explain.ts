import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { eventRow } from '../contract/events.ts'
import { text } from '../contract/fields.ts'
import { runRow, sessionRow } from '../contract/run-rows.ts'
import { explainBead } from '../orchestrator/explain.ts'

const ruleShape = z.object({
  number: z.int().describe('from 1, as they stand in .swarm/config.toml'),
  name: z.string().optional(),
  workflow: z.string().optional(),
  role: z.string().optional(),
  model: z.string().optional(),
  adapter: z.string().optional(),
  budget_usd: z.number().optional(),
  budget_tokens: z.int().optional(),
})

export default defineCommand({
  name: 'explain',
  group: 'run',
  summary: 'why a bead is where it is: what it waits for, which sessions it had, what was decided and why',
  input: z.strictObject({ subject: text(200).describe('id of a bead or of a session') }),
  output: z.object({
    bead_id: z.string(),
    status: z.string(),
    stage: z.string(),
    workflow: z.string(),
    rule: ruleShape
      .optional()
      .describe('the rule of the configuration that is for it; what began before keeps its workflow'),
    waits_for: z.string().optional().describe('one sentence; absent when it does not wait'),
    why: z.string().optional().describe('the kind of reason, like quota or no_host'),
    run: runRow.optional(),
    sessions: z.array(sessionRow),
    decisions: z.array(eventRow).describe('latest first'),
  }),
  effect: 'read',
  errors: ['NOTFOUND'],
  positional: ['subject'],
  examples: [
    {
      given: [{ cmd: 'enqueue', beads: [{ bead_id: 'api', title: 'Write the API' }] }],
      in: { cmd: 'explain', subject: 'api' },
      out: { bead_id: 'api', status: 'pending', stage: 'contract', waits_for: '$string', sessions: [] },
    },
  ],
  run: (ctx, { subject }) => explainBead(ctx, subject),
})
