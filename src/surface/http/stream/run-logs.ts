import type { CommandContext } from '../../../contract/command.ts'
import { type Frame, frame } from './frames.ts'

/** Pieces are looked for again among so many ids: one may become visible after a larger one. */
const AGAIN = 500
const MOST = 1_000

interface Row {
  readonly id: number
  readonly session_id: string
  readonly bead_id: string | null
  readonly agent_id: number
  readonly iteration: number | null
  readonly text: string
  readonly at: string
}

/**
 * What the programs of sessions have said since the last look. These texts are not in the log of events: a frame has the cursor at which the
 * log stood, and whoever comes back reads what was missed by `GET /api/sessions/:id/log`.
 */
export function readRunLogs(ctx: CommandContext, cursor: () => string) {
  let last: number | undefined
  let seen = new Set<number>()
  return {
    /** Nobody wants them for now: the next look begins at what is then the end. */
    rest() {
      last = undefined
    },
    async read(): Promise<readonly Frame[]> {
      if (last === undefined) {
        const [top] = await ctx.db.read<{ id: number }>(
          'select coalesce(max(id), 0)::float8 as id from swarm.agent_run_logs',
        )
        last = top?.id ?? 0
        seen = new Set()
        return []
      }
      const since = last
      const rows = await ctx.db.read<Row>(
        `select id::float8 as id, session_id, bead_id, agent_id, iteration, left(log_content, 65536) as text, swarm.iso(created_at) as at
         from swarm.agent_run_logs where id > $2::bigint and repo_id = $1 and session_id is not null order by id limit $3::integer`,
        [ctx.repo, Math.max(0, since - AGAIN), MOST],
      )
      const fresh = rows.filter(({ id }) => !seen.has(id) && (id > since || seen.size > 0))
      for (const { id } of rows) seen.add(id)
      last = Math.max(since, rows.at(-1)?.id ?? 0)
      for (const id of seen) if (id < last - 2 * AGAIN) seen.delete(id)
      return fresh.map(({ id, session_id, bead_id, agent_id, iteration, text, at }) =>
        frame(
          'iteration:log',
          cursor(),
          ['iterations', `session:${session_id}`],
          { session_id, agent_id, bead_id: bead_id ?? undefined },
          { id, session_id, iteration, text, at },
        ),
      )
    },
  }
}
