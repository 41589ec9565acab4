import type { Database, Holdings } from '../contract/context.ts'
import { DEFAULT_MAX_HOLD_MS, RENEW_FRACTION } from '../contract/leases.ts'
import { isSameClaim } from './holdings.ts'

/**
 * How long a renewal may take, in ms. Without an answer by then its connection counts as half-open, and whatever else waits there is sent
 * again on another: within the lease.
 */
export function renewTimeoutMs(leaseMs: number): number {
  return Math.min(5_000, Math.max(1_000, leaseMs / RENEW_FRACTION))
}

/** One database with the claims that this process holds in it. */
export interface Held {
  readonly db: Database
  readonly holdings: Holdings
  readonly maxHoldMs?: number | undefined
}

/**
 * Renews the leases of this process until it is stopped, each as a compare-and-set on fence and unexpired lease. A claim
 * that is no longer ours is marked so; one held longer than `maxHoldMs` (4 h) is left to expire.
 */
export function startRenewing(
  held: () => Iterable<Held>,
  now: () => number = () => performance.now(),
): () => void {
  // by the holdings of a database: bead and fence of two databases may well be the same
  const all = new WeakMap<Holdings, { renewed: Map<string, number>; busy: Set<string> }>()
  const stateOf = (holdings: Holdings) => {
    const known = all.get(holdings) ?? { renewed: new Map<string, number>(), busy: new Set<string>() }
    all.set(holdings, known)
    return known
  }
  const tick = () => {
    for (const { db, holdings, maxHoldMs = DEFAULT_MAX_HOLD_MS } of held()) {
      const { renewed, busy } = stateOf(holdings)
      for (const claim of holdings.list()) {
        const key = `${claim.repo} ${claim.bead_id} ${claim.fence}`
        const due = (renewed.get(key) ?? claim.since) + claim.lease_ms / RENEW_FRACTION
        if (claim.lost || busy.has(key) || now() < due || now() - claim.since > maxHoldMs) continue
        busy.add(key)
        db.read<{ renewed: boolean }>(
          'select swarm.renew_lease($1, $2::integer, $3, $4::bigint) as renewed',
          [claim.repo, claim.agent_id, claim.bead_id, claim.fence],
          { timeoutMs: renewTimeoutMs(claim.lease_ms) },
        )
          .then(([row]) => {
            if (row?.renewed) renewed.set(key, now())
            else if (isSameClaim(holdings.get(claim.repo, claim.agent_id), claim))
              holdings.set({ ...claim, lost: true })
          })
          // the next tick tries again; the lease bounds how long that can go on
          .catch(() => {})
          .finally(() => busy.delete(key))
      }
    }
  }
  const timer = setInterval(tick, 300)
  timer.unref()
  return () => clearInterval(timer)
}
