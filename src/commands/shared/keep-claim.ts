import type { CommandContext } from '../../contract/context.ts'

export interface KeptClaim {
  readonly agent_id: number
  readonly bead_id: string
  readonly fence: number
  readonly lease_ms: number
}

/** Renewed when this part of the lease has passed. */
const FRACTION = 3
const SHORTEST_PAUSE_MS = 100
const DEFAULT_MAX_HOLD_MS = 4 * 3_600_000

/**
 * Renews one claim while a command runs under it. `lost` aborts when the claim is no longer ours, when the database has
 * been away for a whole lease, or when it was held for `max_hold_ms` (4 h).
 */
export function keepClaim(ctx: CommandContext, claim: KeptClaim): { lost: AbortSignal; stop(): void } {
  const lost = new AbortController()
  const started = performance.now()
  const maxHoldMs = ctx.root?.config.max_hold_ms ?? DEFAULT_MAX_HOLD_MS
  let renewed = started
  let busy = false
  const renew = async () => {
    const asked = performance.now()
    const [row] = await ctx.db.read<{ renewed: boolean }>(
      'select swarm.renew_lease($1, $2::integer, $3, $4::bigint) as renewed',
      [ctx.repo, claim.agent_id, claim.bead_id, claim.fence],
    )
    if (row?.renewed) renewed = asked
    else lost.abort()
  }
  const tick = () => {
    const now = performance.now()
    if (now - renewed > claim.lease_ms || now - started > maxHoldMs) lost.abort()
    if (busy || lost.signal.aborted) return
    busy = true
    // the next tick asks again; the lease bounds how often
    renew()
      .catch(() => {})
      .finally(() => {
        busy = false
      })
  }
  const timer = setInterval(tick, Math.max(SHORTEST_PAUSE_MS, claim.lease_ms / FRACTION))
  return { lost: lost.signal, stop: () => clearInterval(timer) }
}
