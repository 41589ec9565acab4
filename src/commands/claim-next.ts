import * as z from 'zod'
import { type CommandContext, defineCommand } from '../contract/command.ts'
import { agentId, label, leaseMs, nothingToDo, text, unread, waitMs } from '../contract/fields.ts'
import { LEASE_MS, RENEWED_LEASE_MS } from '../contract/leases.ts'
import { waitUntil } from '../runtime/wait.ts'
import { isHeld, writeOrReplay } from '../runtime/write.ts'

const output = z.object({
  bead: z
    .object({
      bead_id: z.string(),
      title: z.string(),
      description: z.string(),
      priority: z.string(),
      labels: z.array(z.string()),
    })
    .nullable(),
  stage: z.string().optional(),
  attempt: z.int().optional(),
  feedback: z.string().optional().describe('what was wrong with the last attempt'),
  fence: z.int().optional(),
  lease_ms: z.int().optional(),
  held: z.boolean().optional().describe('true when the agent held it already'),
  reason: z
    .enum(['empty', 'waiting', 'blocked', 'no_match', 'independent_reviewer', 'paused', 'shutdown'])
    .optional(),
  ...nothingToDo,
  unread,
})
type Claim = z.output<typeof output>

const input = z.strictObject({
  agent_id: agentId,
  labels: z.array(label).min(1).max(64).optional().describe('only beads with all of these labels'),
  bead_types: z.array(text(64)).min(1).max(64).optional().describe('only beads of one of these types'),
  lease_ms: leaseMs.optional().describe('60,000 when this process renews it, else 900,000'),
  wait_ms: waitMs.optional(),
  require: z.boolean().optional().describe('answer NOTFOUND instead of a null bead'),
})
type Input = z.output<typeof input>

export default defineCommand({
  name: 'claim-next',
  group: 'loop',
  summary: 'take the first ready bead; it starts its current stage',
  input,
  output,
  effect: 'write',
  role: 'agent',
  errors: ['NOTFOUND'],
  examples: [
    {
      given: [
        { cmd: 'register', count: 1 },
        { cmd: 'enqueue', beads: [{ bead_id: 'api', title: 'Write the API' }] },
      ],
      in: { cmd: 'claim-next', agent_id: 1 },
      out: {
        bead: { bead_id: 'api', title: 'Write the API', description: '', priority: 'p2', labels: [] },
        stage: 'contract',
        attempt: 1,
        fence: 1,
        lease_ms: '$int',
        held: false,
      },
    },
    {
      given: [{ cmd: 'register', count: 1 }],
      in: { cmd: 'claim-next', agent_id: 1 },
      out: { bead: null, reason: 'empty', done: 0, blocked: 0, in_progress: 0, pending: 0 },
    },
  ],
  waits: (input) => (input.wait_ms ?? 0) > 0,
  async run(ctx, input): Promise<Claim> {
    const { wait_ms = 0, require = false } = input
    const claim = (last: boolean) => claimOnce(ctx, input, last && require)
    /** The answer if it ends the wait: a bead, or that there will be none. */
    const settle = async (answer: Claim) => {
      if (answer.bead || !isFinished(answer)) return answer.bead ? answer : undefined
      return require ? claim(true) : answer
    }
    const first = await claim(wait_ms === 0)
    if (wait_ms === 0) return first
    const settled = await settle(first)
    if (settled) return settled
    const waited = await waitUntil(ctx, wait_ms, async (last) => {
      if (last) return claim(true)
      return (await mayFind(ctx, input.agent_id)) ? settle(await claim(false)) : undefined
    })
    return waited ?? { ...first, reason: 'shutdown' }
  },
  async dry(ctx, input) {
    const { agent_id, labels, bead_types } = input
    const d = await ctx.execute({ cmd: 'next', agent_id, labels, bead_types })
    return [`claim ${JSON.stringify(d)}`]
  },
})

async function claimOnce(
  ctx: CommandContext,
  { wait_ms: _, ...args }: Input,
  require: boolean,
): Promise<Claim> {
  const renewed = ctx.renews
  // a wait asks several times under one key: what differs between the times is no part of the operation
  const { d, replayed } = await writeOrReplay<Claim>(ctx, 'claim-next', args, {
    require,
    lease_ms: renewed ? RENEWED_LEASE_MS : LEASE_MS,
    ...(speaksFor(ctx, args.agent_id) ? { holder: ctx.env.SWARM_HOLDER } : {}),
  })
  const isOver = renewed && !ctx.renews && args.lease_ms === undefined
  const claim = isOver && !replayed ? await forOneShot(ctx, args.agent_id, d) : d
  if (claim.bead && claim.fence !== undefined && claim.lease_ms !== undefined) {
    const { agent_id } = args
    const made = { bead_id: claim.bead.bead_id, fence: claim.fence }
    const gone = replayed && !(await isHeld(ctx, agent_id, made))
    // the claim of an earlier send may have ended, and there may be a later one
    if (gone && ctx.holdings.get(ctx.repo, agent_id)) return claim
    ctx.holdings.set({
      ...made,
      ...(gone ? { lost: true as const } : {}),
      repo: ctx.repo,
      agent_id,
      lease_ms: claim.lease_ms,
      since: performance.now(),
    })
  }
  return claim
}

/** The input ended while the claim was made: like that of a one-shot call, nobody will renew it. */
async function forOneShot(ctx: CommandContext, agent: number, claim: Claim): Promise<Claim> {
  const { bead, fence } = claim
  if (!bead || fence === undefined || claim.lease_ms !== RENEWED_LEASE_MS) return claim
  const [row] = await ctx.db.read<{ renewed: boolean }>(
    'select swarm.renew_lease($1, $2::integer, $3, $4::bigint, $5::integer) as renewed',
    [ctx.repo, agent, bead.bead_id, fence, LEASE_MS],
  )
  return row?.renewed ? { ...claim, lease_ms: LEASE_MS } : claim
}

/** True in a command that swarm runs for this agent: it speaks for the process that holds the claim. */
function speaksFor({ env }: CommandContext, agent: number): boolean {
  return Boolean(env.SWARM_HOLDER) && env.SWARM_AGENT_ID === String(agent)
}

/** Nothing is left of a backlog that there was: nobody needs to wait for a bead. */
function isFinished({ reason, done = 0 }: Claim): boolean {
  return reason === 'empty' && done > 0
}

/** Whether asking again may find a bead, or that the backlog is finished: a cheap look for those who wait. */
async function mayFind(ctx: CommandContext, agent: number): Promise<boolean> {
  const [row] = await ctx.db.read<{ may: boolean }>(
    'select swarm.claimable($1, $2::integer) or swarm.is_finished($1) as may',
    [ctx.repo, agent],
  )
  return row?.may ?? false
}
