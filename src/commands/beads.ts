import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { agentId, beadId, beadStatus, label, MAX_ID, priority, text } from '../contract/fields.ts'
import { beadRow } from '../contract/rows.ts'
import { runId } from '../contract/run-rows.ts'
import { full, limit, more, pageOf } from '../runtime/page.ts'

/** A bead with where it stands in a run. Absent values are left out. */
const listedBead = beadRow.extend({
  wave: z.int().optional(),
  lane: z.string().optional(),
  run_id: z.string().optional(),
  agent_id: z.int().optional().describe('who holds it'),
})
type BeadRow = z.output<typeof listedBead>

/** Which beads fit; `$1` to `$11`. */
const WANTED = `b.repo_id = $1 and ($2::text is null or b.status = $2) and ($3::text is null or $3 = any(b.labels))
  and ($4::text is null or b.bead_type = $4) and ($5::text is null or b.priority = $5)
  and ($6::text is null or strpos(lower(concat_ws(' ', b.bead_id, b.title, b.description)), lower($6)) > 0)
  and ($7::integer is null or b.wave = $7::integer) and ($8::text is null or b.lane = $8) and ($9::text is null or b.run_id = $9)
  and ($10::integer is null or exists (select from swarm.bead_claims c where c.repo_id = b.repo_id and c.bead_id = b.bead_id
    and c.status = 'in_progress' and c.claimed_by = $10::integer))
  and ($11::text is null or b.bead_id in (select jsonb_array_elements_text($11::text::jsonb)))`

export default defineCommand({
  name: 'beads',
  group: 'look',
  summary: 'list beads by id, filtered',
  input: z.strictObject({
    bead_ids: z.array(beadId).min(1).max(1_000).optional().describe('only these'),
    status: beadStatus.optional(),
    label: label.optional(),
    bead_type: text(64).optional(),
    priority: priority.optional(),
    search: text(200).optional().describe('words in id, title or description, in any case'),
    wave: z.int().min(1).max(MAX_ID).optional().describe('of its run'),
    lane: text(64).optional(),
    run_id: runId.optional(),
    agent_id: agentId.optional().describe('who holds it'),
    limit: limit(50),
    after: beadId.optional().describe('cursor of the last answer'),
    offset: z.int().min(0).max(MAX_ID).optional().describe('pass over so many; `after` costs less'),
    total: z.boolean().optional().describe('count all that fit, whatever the limit'),
    full,
  }),
  output: z.object({
    beads: z.array(listedBead),
    more,
    cursor: z.string().optional().describe('give it as `after` next time'),
    total: z.int().optional(),
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
    const wanted = [
      ctx.repo,
      input.status ?? null,
      input.label ?? null,
      input.bead_type ?? null,
      input.priority ?? null,
      input.search ?? null,
      input.wave ?? null,
      input.lane ?? null,
      input.run_id ?? null,
      input.agent_id ?? null,
      input.bead_ids ? JSON.stringify(input.bead_ids) : null,
    ]
    const rows = await ctx.db.read<{ bead: BeadRow }>(
      `select swarm.bead_json(b, $14::boolean) || jsonb_strip_nulls(jsonb_build_object('wave', b.wave, 'lane', b.lane, 'run_id', b.run_id,
         'agent_id', (select c.claimed_by from swarm.bead_claims c where c.repo_id = b.repo_id and c.bead_id = b.bead_id and c.status = 'in_progress'))) as bead
       from swarm.bead_backlog b where ${WANTED} and ($12::text is null or b.bead_id > $12)
       order by b.bead_id offset $15::integer limit $13::integer`,
      [...wanted, input.after ?? null, input.limit + 1, input.full ?? false, input.offset ?? 0],
    )
    const { rows: beads, ...page } = pageOf(
      rows.map((row) => row.bead),
      input.limit,
      (bead) => bead.bead_id,
    )
    if (!input.total) return { beads, ...page }
    const [count] = await ctx.db.read<{ n: number }>(
      `select count(*)::integer as n from swarm.bead_backlog b where ${WANTED}`,
      wanted,
    )
    return { beads, ...page, total: count?.n ?? 0 }
  },
})
