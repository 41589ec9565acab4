import * as z from 'zod'
import { type CommandContext, defineCommand } from '../contract/command.ts'
import type { FixRequest } from '../contract/errors.ts'
import { diagnostics } from '../contract/events.ts'
import { beadId } from '../contract/fields.ts'
import { artifactRow, attemptRow, beadRow, claimRow, messageRow } from '../contract/rows.ts'
import { readFunction } from '../runtime/read.ts'

const context = z.object({
  bead: beadRow,
  claim: claimRow.nullable(),
  blockers: z.array(
    z.object({ bead_id: z.string(), kind: z.string(), status: z.string().optional(), open: z.boolean() }),
  ),
  attempts: z.array(attemptRow.omit({ bead_id: true })).describe('the last 20, oldest first'),
  artifacts: z
    .array(artifactRow.extend({ content: z.string().describe('its first 2,000 characters') }))
    .describe('the last 20'),
  messages: z.array(messageRow).describe('the last 20 about it'),
  events: z.array(z.record(z.string(), z.json())).describe('the last 20'),
})
type Context = z.output<typeof context>

export default defineCommand({
  name: 'resume-context',
  group: 'look',
  summary: 'everything a fresh process needs to go on with a bead',
  input: z.strictObject({ bead_id: beadId }),
  output: context.extend({ diagnostics: diagnostics.describe('how it stands and what to send next') }),
  effect: 'read',
  errors: ['NOTFOUND'],
  positional: ['bead_id'],
  examples: [
    {
      given: [
        { cmd: 'register', count: 1 },
        { cmd: 'enqueue', beads: [{ bead_id: 'api', title: 'Write the API' }] },
        { cmd: 'claim-next', agent_id: 1 },
      ],
      in: { cmd: 'resume-context', bead_id: 'api' },
      out: {
        bead: {
          bead_id: 'api',
          title: 'Write the API',
          status: 'in_progress',
          stage: 'contract',
          attempt: 1,
          fence: 1,
        },
        claim: { agent_id: 1, fence: 1, remaining_ms: '$int' },
        blockers: [],
        attempts: [{ stage: 'contract', attempt: 1, agent_id: 1, status: 'started', duration_ms: '$int' }],
        artifacts: [],
        messages: [],
        events: [
          { event_type: 'bead_enqueued' },
          { event_type: 'bead_claimed', agent_id: 1 },
          { event_type: 'stage_started', agent_id: 1, stage: 'contract' },
        ],
        diagnostics: { category: 'held', retryable: true, next_command: '$string', detail: '$string' },
      },
    },
  ],
  async run(ctx, input) {
    const found = await readFunction<Context>(ctx, 'resume_context_json', ctx.repo, input.bead_id)
    return { ...found, diagnostics: diagnose(ctx, found) }
  },
})

/** How the bead stands, and the request that goes on with it. */
function diagnose(
  ctx: CommandContext,
  { bead, claim, blockers, attempts }: Context,
): z.output<typeof diagnostics> {
  const say = (category: string, retryable: boolean, next: FixRequest, detail: string) => ({
    category,
    retryable,
    next_command: ctx.render(next),
    detail,
  })
  const show: FixRequest = { cmd: 'show', bead_id: bead.bead_id }
  if (claim) {
    const again: FixRequest = { cmd: 'claim-next', agent_id: claim.agent_id }
    return claim.remaining_ms > 0
      ? say(
          'held',
          true,
          again,
          `agent ${claim.agent_id} holds it; a new process of that agent takes it over with this`,
        )
      : say(
          'lease_expired',
          true,
          again,
          `the lease of agent ${claim.agent_id} has run out: anybody may claim it`,
        )
  }
  switch (bead.status) {
    case 'pending': {
      const open = blockers.find((blocker) => blocker.open)
      if (open && bead.open_blockers > 0) {
        return say(
          'waiting',
          true,
          { cmd: 'show', bead_id: open.bead_id },
          `${bead.open_blockers} others must be done first`,
        )
      }
      const last = attempts.at(-1)
      return say(
        'ready',
        true,
        last ? { cmd: 'claim-next', agent_id: last.agent_id } : { cmd: 'next' },
        'anybody whose role fits may claim it',
      )
    }
    case 'completed':
      return say('finished', false, show, 'it is done')
    case 'cancelled':
      return say('cancelled', false, { cmd: 'reopen', bead_id: bead.bead_id }, 'somebody cancelled it')
    case 'deferred':
      return say(
        'deferred',
        false,
        { cmd: 'update', bead_id: bead.bead_id, status: 'pending' },
        'put off by a person',
      )
    default:
      return say(
        'blocked',
        false,
        { cmd: 'reopen', bead_id: bead.bead_id },
        bead.feedback?.slice(0, 500) ?? 'a person must look at it',
      )
  }
}
