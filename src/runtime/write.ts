import type { CommandContext } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import type { JsonObject } from '../contract/json.ts'
import { auditable } from './auditable.ts'
import { type Claim, isSameClaim, ownClaim } from './holdings.ts'
import { senderOf } from './sender.ts'

/**
 * Runs this request's write: `swarm.do_<cmd>(repo, args, proc)` under its operation key. `args` is the request as the
 * operation's identity; `proc` adds what only this process knows.
 */
export async function write<D>(
  ctx: CommandContext,
  cmd: string,
  args: object,
  proc: JsonObject = {},
  key: string = ctx.key,
): Promise<D> {
  return (await writeOrReplay<D>(ctx, cmd, args, proc, key)).d
}

/** `write`, with whether the answer is that of an earlier send: what it says may be the case no more. */
export async function writeOrReplay<D>(
  ctx: CommandContext,
  cmd: string,
  args: object,
  proc: JsonObject = {},
  key: string = ctx.key,
): Promise<{ readonly d: D; readonly replayed: boolean }> {
  const reply = await ctx.db.write({
    cmd,
    repo: ctx.repo,
    // a parsed input holds JSON only; its absent keys are undefined and are not written
    args: auditable(args) as JsonObject,
    proc: { holder: ctx.holder, ...senderOf(ctx), ...proc },
    key,
    ...(ctx.rid === undefined ? {} : { rid: ctx.rid }),
  })
  if (reply.replayed) ctx.replayed()
  // the shape is that of the database function, checked against the output schema by the tests
  return { d: reply.d as D, replayed: reply.replayed === true }
}

interface HolderInput {
  readonly agent_id: number
  readonly bead_id?: string | undefined
  readonly fence?: number | undefined
}

/** What an accepted write means for the claim under which it was made. */
interface Effect<D> {
  /** Whether the claim ended with it. */
  readonly ended?: (d: D) => boolean
  /** The lease that the claim has now, in ms. */
  readonly leaseMs?: (d: D) => number | undefined
}

/**
 * A holder's write: it carries the bead and fence of this process's own claim where neither the request nor the verb (`proc`)
 * says. When the claim turns out not to be ours any more, the process remembers that: the agent must claim again before it can write.
 */
export async function holderWrite<D>(
  ctx: CommandContext,
  cmd: string,
  input: HolderInput,
  proc: JsonObject = {},
  effect: Effect<D> = {},
  key: string = ctx.key,
): Promise<D> {
  const own = ownClaim(ctx, input.agent_id)
  const bead = input.bead_id ?? proc.bead_id ?? own?.bead_id
  const fill = own && bead === own.bead_id ? { bead_id: own.bead_id, fence: own.fence } : {}
  const mine =
    own && bead === own.bead_id && (input.fence ?? proc.fence ?? own.fence) === own.fence ? own : undefined
  try {
    const { d, replayed } = await writeOrReplay<D>(ctx, cmd, input, { ...fill, ...proc }, key)
    if (mine) await note(ctx, input.agent_id, mine, d, effect, replayed)
    return d
  } catch (error) {
    const lost = error instanceof SwarmError && error.code === 'CONFLICT' && error.area === 'claim'
    const last = ctx.holdings.get(ctx.repo, input.agent_id)
    if (lost && mine && last && input.fence === undefined && isSameClaim(last, mine)) {
      ctx.holdings.set({ ...last, lost: true })
    }
    throw error
  }
}

/** An accepted write shows that the claim is held, or ends it. An answer of an earlier send shows neither: the database is asked. */
async function note<D>(
  ctx: CommandContext,
  agentId: number,
  claim: Claim,
  d: D,
  effect: Effect<D>,
  replayed: boolean,
): Promise<void> {
  const held = replayed ? await isHeld(ctx, agentId, claim) : !effect.ended?.(d)
  const last = ctx.holdings.get(ctx.repo, agentId)
  if (!last || !isSameClaim(last, claim)) return
  if (!held) return ctx.holdings.delete(ctx.repo, agentId)
  const said = effect.leaseMs?.(d) ?? last.lease_ms
  const { lost: _, ...rest } = last
  ctx.holdings.set({ ...rest, lease_ms: replayed ? Math.min(said, last.lease_ms) : said })
}

/** Whether the agent's claim on the bead still has this fence. */
export async function isHeld(
  ctx: CommandContext,
  agentId: number,
  { bead_id, fence }: Claim,
): Promise<boolean> {
  const [row] = await ctx.db.read<{ held: boolean }>(
    `select exists (select from swarm.bead_claims where repo_id = $1 and bead_id = $2 and claimed_by = $3::integer
      and fence = $4::bigint and status = 'in_progress') as held`,
    [ctx.repo, bead_id, agentId, fence],
  )
  return row?.held ?? false
}
