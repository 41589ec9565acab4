import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { agentRow, beadRow, claimRow, lockRow } from '../contract/rows.ts'
import { full, limit, more, pageOf, stream } from '../runtime/page.ts'

/** In this order, one section after the other; the cursor says in which one to go on, after which row. */
const SECTIONS = ['agents', 'claims', 'locks', 'beads'] as const
type Section = (typeof SECTIONS)[number]

const output = z.object({
  agents: z.array(agentRow),
  claims: z.array(claimRow),
  locks: z.array(lockRow),
  beads: z.array(beadRow),
  more,
  cursor: z.string().optional().describe('give it as `after` next time'),
})
type State = z.output<typeof output>

/** Rows of a section without its own kind: the section says which it is. */
interface StateRow {
  readonly section: number
  readonly key: string
  readonly row: never
}

export default defineCommand({
  name: 'state',
  group: 'look',
  summary: 'everything, in pages: agents, then claims, locks and beads',
  input: z.strictObject({
    limit: limit(50).describe('rows of all kinds together'),
    after: z
      .string()
      .regex(/^(?:(?:agents|locks):\d{1,15}|(?:claims|beads):[\s\S]{1,200})$/, {
        error: 'must be the cursor of the last answer',
      })
      .optional()
      .describe('cursor of the last answer'),
    full,
    stream,
  }),
  output,
  effect: 'read',
  pages: true,
  errors: [],
  examples: [
    {
      given: [
        { cmd: 'register', count: 1 },
        { cmd: 'enqueue', beads: [{ bead_id: 'api', title: 'Write the API' }] },
        { cmd: 'claim-next', agent_id: 1 },
      ],
      in: { cmd: 'state', limit: 2 },
      out: {
        agents: [{ agent_id: 1, status: 'working', bead_id: 'api', stage: 'contract' }],
        claims: [{ bead_id: 'api', agent_id: 1, fence: 1 }],
        locks: [],
        beads: [],
        more: true,
        cursor: 'claims:api',
      },
    },
  ],
  async run(ctx, input): Promise<State> {
    const { section, number, text } = startOf(input.after)
    const rows = await ctx.db.read<StateRow>(
      `select section, key, row from (
         (select 0 as section, s.agent_id::bigint as number, s.agent_id::text as key, swarm.agent_json(s, $6::boolean) as row
          from swarm.agent_state s where s.repo_id = $1 and $2::integer = 0 and s.agent_id > $3::bigint
          order by s.agent_id limit $5::integer)
         union all
         (select 1, 0, c.bead_id, swarm.claim_row_json(c) from swarm.bead_claims c
          where c.repo_id = $1 and c.status = 'in_progress' and ($2::integer < 1 or $2::integer = 1 and c.bead_id > $4::text)
          order by c.bead_id limit $5::integer)
         union all
         (select 2, l.fence, l.fence::text, swarm.lock_json(l) from swarm.resource_locks l
          where l.repo_id = $1 and l.until_at > clock_timestamp() and ($2::integer < 2 or $2::integer = 2 and l.fence > $3::bigint)
          order by l.fence limit $5::integer)
         union all
         (select 3, 0, b.bead_id, swarm.bead_json(b, $6::boolean) from swarm.bead_backlog b
          where b.repo_id = $1 and ($2::integer < 3 or b.bead_id > $4::text)
          order by b.bead_id limit $5::integer)) x
       order by section, number, key limit $5::integer`,
      [ctx.repo, section, number, text, input.limit + 1, input.full ?? false],
    )
    const { rows: kept, ...page } = pageOf(rows, input.limit, (row) => `${nameOf(row.section)}:${row.key}`)
    const of = (name: Section) => kept.filter((row) => nameOf(row.section) === name).map((row) => row.row)
    return { agents: of('agents'), claims: of('claims'), locks: of('locks'), beads: of('beads'), ...page }
  },
})

function nameOf(section: number): Section {
  return SECTIONS[section] ?? 'beads'
}

/** Agents and locks are ordered by a number, claims and beads by their id. */
function startOf(after = 'agents:0'): { section: number; number: number; text: string } {
  const colon = after.indexOf(':')
  const text = after.slice(colon + 1)
  const names: readonly string[] = SECTIONS
  const section = names.indexOf(after.slice(0, colon))
  return { section, number: section === 0 || section === 2 ? Number(text) : 0, text }
}
