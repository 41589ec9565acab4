import * as z from 'zod'
import { type CommandContext, defineCommand } from '../contract/command.ts'
import { reason } from '../contract/run-rows.ts'
import { priorReply } from '../runtime/prior-reply.ts'
import { write } from '../runtime/write.ts'

const found = z.object({
  kind: z.enum(['workspace', 'checkout', 'index', 'ref', 'directory', 'log']),
  name: z.string().describe('a bead, a path, a ref or a session'),
  why: z.string(),
})
const output = z.object({ removed: z.array(found), left: z.array(found) })
type Output = z.output<typeof output>

const UNIT_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 }
const input = z.strictObject({
  keep_logs: z
    .string()
    .regex(/^\d{1,5}[mhd]$/, { error: 'must be an age like 7d, 12h, 90m' })
    .default('7d')
    .describe('logs of sessions that have ended stay for so long'),
  reason: reason.optional(),
})

export default defineCommand({
  name: 'gc',
  group: 'run',
  summary:
    'remove what runs have left on this machine: worktrees, branches, refs and logs; what holds work stays, and it says why',
  input,
  output,
  effect: 'write',
  hostBound: true,
  alone: true,
  errors: [],
  examples: [{ in: { cmd: 'gc', dry: true }, out: { dry: true, would_do: [] } }],
  async run(ctx, asked): Promise<Output> {
    const prior = await priorReply<Output>(ctx, 'gc', asked)
    if (prior) return prior
    const { removed, left } = await look(ctx, asked.keep_logs, false)
    return write<Output>(ctx, 'gc', asked, { removed: removed.slice(0, 1_000), left: left.slice(0, 1_000) })
  },
  async dry(ctx, { keep_logs }) {
    const { removed, left } = await look(ctx, keep_logs, true)
    return [
      ...removed.map(({ kind, name, why }) => `remove ${kind} ${name}: ${why}`),
      ...left.map(({ kind, name, why }) => `leave ${kind} ${name}: ${why}`),
    ]
  },
})

async function look(ctx: CommandContext, keepLogs: string, dry: boolean) {
  const { collectHere } = await import('../orchestrator/up.ts')
  const keepLogsMs = Number(keepLogs.slice(0, -1)) * (UNIT_MS[keepLogs.slice(-1)] ?? 0)
  const { removed, left } = await collectHere(ctx, { dry, keepLogsMs })
  // as the database keeps them
  return { removed: removed.map((one) => ({ ...one })), left: left.map((one) => ({ ...one })) }
}
