import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import type { CommandContext } from '../contract/context.ts'
import { limit } from './shared/page.ts'
import { readView, VIEWS, viewOutput } from './shared/views.ts'
import { waitUntil } from './shared/wait.ts'

export default defineCommand({
  name: 'monitor',
  group: 'look',
  summary: 'one view of the swarm; with watch_ms it answers when something has happened',
  input: z.strictObject({
    view: z.enum(VIEWS).default('active'),
    limit: limit(20),
    watch_ms: z
      .int()
      .min(0)
      .max(600_000)
      .optional()
      .describe('wait for up to this many ms until something happens, then answer'),
    after: z
      .int()
      .min(0)
      .optional()
      .describe('sequence of the last answer: do not wait when something happened since; now by default'),
  }),
  output: viewOutput.extend({
    view: z.enum(VIEWS),
    sequence: z.int().describe('of the latest event in the repo'),
    changed: z.boolean().optional().describe('with watch_ms: whether something happened'),
  }),
  effect: 'read',
  errors: [],
  positional: ['view'],
  examples: [
    {
      given: [
        { cmd: 'register', count: 1 },
        { cmd: 'enqueue', beads: [{ bead_id: 'api', title: 'Write the API' }] },
        { cmd: 'claim-next', agent_id: 1 },
      ],
      in: { cmd: 'monitor', view: 'active' },
      out: {
        view: 'active',
        sequence: '$int',
        claims: [
          {
            bead_id: 'api',
            agent_id: 1,
            title: 'Write the API',
            stage: 'contract',
            attempt: 1,
            remaining_ms: '$int',
          },
        ],
      },
    },
  ],
  waits: (input) => (input.watch_ms ?? 0) > 0,
  async run(ctx, input) {
    const changed = input.watch_ms ? await watch(ctx, input.watch_ms, input.after) : undefined
    // read before the view: what happens in between is in the view, and is told again to who watches from here
    const sequence = await latest(ctx)
    const shown = await readView(ctx, input.view, input.limit)
    return { view: input.view, sequence, ...(changed === undefined ? {} : { changed }), ...shown }
  },
})

/** Waits for an event later than `after`, or than now. */
async function watch(ctx: CommandContext, waitMs: number, after?: number): Promise<boolean> {
  const start = after ?? (await latest(ctx))
  if (after !== undefined && (await latest(ctx)) > start) return true
  const moved = await waitUntil(ctx, waitMs, async (last) => {
    const now = (await latest(ctx)) > start
    return now || last ? now : undefined
  })
  return moved ?? false
}

async function latest(ctx: CommandContext): Promise<number> {
  const [row] = await ctx.db.read<{ sequence: number }>(
    `select coalesce((select seq from swarm.execution_events where repo_id = $1 order by seq desc limit 1), 0)::float8 as sequence`,
    [ctx.repo],
  )
  return row?.sequence ?? 0
}
