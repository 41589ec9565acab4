import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { beadId, beadStatus } from '../contract/fields.ts'
import { criticalPath } from '../core/critical-path.ts'
import { readFunction } from '../runtime/read.ts'

const DEFAULT_LIMIT = 500

const output = z.object({
  beads: z.array(
    z.object({
      bead_id: z.string(),
      title: z.string(),
      status: beadStatus,
      stage: z.string(),
      priority: z.string(),
      open_blockers: z.int(),
    }),
  ),
  links: z.array(z.tuple([z.string(), z.string()])).describe('[blocker, the bead that waits for it]'),
  critical_path: z
    .array(z.string())
    .describe(
      'the longest chain of unfinished beads, through `bead_id` where that is given: what the end waits for',
    ),
  more: z.boolean(),
})
type Graph = Omit<z.output<typeof output>, 'critical_path'>

export default defineCommand({
  name: 'graph',
  group: 'look',
  summary: 'what waits for what: unfinished beads and the links that block them',
  input: z.strictObject({
    bead_id: beadId.optional().describe('only what this bead waits for and what waits for it, however far'),
    limit: z.int().min(1).max(5_000).optional().describe(`beads; ${DEFAULT_LIMIT} by default`),
  }),
  output,
  effect: 'read',
  errors: ['NOTFOUND'],
  examples: [
    {
      given: [
        {
          cmd: 'enqueue',
          beads: [
            { bead_id: 'api', title: 'Write the API' },
            { bead_id: 'docs', title: 'Document the API', depends_on: ['api'] },
          ],
        },
      ],
      in: { cmd: 'graph' },
      out: {
        beads: [
          { bead_id: 'api', title: 'Write the API', status: 'pending', open_blockers: 0 },
          { bead_id: 'docs', title: 'Document the API', status: 'pending', open_blockers: 1 },
        ],
        links: [['api', 'docs']],
        critical_path: ['api', 'docs'],
        more: false,
      },
    },
  ],
  positional: ['bead_id'],
  async run(ctx, { bead_id, limit }) {
    const graph = await readFunction<Graph>(
      ctx,
      'graph_json',
      ctx.repo,
      bead_id ?? null,
      limit ?? DEFAULT_LIMIT,
    )
    const unfinished = graph.beads.filter(({ status }) => status !== 'completed' && status !== 'cancelled')
    const ids = unfinished.map((bead) => bead.bead_id)
    return { ...graph, critical_path: criticalPath(ids, graph.links, bead_id) }
  },
})
