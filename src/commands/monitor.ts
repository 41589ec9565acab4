import * as z from 'zod'
import { type CommandContext, defineCommand } from '../contract/command.ts'
import { pauseOrAbort } from '../contract/pause.ts'
import { limit } from '../runtime/page.ts'
import { readView, VIEWS, viewOutput } from '../runtime/views.ts'

/** A view is sent at most so often, in ms: people read it. */
const SETTLE_MS = 200

export default defineCommand({
  name: 'monitor',
  group: 'look',
  summary: 'one view of the swarm; with watch_ms sent again whenever something has happened',
  input: z.strictObject({
    view: z.enum(VIEWS).default('active'),
    limit: limit(20),
    watch_ms: z
      .int()
      .min(0)
      .max(600_000)
      .optional()
      .describe('go on for this many ms: a line whenever something has happened'),
    after: z
      .int()
      .min(0)
      .optional()
      .describe('sequence of the last answer: with watch_ms, do not send what was seen there'),
  }),
  output: viewOutput.extend({
    view: z.enum(VIEWS),
    sequence: z.int().describe('of the latest event in the repo'),
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
    const look = async () => {
      // read before the view: what happens in between is in the view, and is told again to who watches from here
      const sequence = await latest(ctx)
      return { view: input.view, sequence, ...(await readView(ctx, input.view, input.limit)) }
    }
    if (!input.watch_ms) return look()
    const end = performance.now() + input.watch_ms
    const { sweeper } = await import('../runtime/wait.ts')
    const sweep = sweeper(ctx)
    for (let seen = input.after; ; ) {
      await sweep()
      if (seen === undefined || (await latest(ctx)) > seen) {
        const shown = await look()
        seen = shown.sequence
        await ctx.emit([shown])
        await pauseOrAbort(Math.min(SETTLE_MS, end - performance.now()), ctx.signal)
      } else
        await ctx.db.waitForChange(
          ctx.repo,
          Math.max(1, Math.min(1_000, end - performance.now())),
          ctx.signal,
        )
      if (ctx.signal.aborted || performance.now() >= end) return look()
    }
  },
})

async function latest(ctx: CommandContext): Promise<number> {
  const [row] = await ctx.db.read<{ sequence: number }>(
    `select coalesce((select seq from swarm.execution_events where repo_id = $1 order by seq desc limit 1), 0)::float8 as sequence`,
    [ctx.repo],
  )
  return row?.sequence ?? 0
}
