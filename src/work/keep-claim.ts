import type { CommandContext } from '../contract/command.ts'
import { DEFAULT_MAX_HOLD_MS, RENEW_FRACTION } from '../contract/leases.ts'
import { pauseOrAbort } from '../contract/pause.ts'
import { renewTimeoutMs } from '../runtime/renew.ts'
import { type Attempt, claimState } from './claim-state.ts'

export interface KeptClaim extends Attempt {
  readonly lease_ms: number
}

/**
 * Why a claim is kept no longer: it is not ours any more, the database has been away for a whole lease, or it was held for
 * `max_hold_ms` (4 h).
 */
export type ClaimEnd = 'lost' | 'away' | 'max_hold'

const SHORTEST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 1_000
/** Looked at again after a change in the repo, at most so often. */
const LOOK_PAUSE_MS = 200

/**
 * Renews one claim while a command runs under it, and looks after every change in the repo whether it is still ours. `over` aborts
 * with a `ClaimEnd` as its reason. A claim that ended because its stage was completed or it was released is not over: the
 * command did that itself and may finish.
 */
export function keepClaim(ctx: CommandContext, claim: KeptClaim): { over: AbortSignal; stop(): void } {
  const over = new AbortController()
  const stopped = new AbortController()
  const started = performance.now()
  const maxHoldMs = ctx.root?.config.max_hold_ms ?? DEFAULT_MAX_HOLD_MS
  const renewAfterMs = claim.lease_ms / RENEW_FRACTION
  let renewed = started
  let asked = started
  let busy = false
  let ended = false

  const end = (why: ClaimEnd) => {
    if (!stopped.signal.aborted) over.abort(why)
    stop()
  }
  const look = async (isRenewed: boolean) => {
    const state = await claimState(ctx, claim)
    ended = state === 'ended'
    if (state === 'lost' || (!ended && !isRenewed)) end('lost')
  }
  const renew = async () => {
    const [row] = await ctx.db.read<{ renewed: boolean }>(
      'select swarm.renew_lease($1, $2::integer, $3, $4::bigint) as renewed',
      [ctx.repo, claim.agent_id, claim.bead_id, claim.fence],
      { timeoutMs: renewTimeoutMs(claim.lease_ms) },
    )
    if (row?.renewed) renewed = asked
    else await look(false)
  }
  const tick = () => {
    const now = performance.now()
    if (now - started > maxHoldMs) end('max_hold')
    else if (!ended && now - renewed > claim.lease_ms) end('away')
    else if (!ended && !busy && now - asked >= renewAfterMs) {
      busy = true
      asked = now
      // the next tick asks again; the lease bounds how often
      renew()
        .catch(() => {})
        .finally(() => {
          busy = false
        })
    }
  }
  const watch = async () => {
    // most commands are done before this: they need no listener
    await pauseOrAbort(LONGEST_PAUSE_MS, stopped.signal)
    while (!stopped.signal.aborted && !ended) {
      try {
        await look(true)
        await pauseOrAbort(LOOK_PAUSE_MS, stopped.signal)
        await ctx.db.waitForChange(ctx.repo, LONGEST_PAUSE_MS, stopped.signal)
      } catch {
        // the database is away: the lease bounds for how long
        await pauseOrAbort(LONGEST_PAUSE_MS, stopped.signal)
      }
    }
  }

  const timer = setInterval(tick, Math.min(LONGEST_PAUSE_MS, Math.max(SHORTEST_PAUSE_MS, renewAfterMs / 2)))
  const stop = () => {
    clearInterval(timer)
    stopped.abort()
  }
  void watch()
  return { over: over.signal, stop }
}
