import * as z from 'zod'
import { type CommandContext, defineCommand } from '../contract/command.ts'
import { agentId, leaseMs, OUTCOMES, TRANSITIONS, waitMs } from '../contract/fields.ts'
import { command, timeoutMs, withDatabase } from '../contract/stage-fields.ts'
import { priorReply } from '../runtime/prior-reply.ts'
import { write } from '../runtime/write.ts'

const input = z.strictObject({
  agent_id: agentId,
  command: command
    .optional()
    .describe('run before the gate of a stage, and needed where it has none; no shell reads its words'),
  max_beads: z.int().min(1).max(100_000).optional().describe('stop after this many beads'),
  timeout_ms: timeoutMs.optional(),
  wait_ms: waitMs
    .optional()
    .describe('when there is nothing to do, wait for up to this many ms before stopping'),
  lease_ms: leaseMs.optional(),
  with_database: withDatabase.optional(),
})
type Input = z.output<typeof input>

const output = z.object({
  beads: z.int().describe('beads taken'),
  completed: z.int(),
  blocked: z.int(),
  stages: z.int().describe('commands run'),
  passed: z.int(),
  failed: z.int(),
  errors: z.int(),
  duration_ms: z.int(),
  stopped: z
    .string()
    .describe(
      'max_beads, missing (the command is not installed), shutdown, or why there was nothing to claim',
    ),
  last_output: z.string().optional().describe('the end of what the last command wrote, when it did not pass'),
})
type Summary = z.output<typeof output>

export default defineCommand({
  name: 'agent',
  group: 'compat',
  summary: 'run-once again and again until there is nothing left to claim; answers a summary',
  input,
  output,
  effect: 'write',
  hostBound: true,
  role: 'runner',
  errors: ['NOTFOUND', 'CONFLICT', 'BUSY'],
  positional: ['command'],
  examples: [
    {
      given: [
        { cmd: 'register', count: 1 },
        { cmd: 'enqueue', beads: [{ bead_id: 'api', title: 'Write the API' }] },
      ],
      in: { cmd: 'agent', rid: 'r1', agent_id: 1, command: ['true'] },
      out: {
        beads: 1,
        completed: 1,
        blocked: 0,
        stages: 4,
        passed: 4,
        failed: 0,
        errors: 0,
        duration_ms: '$int',
        stopped: 'empty',
      },
    },
  ],
  waits: () => true,
  async run(ctx, input): Promise<Summary> {
    const prior = await priorReply<Summary>(ctx, 'agent', input)
    if (prior) return prior
    return write<Summary>(ctx, 'agent', input, { summary: await loop(ctx, input) })
  },
  dry: async (_ctx, input) => [
    `claim ready beads one after the other as agent ${input.agent_id} and run the commands of their stages`,
  ],
})

const once = z.object({
  ran: z
    .object({
      bead_id: z.string(),
      outcome: z.enum(OUTCOMES),
      ended: z.string(),
      output: z.string(),
    })
    .nullable(),
  transition: z.enum(TRANSITIONS).optional(),
  kept: z.boolean().optional(),
  reason: z.string().optional(),
})

async function loop(
  ctx: CommandContext,
  { max_beads = Number.POSITIVE_INFINITY, ...args }: Input,
): Promise<Summary> {
  const started = performance.now()
  const counts = { beads: 0, completed: 0, blocked: 0, stages: 0, passed: 0, failed: 0, errors: 0 }
  let last: string | undefined
  let lastOutput: string | undefined
  const summary = (stopped: string): Summary => ({
    ...counts,
    duration_ms: Math.round(performance.now() - started),
    stopped,
    ...(lastOutput === undefined ? {} : { last_output: lastOutput }),
  })
  for (;;) {
    const { ran, transition, kept, reason } = once.parse(await ctx.execute({ cmd: 'run-once', ...args }))
    if (!ran) return summary(reason ?? 'empty')
    if (ran.bead_id !== last) counts.beads += 1
    last = kept ? ran.bead_id : undefined
    counts.stages += 1
    counts[ran.outcome === 'error' ? 'errors' : ran.outcome] += 1
    if (transition === 'finalize') counts.completed += 1
    if (transition === 'block') counts.blocked += 1
    lastOutput = ran.outcome === 'passed' ? undefined : ran.output
    if (ran.ended === 'missing') {
      // one attempt has told it: going on would use up the attempts of every bead
      if (kept)
        await ctx.execute({ cmd: 'release', agent_id: args.agent_id, reason: 'the command is not installed' })
      return summary('missing')
    }
    if (!kept && counts.beads >= max_beads) return summary('max_beads')
  }
}
