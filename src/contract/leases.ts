/** How long claims last; one place for all that take, keep or renew them (DESIGN, leases renew themselves). */

/** The lease of a claim that its process renews, in ms. */
export const RENEWED_LEASE_MS = 60_000

/** The lease of a claim that nobody renews, in ms. */
export const LEASE_MS = 900_000

/** A claim is renewed when this part of its lease has passed: a third. */
export const RENEW_FRACTION = 3

/** For how long a process renews a claim unless the configuration says otherwise, in ms: four hours. */
export const DEFAULT_MAX_HOLD_MS = 4 * 3_600_000
