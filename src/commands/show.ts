import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { beadId } from '../contract/fields.ts'
import { readFunction } from '../runtime/read.ts'

export default defineCommand({
  name: 'show',
  group: 'loop',
  summary: 'one bead: its text, claim, blockers, attempts and artifact names',
  input: z.strictObject({ bead_id: beadId }),
  output: z.object({
    bead: z.record(z.string(), z.json()),
    claim: z.record(z.string(), z.json()).nullable(),
    blockers: z.array(z.record(z.string(), z.json())),
    attempts: z.array(z.record(z.string(), z.json())),
    artifacts: z.array(z.record(z.string(), z.json())),
  }),
  effect: 'read',
  errors: ['NOTFOUND'],
  positional: ['bead_id'],
  examples: [
    {
      given: [{ cmd: 'enqueue', beads: [{ bead_id: 'api', title: 'Write the API' }] }],
      in: { cmd: 'show', bead_id: 'api' },
      out: {
        bead: {
          bead_id: 'api',
          title: 'Write the API',
          status: 'pending',
          stage: 'contract',
          open_blockers: 0,
        },
        claim: null,
        blockers: [],
        attempts: [],
        artifacts: [],
      },
    },
  ],
  run: (ctx, input) => readFunction(ctx, 'show_bead', ctx.repo, input.bead_id),
})
