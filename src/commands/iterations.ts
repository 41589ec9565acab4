import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { iterationRow, sessionId } from '../contract/run-rows.ts'
import { limit, more, pageOf } from '../runtime/page.ts'

export default defineCommand({
  name: 'iterations',
  group: 'run',
  summary: 'the turns of a session, with what checks of them found',
  input: z.strictObject({
    session_id: sessionId,
    iteration: z.int().min(1).max(2_147_483_647).optional().describe('this one only'),
    limit: limit(200),
    after: z.int().min(0).max(2_147_483_647).optional().describe('cursor of the last answer'),
  }),
  output: z.object({
    iterations: z.array(iterationRow),
    more,
    cursor: z.int().optional().describe('give it as `after` next time'),
  }),
  effect: 'read',
  errors: [],
  positional: ['session_id'],
  examples: [{ in: { cmd: 'iterations', session_id: 's-1' }, out: { iterations: [], more: false } }],
  async run(ctx, { session_id, iteration, after, limit: most }) {
    const found = await ctx.db.read<{ row: z.output<typeof iterationRow> }>(
      `select swarm.iteration_json(i) as row from swarm.session_iterations i
       where i.repo_id = $1 and i.session_id = $2 and ($3::integer is null or i.number = $3::integer) and i.number > $4::integer
       order by i.number limit $5::integer`,
      [ctx.repo, session_id, iteration ?? null, after ?? 0, most + 1],
    )
    const { rows: iterations, ...page } = pageOf(
      found.map(({ row }) => row),
      most,
      (row) => row.iteration,
    )
    return { iterations, ...page }
  },
})
