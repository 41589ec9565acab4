import * as z from 'zod'
import { type CommandContext, defineCommand } from '../contract/command.ts'
import { repoOfPlace } from '../doctor/root.ts'
import { writePart } from '../runtime/part-write.ts'
import { noRoot } from '../runtime/target.ts'

const check = z.object({
  name: z.string(),
  ok: z.boolean(),
  detail: z.string(),
  fix: z.string().optional().describe('the request or command that mends it'),
})

export default defineCommand({
  name: 'doctor',
  group: 'set up',
  summary: 'check node, root, configuration, database and the invariants; says what mends each fault',
  input: z.strictObject({
    new_log: z
      .boolean()
      .optional()
      .describe('rename the event log, after a failover or a restore: old cursors are then refused'),
    recount: z.boolean().optional().describe('count the open blockers of all beads afresh'),
  }),
  output: z.object({
    healthy: z.boolean().describe('true when every check is ok'),
    checks: z.array(check),
    log_id: z.string().optional().describe('the new name of the log'),
    recounted: z.array(z.string()).optional().describe('the beads whose count was wrong'),
  }),
  effect: 'write',
  alone: true,
  role: ({ new_log, recount }) => (new_log || recount ? 'operator' : 'observer'),
  reach: ({ new_log, recount }) => (new_log ? 'database' : recount ? 'repo' : 'machine'),
  needs: 'nothing',
  errors: [],
  examples: [
    {
      in: { cmd: 'doctor' },
      out: { healthy: '$any', checks: '$any' },
    },
  ],
  async run(ctx, { new_log, recount }) {
    const renamed = new_log
      ? await writePart<{ log_id: string }>(ctx, 'new-log', {}, { cmd: 'doctor', new_log })
      : undefined
    const counted = recount
      ? await writePart<{ recounted: string[] }>(
          ctx,
          'recount',
          {},
          { cmd: 'doctor', recount },
          { repo: repoToCheck(ctx) },
        )
      : undefined
    const { examine } = await import('../doctor/examine.ts')
    const found = await examine(ctx)
    const checks = found.map(({ fix, ...rest }) => ({ ...rest, ...(fix ? { fix: ctx.render(fix) } : {}) }))
    return {
      healthy: checks.every(({ ok }) => ok),
      checks,
      ...(renamed ? { log_id: renamed.log_id } : {}),
      ...(counted ? { recounted: counted.recounted } : {}),
    }
  },
  dry: async (_ctx, { new_log, recount }) => [
    ...(new_log ? ['rename the event log'] : []),
    ...(recount ? ['count the open blockers of all beads afresh'] : []),
  ],
})

function repoToCheck(ctx: CommandContext): string {
  const repo = repoOfPlace(ctx)
  if (repo === undefined) throw noRoot()
  return repo
}
