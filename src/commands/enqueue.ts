import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { beadId, LIMITS, labels, metadata, newBeadId, priority, text } from '../contract/fields.ts'
import { write } from '../runtime/write.ts'

const bead = z.strictObject({
  bead_id: newBeadId.optional().describe('made when absent'),
  title: text(LIMITS.title),
  description: z.string().max(LIMITS.description).optional(),
  priority: priority.optional(),
  labels: labels.optional(),
  bead_type: text(64).optional().describe('task, bug, feature, epic, or your own'),
  depends_on: z.array(beadId).max(1_000).optional().describe('beads that must be done first'),
  discovered_from: beadId.optional().describe('the bead during whose work this one was found'),
  metadata: metadata.optional(),
  workflow: text(64).optional(),
})

export default defineCommand({
  name: 'enqueue',
  group: 'loop',
  summary: 'add beads to the backlog; one that is there unchanged is left alone',
  input: z.strictObject({ beads: z.array(bead).min(1).max(1_000) }),
  output: z.object({ bead_ids: z.array(z.string()), added: z.int() }),
  effect: 'write',
  role: 'agent',
  errors: ['EXISTS', 'NOTFOUND', 'CONFLICT'],
  examples: [
    {
      in: {
        cmd: 'enqueue',
        beads: [
          { bead_id: 'api', title: 'Write the API', priority: 'p1' },
          { bead_id: 'docs', title: 'Document the API', depends_on: ['api'] },
        ],
      },
      out: { bead_ids: ['api', 'docs'], added: 2 },
    },
  ],
  run: (ctx, input) => write(ctx, 'enqueue', input),
  dry: async (_ctx, input) => input.beads.map((b) => `add bead ${b.bead_id ?? '(id made)'}: ${b.title}`),
})
