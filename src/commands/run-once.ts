import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import type { CommandContext } from '../contract/context.ts'
import { SwarmError } from '../contract/errors.ts'
import { agentId, leaseMs, TRANSITIONS, waitMs } from '../contract/fields.ts'
import { type HeldWork, heldWork } from './shared/held-work.ts'
import { priorReply } from './shared/prior-reply.ts'
import { command, ran, timeoutMs, withDatabase } from './shared/stage-fields.ts'
import { runStageCommand } from './shared/stage-runner.ts'
import { holderWrite } from './shared/write.ts'

/** The lease while the command runs: the runner renews it. */
const RUNNING_LEASE_MS = 60_000
/** The lease of a claim that this process keeps and then no longer renews. */
const LEFT_LEASE_MS = 900_000
const DEFAULT_TIMEOUT_MS = 3_000

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
  errors: ['NOTFOUND', 'CONFLICT'],
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
    if (prior) return prior
    const claim = await claimBead(ctx, input)
    if (!claim.bead) {
      const { reason, pending, in_progress } = claim
      return { ran: null, reason, pending, in_progress }
    }
    const work = await heldWork(ctx, { ...input, bead_id: claim.bead.bead_id, fence: claim.fence })
    const argv = work.gate ?? input.command
    if (!argv) {
      if (!claim.held) await release(ctx, input, work, 'no command for its stage')
      throw noCommand(input, work)
    }
    const stageRun = await runStageCommand(ctx, input.agent_id, work, {
      argv,
      timeoutMs: input.timeout_ms ?? work.timeout_ms ?? DEFAULT_TIMEOUT_MS,
      gate: work.gate !== undefined,
      withDatabase: input.with_database ?? false,
    })
    if (!stageRun) {
      await release(ctx, input, work, 'swarm was told to stop')
      return { ran: null, reason: 'shutdown' }
    }
    const { ran, feedback, evidence } = stageRun
    const d = await holderWrite<Output>(ctx, 'run-once', input, {
      ran,
      verified: ran.gate,
      ...(ctx.renews ? {} : { lease_ms: input.lease_ms ?? LEFT_LEASE_MS }),
      complete: {
        agent_id: input.agent_id,
        bead_id: ran.bead_id,
        fence: work.fence,
        stage: ran.stage,
        outcome: ran.outcome,
        feedback,
        ...(ran.gate
          ? { evidence: [evidence] }
          : {
              artifacts: [
                {
                  artifact_type: 'stage_log',
                  content: evidence.output,
                  metadata: { ...evidence, output: undefined },
                },
              ],
            }),
      },
    })
    if (!d.kept) ctx.holdings.delete(ctx.repo, input.agent_id)
    return d
  },
  dry: async (_ctx, input) => [
    `claim the first ready bead for agent ${input.agent_id}, or go on with the held one`,
    `run the gate of its stage${input.command ? `, or ${JSON.stringify(input.command)} where there is none` : ''}`,
    'complete the stage by the exit code',
  ],
})

const claimed = z.object({
  bead: z.object({ bead_id: z.string() }).nullable(),
  fence: z.int().optional(),
  held: z.boolean().optional(),
  reason: z.string().optional(),
  pending: z.int().optional(),
  in_progress: z.int().optional(),
})

/** Asked afresh every time, never from the operation's key: an old answer would bring an old fence. */
async function claimBead(ctx: CommandContext, { agent_id, wait_ms, lease_ms = RUNNING_LEASE_MS }: Input) {
  const idem = `claim-${crypto.randomUUID()}`
  return claimed.parse(await ctx.execute({ cmd: 'claim-next', agent_id, wait_ms, lease_ms, idem }))
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
