/** How many requests each token may send, or each address that shows none. */
export interface Rate {
  /** Takes one; false when there is none left at this moment. */
  take(who: string): boolean
}

/** Tokens and addresses that are remembered; made-up ones must not fill the memory. */
const MOST_KNOWN = 10_000

/** So many a second, and as many at once after a pause of one. */
export function createRate(perSecond: number, now: () => number = () => performance.now()): Rate {
  let known = new Map<string, { left: number; at: number }>()
  return {
    take(who) {
      const at = now()
      const found = known.get(who) ?? { left: perSecond, at }
      if (known.size >= MOST_KNOWN) known = new Map()
      known.set(who, found)
      found.left = Math.min(perSecond, found.left + ((at - found.at) * perSecond) / 1_000)
      found.at = at
      if (found.left < 1) return false
      found.left -= 1
      return true
    },
  }
}
