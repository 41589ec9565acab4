import * as z from 'zod'
import { type CommandContext, defineCommand } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import { agentId, leaseMs, TRANSITIONS, waitMs } from '../contract/fields.ts'
import { LEASE_MS } from '../contract/leases.ts'
import { command, DEFAULT_TIMEOUT_MS, ran, timeoutMs, withDatabase } from '../contract/stage-fields.ts'
import { priorReply } from '../runtime/prior-reply.ts'
import { holderWrite } from '../runtime/write.ts'
import { completionOf } from '../work/completion.ts'
import { type HeldWork, orGiveBack } from '../work/held-work.ts'
import { runWork } from '../work/run-work.ts'
import { STOP_REASONS } from '../work/stage-runner.ts'
import { oneCommand, takeBead } from '../work/take-bead.ts'

const input = z.strictObject({
  agent_id: agentId,
  command: command
    .optional()
    .describe('run before the gate of the stage, and needed where it has none; no shell reads its words'),
  timeout_ms: timeoutMs.optional(),
  wait_ms: waitMs.optional().describe('wait for a bead for up to this many ms'),
  lease_ms: leaseMs.optional(),
  with_database: withDatabase.optional(),
})
type Input = z.output<typeof input>

const output = z.object({
  ran: ran.nullable().describe('what decided: the gate where it was run, else the command'),
  transition: z.enum(TRANSITIONS).optional(),
  stage: z.string().optional().describe('the stage that the bead is at now'),
  attempt: z.int().optional(),
  kept: z.boolean().optional().describe('true when the agent still holds it, for that stage'),
  by_command: z
    .boolean()
    .optional()
    .describe('true when the command itself completed the stage or released the bead'),
  reason: z.string().optional().describe('why nothing was run, as claim-next says it'),
  pending: z.int().optional(),
  in_progress: z.int().optional(),
})
type Output = z.output<typeof output>

export default defineCommand({
  name: 'run-once',
  group: 'work',
  summary:
    'claim a bead, or go on with the held one, run a command and then the gate of its stage, complete it by exit code',
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
      in: { cmd: 'run-once', rid: 'r1', agent_id: 1, command: ['true'] },
      out: {
        ran: {
          bead_id: 'api',
          stage: 'contract',
          attempt: 1,
          gate: false,
          outcome: 'passed',
          ended: 'exited',
          exit_code: 0,
          duration_ms: '$int',
          output: '',
        },
        transition: 'advance',
        stage: 'implement',
        attempt: 1,
        kept: true,
      },
    },
  ],
  waits: () => true,
  async run(ctx, input): Promise<Output> {
    const prior = await priorReply<Output>(ctx, 'run-once', input)
    return prior ?? oneCommand(ctx, input.agent_id, () => runOnce(ctx, input))
  },
  dry: async (_ctx, input) => [
    `claim the first ready bead for agent ${input.agent_id}, or go on with the held one`,
    input.command
      ? `run ${JSON.stringify(input.command)} for its stage, then the gate of the stage where it has one`
      : 'run the gate of its stage',
    'complete the stage by the exit code',
  ],
})

async function runOnce(ctx: CommandContext, input: Input): Promise<Output> {
  const { agent_id, command, timeout_ms, with_database = false } = input
  const taken = await takeBead(ctx, input)
  if (!taken.work) return { ran: null, ...taken }
  const { work, held } = taken
  const { fence, attempt_id } = work
  const { bead_id } = work.bead
  const timeoutMs = timeout_ms ?? work.timeout_ms ?? DEFAULT_TIMEOUT_MS
  const run = () => runWork(ctx, agent_id, work, { command, timeoutMs, withDatabase: with_database })
  const result = await (held ? run() : orGiveBack(ctx, agent_id, work, run))
  const proc = { bead_id, fence, claim: { agent_id, bead_id, fence, attempt_id } }
  if ('stopped' in result) {
    const { stopped } = result
    const back = { ...proc, release: STOP_REASONS[stopped], reason: stopped }
    // under a key of its own: the request may be sent again, and then runs
    const key = `give-back-${crypto.randomUUID()}`
    return holderWrite<Output>(ctx, 'run-once', input, back, { ended: () => true }, key)
  }
  const ran = result.at(-1)?.ran
  if (!ran) {
    const reason = 'no command for its stage'
    if (!held) await ctx.execute({ cmd: 'release', agent_id, bead_id, fence, reason })
    throw noCommand(input, work)
  }
  const done = {
    ...proc,
    ran,
    verified: result.some(({ ran }) => ran.gate),
    ...(ctx.renews ? {} : { lease_ms: input.lease_ms ?? LEASE_MS }),
    complete: completionOf(agent_id, work, ...result),
  }
  return holderWrite<Output>(ctx, 'run-once', input, done, { ended: (d) => !d.kept })
}

function noCommand({ agent_id }: Input, { bead, stage }: HeldWork): SwarmError {
  return new SwarmError(
    'INVALID',
    `stage ${stage} of bead ${bead.bead_id} has no gate, so its command must be given`,
    {
      ctx: {
        kind: 'MissingField',
        field: 'command',
        expected: 'a list of words',
        stage,
        bead_id: bead.bead_id,
      },
      fix: { cmd: 'run-once', agent_id },
      needs: ['command'],
    },
  )
}
