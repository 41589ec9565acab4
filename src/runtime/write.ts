import type { CommandContext } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import type { JsonObject } from '../contract/json.ts'
import { auditable } from './auditable.ts'
import { isSameClaim } from './holdings.ts'
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
  return reply.d as D
}

interface HolderInput {
  readonly agent_id: number
  readonly bead_id?: string | undefined
  readonly fence?: number | undefined
}

/**
 * A holder's write: it carries the bead and fence of this process's own claim where the request does not say. When the
 * claim turns out not to be ours any more, the process remembers that: the agent must claim again before it can write.
 */
export async function holderWrite<D>(
  ctx: CommandContext,
  cmd: string,
  input: HolderInput,
  proc: JsonObject = {},
): Promise<D> {
  const own = ctx.holdings.get(ctx.repo, input.agent_id)
  const mine = own && (input.bead_id === undefined || input.bead_id === own.bead_id) ? own : undefined
  try {
    return await write<D>(ctx, cmd, input, {
      ...proc,
      ...(mine ? { bead_id: mine.bead_id, ...(input.fence === undefined ? { fence: mine.fence } : {}) } : {}),
    })
  } catch (error) {
    const lost = error instanceof SwarmError && error.code === 'CONFLICT' && error.area === 'claim'
    const last = ctx.holdings.get(ctx.repo, input.agent_id)
    if (lost && mine && input.fence === undefined && isSameClaim(last, mine)) {
      ctx.holdings.set({ ...mine, lost: true })
    }
    throw error
  }
}
