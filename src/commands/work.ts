import * as z from 'zod'
import { type CommandContext, defineCommand } from '../contract/command.ts'
import { agentId, label, leaseMs, text, waitMs } from '../contract/fields.ts'
import { command, timeoutMs, withDatabase, worked, workedNone } from '../contract/stage-fields.ts'
import { priorReply } from '../runtime/prior-reply.ts'
import { write } from '../runtime/write.ts'
import { oneCommand } from '../work/take-bead.ts'
import { workOne } from '../work/work-one.ts'

const input = z.strictObject({
  agent_id: agentId,
  command: command.describe('binary and arguments; in a shell, everything after --'),
  wait_ms: waitMs.optional().describe('wait for a bead for up to this many ms'),
  lease_ms: leaseMs.optional().describe('60,000 by default; renewed while the command runs'),
  max_beads: z
    .int()
    .min(1)
    .max(1_000_000)
    .optional()
    .describe('claims to work off, one stage each, with a line for each; 1 by default'),
  timeout_ms: timeoutMs.optional().describe('how long the command may run; until max_hold_ms by default'),
  labels: z.array(label).min(1).max(64).optional().describe('only beads with all of these labels'),
  bead_types: z.array(text(64)).min(1).max(64).optional().describe('only beads of one of these types'),
  with_database: withDatabase
    .optional()
    .describe('let the command have the database’s password from the environment; false by default'),
})
type Input = z.output<typeof input>

const summary = z.object({
  beads: z.int().describe('commands run, each for one stage of a bead'),
  passed: z.int(),
  failed: z.int(),
  errors: z.int(),
  stopped: z.string().describe('max_beads, missing, max_hold, shutdown, or why there was nothing to claim'),
  ms: z.int(),
})
const output = z.union([worked, workedNone, summary])
type Output = z.output<typeof output>

export default defineCommand({
  name: 'work',
  group: 'work',
  summary: 'claim a bead, run a command for it while the claim is kept, finish the stage by its exit code',
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
      in: { cmd: 'work', rid: 'w1', agent_id: 1, command: ['true'] },
      out: {
        bead_id: 'api',
        stage: 'contract',
        attempt: 1,
        outcome: 'passed',
        transition: 'advance',
        exit_code: 0,
        ms: '$int',
        status: 'pending',
        next_stage: 'implement',
      },
    },
  ],
  waits: () => true,
  async run(ctx, input): Promise<Output> {
    const prior = await priorReply<Output>(ctx, 'work', input)
    if (prior) return prior
    if ((input.max_beads ?? 1) > 1)
      return write<Output>(ctx, 'work', input, { summary: await workMany(ctx, input) })
    return oneCommand(ctx, input.agent_id, () => workOne(ctx, input))
  },
  dry: async (_ctx, input) => [
    `claim a ready bead for agent ${input.agent_id}, or go on with the held one`,
    `run ${JSON.stringify(input.command)} for its stage, then the gate of the stage where it has one`,
    'finish the stage by the exit code and let go of the bead',
  ],
})

const part = z.union([worked, workedNone])

/** One claim after the other, each a part of this request under a key of its own; every one is a line ahead of the summary. */
async function workMany(
  ctx: CommandContext,
  { max_beads = 1, ...args }: Input,
): Promise<z.output<typeof summary>> {
  const started = performance.now()
  const counts = { beads: 0, passed: 0, failed: 0, errors: 0 }
  const ended = (stopped: string) => ({ ...counts, stopped, ms: Math.round(performance.now() - started) })
  while (counts.beads < max_beads) {
    const d = part.parse(await ctx.execute({ cmd: 'work', ...args }))
    if (d.bead_id === null) return ended(d.reason)
    await ctx.emit([d])
    counts.beads += 1
    if (d.outcome) counts[d.outcome === 'error' ? 'errors' : d.outcome] += 1
    if (d.reason) return ended(d.reason)
    // one attempt has told it: going on would use up the attempts of every bead
    if (d.ended === 'missing') return ended('missing')
  }
  return ended('max_beads')
}
