import * as z from 'zod'
import type { CommandContext } from '../contract/command.ts'
import type { Holdings } from '../contract/context.ts'
import { SwarmError } from '../contract/errors.ts'
import { RENEWED_LEASE_MS } from '../contract/leases.ts'
import { type HeldWork, heldWork } from './held-work.ts'

interface Wanted {
  readonly agent_id: number
  readonly labels?: readonly string[] | undefined
  readonly bead_types?: readonly string[] | undefined
  readonly wait_ms?: number | undefined
  readonly lease_ms?: number | undefined
}

/** A bead to work on, or why there is none, as claim-next says it. */
export type Taken =
  | { readonly work: HeldWork; readonly held: boolean }
  | {
      readonly work?: undefined
      readonly reason: string
      readonly pending: number | undefined
      readonly in_progress: number | undefined
    }

const claimed = z.object({
  bead: z.object({ bead_id: z.string() }).nullable(),
  fence: z.int().optional(),
  held: z.boolean().default(false),
  reason: z.string().default('empty'),
  pending: z.int().optional(),
  in_progress: z.int().optional(),
})

/**
 * Claims a bead for a command, or goes on with the held one. Asked afresh every time, never from the operation's key: an old answer
 * would bring an old fence.
 */
export async function takeBead(ctx: CommandContext, wanted: Wanted): Promise<Taken> {
  const { agent_id, labels, bead_types, wait_ms, lease_ms = RENEWED_LEASE_MS } = wanted
  const idem = `claim-${crypto.randomUUID()}`
  const claim = claimed.parse(
    await ctx.execute({ cmd: 'claim-next', agent_id, labels, bead_types, wait_ms, lease_ms, idem }),
  )
  const { bead, fence, held, reason, pending, in_progress } = claim
  if (bead) return { work: await heldWork(ctx, { agent_id, bead_id: bead.bead_id, fence }), held }
  const why = reason === 'shutdown' && !ctx.stopping ? 'cancelled' : reason
  return { reason: why, pending, in_progress }
}

/** Agents for which a command runs, by database: the same process would be given the same bead again. */
const running = new WeakMap<Holdings, Set<string>>()

/** Runs `work`; BUSY while the same agent runs a command in this process already. */
export async function oneCommand<T>(
  ctx: CommandContext,
  agentId: number,
  work: () => Promise<T>,
): Promise<T> {
  const { holdings, repo } = ctx
  const agents = running.get(holdings) ?? new Set()
  running.set(holdings, agents)
  const key = `${agentId} ${repo}`
  if (agents.has(key)) {
    throw new SwarmError(
      'BUSY',
      `agent ${agentId} runs a command in this process already, or waits for a bead to run one on`,
      { ctx: { agent_id: agentId, bead_id: holdings.get(repo, agentId)?.bead_id }, fix: { cmd: 'agents' } },
    )
  }
  agents.add(key)
  try {
    return await work()
  } finally {
    agents.delete(key)
  }
}
