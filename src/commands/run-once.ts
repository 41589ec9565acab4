import * as z from 'zod'
import { type CommandContext, defineCommand } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import { agentId, leaseMs, TRANSITIONS, waitMs } from '../contract/fields.ts'
import { LEASE_MS } from '../contract/leases.ts'
import { command, DEFAULT_TIMEOUT_MS, ran, timeoutMs, withDatabase } from '../contract/stage-fields.ts'
import { priorReply } from '../runtime/prior-reply.ts'
import { holderWrite } from '../runtime/write.ts'
import { completionOf } from '../work/completion.ts'
import { gateOfWork, type HeldWork, orGiveBack } from '../work/held-work.ts'
import { runStageCommand, STOP_REASONS } from '../work/stage-runner.ts'
import { oneCommand, takeBead } from '../work/take-bead.ts'

const input = z.strictObject({
  agent_id: agentId,
  command: command
    .optional()
    .describe('for a stage without a gate: binary and arguments; no shell reads them'),
  timeout_ms: timeoutMs.optional(),
  wait_ms: waitMs.optional().describe('wait for a bead for up to this many ms'),
  lease_ms: leaseMs.optional(),
  with_database: withDatabase.optional(),
})
type Input = z.output<typeof input>

const output = z.object({
  ran: ran.nullable(),
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
    'claim a bead, or go on with the held one, run its stage’s command and complete the stage by exit code',
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
    `run the gate of its stage${input.command ? `, or ${JSON.stringify(input.command)} where there is none` : ''}`,
    'complete the stage by the exit code',
  ],
})

async function runOnce(ctx: CommandContext, input: Input): Promise<Output> {
  const taken = await takeBead(ctx, input)
  if (!taken.work) return { ran: null, ...taken }
  const { work, held } = taken
  const run = async () => {
    const gate = gateOfWork(ctx, work)
    const argv = gate?.argv ?? input.command
    if (!argv) return undefined
    return runStageCommand(ctx, input.agent_id, work, {
      argv,
      timeoutMs: input.timeout_ms ?? work.timeout_ms ?? DEFAULT_TIMEOUT_MS,
      gate,
      withDatabase: input.with_database ?? false,
    })
  }
  const stageRun = await (held ? run() : orGiveBack(ctx, input.agent_id, work, run))
  if (!stageRun) {
    if (!held) await release(ctx, input, work, 'no command for its stage')
    throw noCommand(input, work)
  }
  if ('stopped' in stageRun) {
    await release(ctx, input, work, STOP_REASONS[stageRun.stopped])
    return { ran: null, reason: stageRun.stopped }
  }
  const { ran } = stageRun
  const proc = {
    bead_id: work.bead.bead_id,
    fence: work.fence,
    ran,
    attempt_id: work.attempt_id,
    verified: ran.gate,
    ...(ctx.renews ? {} : { lease_ms: input.lease_ms ?? LEASE_MS }),
    complete: completionOf(input.agent_id, work, stageRun),
  }
  return holderWrite<Output>(ctx, 'run-once', input, proc, { ended: (d) => !d.kept })
}

async function release(
  ctx: CommandContext,
  { agent_id }: Input,
  work: HeldWork,
  reason: string,
): Promise<void> {
  const { bead_id } = work.bead
  await ctx.execute({ cmd: 'release', agent_id, bead_id, fence: work.fence, reason })
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
