import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { beadId, beadStatus, waitMs } from '../contract/fields.ts'
import { readFunction } from '../runtime/read.ts'
import { waitUntil } from '../runtime/wait.ts'

export default defineCommand({
  name: 'wait',
  group: 'look',
  summary: 'answer when a bead has a status',
  input: z.strictObject({
    bead_id: beadId,
    status: beadStatus.optional().describe('completed by default'),
    wait_ms: waitMs.optional().describe('600,000 by default'),
  }),
  output: z.object({ bead_id: z.string(), status: z.string(), stage: z.string(), reached: z.boolean() }),
  effect: 'read',
  errors: ['NOTFOUND'],
  positional: ['bead_id'],
  examples: [
    {
      given: [{ cmd: 'enqueue', beads: [{ bead_id: 'api', title: 'Write the API' }] }],
      in: { cmd: 'wait', rid: 'w', bead_id: 'api', status: 'pending' },
      out: { bead_id: 'api', status: 'pending', stage: 'contract', reached: true },
    },
  ],
  waits: () => true,
  async run(ctx, input) {
    const wanted = input.status ?? 'completed'
    const look = async () => {
      const { bead } = await readFunction<{ bead: { status: string; stage: string } }>(
        ctx,
        'show_bead',
        ctx.repo,
        input.bead_id,
      )
      return {
        bead_id: input.bead_id,
        status: bead.status,
        stage: bead.stage,
        reached: bead.status === wanted,
      }
    }
    const first = await look()
    if (first.reached) return first
    const waited = await waitUntil(ctx, input.wait_ms ?? 600_000, async (last) => {
      const now = await look()
      return now.reached || last ? now : undefined
    })
    return waited ?? look()
  },
})
