import * as z from 'zod'
import { type CommandContext, defineCommand } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import { MAX_ID } from '../contract/fields.ts'
import { sessionId } from '../contract/run-rows.ts'
import { limit } from '../runtime/page.ts'

const row = z.object({ id: z.int(), iteration: z.int().optional(), text: z.string(), at: z.string() })

export default defineCommand({
  name: 'logs',
  group: 'run',
  summary: 'what the program of a session has said and done',
  input: z.strictObject({
    session_id: sessionId,
    iteration: z.int().min(1).max(MAX_ID).optional(),
    after: z.int().min(0).optional().describe('id of the last piece seen'),
    latest: z.boolean().optional().describe('the last ones, in order; the cursor is then the end'),
    limit: limit(200),
    wait_ms: z.int().min(0).max(600_000).optional().describe('when there is nothing yet, wait for it'),
  }),
  output: z.object({ logs: z.array(row), more: z.boolean(), cursor: z.int().optional() }),
  effect: 'read',
  errors: ['NOTFOUND'],
  positional: ['session_id'],
  pages: true,
  waits: ({ wait_ms }) => (wait_ms ?? 0) > 0,
  examples: [],
  async run(ctx, { session_id, iteration, after = 0, latest = false, limit: most, wait_ms }) {
    const read = () =>
      ctx.db.read<z.output<typeof row>>(
        `select id::integer as id, iteration, log_content as text, swarm.iso(created_at) as at from swarm.agent_run_logs
          where repo_id = $1 and session_id = $2 and id > $3::bigint and ($4::integer is null or iteration = $4::integer)
          order by id ${latest ? 'desc' : 'asc'} limit $5::integer`,
        [ctx.repo, session_id, after, iteration ?? null, most + 1],
      )
    let rows = await read()
    if (rows.length === 0) await mustKnow(ctx, session_id)
    if (rows.length === 0 && wait_ms) {
      const { waitUntil } = await import('../runtime/wait.ts')
      rows =
        (await waitUntil(ctx, wait_ms, async (last) => {
          const found = await read()
          return last || found.length > 0 ? found : undefined
        })) ?? []
    }
    const kept = rows.slice(0, most)
    const logs = (latest ? kept.reverse() : kept).map(({ iteration: at, ...rest }) => ({
      ...rest,
      ...(at === null || at === undefined ? {} : { iteration: at }),
    }))
    const cursor = logs.at(-1)?.id
    return { logs, more: !latest && rows.length > most, ...(cursor === undefined ? {} : { cursor }) }
  },
})

/** A mistyped id must not look like a session that says nothing. Logs may be older than what is kept of their session. */
async function mustKnow(ctx: CommandContext, sessionId: string): Promise<void> {
  const known = await ctx.db.read(
    `select 1 as known from swarm.agent_sessions where repo_id = $1 and session_id = $2
      union all (select 1 from swarm.agent_run_logs where repo_id = $1 and session_id = $2 limit 1)`,
    [ctx.repo, sessionId],
  )
  if (known.length > 0) return
  throw new SwarmError('NOTFOUND', `there is no session ${sessionId}`, {
    ctx: { field: 'session_id', got: sessionId },
    fix: { cmd: 'sessions' },
  })
}
