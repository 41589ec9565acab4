import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { runId, runRow } from '../contract/run-rows.ts'
import { limit } from '../runtime/page.ts'

export default defineCommand({
  name: 'runs',
  group: 'run',
  summary: 'the runs of this repo, latest first',
  input: z.strictObject({
    run_id: runId.optional(),
    status: runRow.shape.status.optional(),
    limit: limit(20),
  }),
  output: z.object({ runs: z.array(runRow) }),
  effect: 'read',
  errors: [],
  examples: [{ in: { cmd: 'runs' }, out: { runs: [] } }],
  async run(ctx, { run_id, status, limit: most }) {
    const rows = await ctx.db.read<{ run: z.output<typeof runRow> }>(
      `select swarm.run_json(r) as run from (select * from swarm.swarm_runs where repo_id = $1
          and ($3::text is null or run_id = $3) and ($4::text is null or status = $4)
        order by ended_at is not null, started_at desc limit $2::integer) r`,
      [ctx.repo, most, run_id ?? null, status ?? null],
    )
    return { runs: rows.map(({ run }) => run) }
  },
})
