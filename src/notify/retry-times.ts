/** When a message that was not taken is sent again, in ms after the attempt before; the last one repeats. */
const PAUSES_MS = [5_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000]
const JITTER = 0.1

/**
 * How long to wait after `failed` attempts, in ms: 5 s, 5 min, 30 min, 2 h, 5 h, then 10 h, each up to a tenth longer, and never shorter
 * than the receiver asked for (`askedMs`). `random` is from 0 to 1.
 */
export function pauseAfter(failed: number, random: number, askedMs = 0): number {
  const pause = PAUSES_MS[Math.min(failed, PAUSES_MS.length) - 1] ?? 0
  return Math.max(pause * (1 + JITTER * random), askedMs)
}

/** Where a receiver has said that it takes nothing any more, it is asked again so often, in ms. */
export const CLOSED_PAUSE_MS = 3_600_000

/** While Telegram is away: from 2 s, doubled up to 5 min, as people wait there for an answer. */
const FIRST_AWAY_MS = 2_000
const LONGEST_AWAY_MS = 300_000

/**
 * How long to wait after an attempt, in ms. `failed` counts those that failed in a row; one that was asked to come `later` comes exactly
 * then, and where the receiver is `closed`, after an hour. `random` is from 0 to 1.
 */
export function pauseOf(
  verdict: 'failed' | 'away' | 'later' | 'closed',
  failed: number,
  random: number,
  askedMs: number,
): number {
  if (verdict === 'later') return askedMs
  if (verdict === 'away') {
    const pause = Math.min(FIRST_AWAY_MS * 2 ** Math.min(failed - 1, 20), LONGEST_AWAY_MS)
    return Math.round(pause * (1 + JITTER * random))
  }
  return Math.round(verdict === 'closed' ? CLOSED_PAUSE_MS : pauseAfter(failed, random, askedMs))
}

/** `Retry-After` in ms: seconds or a date; 0 when it is neither. */
export function retryAfterMs(header: string | undefined, now: number): number {
  if (header === undefined) return 0
  const seconds = /^\d{1,6}$/.test(header.trim()) ? Number(header) * 1_000 : Date.parse(header) - now
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0), 36_000_000) : 0
}
