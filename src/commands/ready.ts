import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { beadRow } from '../contract/rows.ts'
import { full, limit } from '../runtime/page.ts'

type BeadRow = z.output<typeof beadRow>

export default defineCommand({
  name: 'ready',
  group: 'work',
  summary: 'the ready beads, in the order in which agents claim them',
  input: z.strictObject({ limit: limit(20), full }),
  output: z.object({ beads: z.array(beadRow), ready: z.int().describe('how many there are') }),
  effect: 'read',
  errors: [],
  examples: [
    {
      given: [
        {
          cmd: 'enqueue',
          beads: [
            { bead_id: 'api', title: 'Write the API' },
            { bead_id: 'docs', title: 'Document the API', depends_on: ['api'] },
            { bead_id: 'fix', title: 'Repair the build', priority: 'p0' },
          ],
        },
      ],
      in: { cmd: 'ready' },
      out: {
        beads: [
          { bead_id: 'fix', priority: 'p0' },
          { bead_id: 'api', priority: 'p2' },
        ],
        ready: 2,
      },
    },
  ],
  async run(ctx, input) {
    const [row] = await ctx.db.read<{ beads: BeadRow[]; ready: number }>(
      `select swarm.count_ready($1)::integer as ready,
         coalesce((select jsonb_agg(swarm.bead_json(b, $3::boolean) order by b.priority, b.created_at, b.id) from (
           select * from swarm.bead_backlog where repo_id = $1 and status = 'pending' and open_blockers = 0 and not_for is distinct from 0
           order by priority, created_at, id limit $2::integer) b), '[]') as beads`,
      [ctx.repo, input.limit, input.full ?? false],
    )
    return row ?? { beads: [], ready: 0 }
  },
})
