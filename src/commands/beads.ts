import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { beadId, beadStatus, label, priority, text } from '../contract/fields.ts'
import { beadRow } from '../contract/rows.ts'
import { full, limit, more, pageOf } from '../runtime/page.ts'

type BeadRow = z.output<typeof beadRow>

export default defineCommand({
  name: 'beads',
  group: 'look',
  summary: 'list beads by id, filtered',
  input: z.strictObject({
    status: beadStatus.optional(),
    label: label.optional(),
    bead_type: text(64).optional(),
    priority: priority.optional(),
    search: text(200).optional().describe('words in id, title or description, in any case'),
    limit: limit(50),
    after: beadId.optional().describe('cursor of the last answer'),
    full,
  }),
  output: z.object({
    beads: z.array(beadRow),
    more,
    cursor: z.string().optional().describe('give it as `after` next time'),
  }),
  effect: 'read',
  errors: [],
  positional: ['search'],
  examples: [
    {
      given: [
        {
          cmd: 'enqueue',
          beads: [
            { bead_id: 'api', title: 'Write the API', labels: ['backend'] },
            { bead_id: 'docs', title: 'Document the API', depends_on: ['api'] },
          ],
        },
      ],
      in: { cmd: 'beads', search: 'document' },
      out: {
        beads: [
          {
            bead_id: 'docs',
            title: 'Document the API',
            status: 'pending',
            priority: 'p2',
            stage: 'contract',
            attempt: 1,
            open_blockers: 1,
            bead_type: 'task',
            labels: [],
          },
        ],
        more: false,
      },
    },
  ],
  async run(ctx, input) {
    const rows = await ctx.db.read<{ bead: BeadRow }>(
      `select swarm.bead_json(b, $9::boolean) as bead from swarm.bead_backlog b
       where b.repo_id = $1 and ($2::text is null or b.status = $2) and ($3::text is null or $3 = any(b.labels))
         and ($4::text is null or b.bead_type = $4) and ($5::text is null or b.priority = $5)
         and ($6::text is null or strpos(lower(concat_ws(' ', b.bead_id, b.title, b.description)), lower($6)) > 0)
         and ($7::text is null or b.bead_id > $7)
       order by b.bead_id limit $8::integer`,
      [
        ctx.repo,
        input.status ?? null,
        input.label ?? null,
        input.bead_type ?? null,
        input.priority ?? null,
        input.search ?? null,
        input.after ?? null,
        input.limit + 1,
        input.full ?? false,
      ],
    )
    const { rows: beads, ...page } = pageOf(
      rows.map((row) => row.bead),
      input.limit,
      (bead) => bead.bead_id,
    )
    return { beads, ...page }
  },
})
