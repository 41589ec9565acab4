import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { resource, who } from '../contract/fields.ts'
import { lockRow } from '../contract/rows.ts'
import { limit, more, pageOf } from '../runtime/page.ts'

type LockRow = z.output<typeof lockRow>

export default defineCommand({
  name: 'locks',
  group: 'look',
  summary: 'list the locks that are held now, oldest first',
  input: z.strictObject({
    resource: resource.optional(),
    agent: who.optional(),
    limit: limit(50),
    after: z.int().min(0).optional().describe('cursor of the last answer'),
  }),
  output: z.object({
    locks: z.array(lockRow),
    more,
    cursor: z.int().optional().describe('give it as `after` next time'),
  }),
  effect: 'read',
  speakers: [],
  errors: [],
  examples: [
    {
      given: [
        { cmd: 'register', count: 1 },
        { cmd: 'lock', resource: 'src/api.ts', agent: 1 },
      ],
      in: { cmd: 'locks' },
      out: {
        locks: [
          {
            resource: 'src/api.ts',
            agent: '1',
            mode: 'exclusive',
            fence: '$int',
            since: '$time',
            until_at: '$time',
            remaining_ms: '$int',
          },
        ],
        more: false,
      },
    },
  ],
  async run(ctx, input) {
    // a lock's fence is unique and grows: it is the order and the cursor
    const rows = await ctx.db.read<{ lock: LockRow }>(
      `select swarm.lock_json(l) as lock from swarm.resource_locks l
       where l.repo_id = $1 and l.until_at > clock_timestamp() and ($2::text is null or l.resource = $2)
         and ($3::text is null or l.agent = $3) and ($4::bigint is null or l.fence > $4::bigint)
       order by l.fence limit $5::integer`,
      [
        ctx.repo,
        input.resource ?? null,
        input.agent === undefined ? null : String(input.agent),
        input.after ?? null,
        input.limit + 1,
      ],
    )
    const { rows: locks, ...page } = pageOf(
      rows.map((row) => row.lock),
      input.limit,
      (lock) => lock.fence,
    )
    return { locks, ...page }
  },
})
