/** How many requests each token may send. */
export interface Rate {
  /** Takes one; false when there is none left at this moment. */
  take(token: string | undefined): boolean
}

/** Tokens that are remembered; made-up ones must not fill the memory. */
const MOST_TOKENS = 10_000

/** So many a second, and as many at once after a pause of one. */
export function createRate(perSecond: number, now: () => number = () => performance.now()): Rate {
  let known = new Map<string | undefined, { left: number; at: number }>()
  return {
    take(token) {
      const at = now()
      const found = known.get(token) ?? { left: perSecond, at }
      if (known.size >= MOST_TOKENS) known = new Map()
      known.set(token, found)
      found.left = Math.min(perSecond, found.left + ((at - found.at) * perSecond) / 1_000)
      found.at = at
      if (found.left < 1) return false
      found.left -= 1
      return true
    },
  }
}
