/** Mean length of one attempt, in ms, and how it is kept so that the whole takes about as long as planned. */
export interface Pace {
  readonly ms: number
  /** Looks at the progress (0 to 1) and answers the pace from now on. */
  adjust(elapsedMs: number, progress: number): number
}

const SLOWEST_MS = 420
/** Attempts per stage, with those that fail on purpose. */
const ATTEMPTS = 1.15
/** Dependencies keep agents waiting part of the time. */
const BUSY = 0.75

/** Plans the pace for so many stages in all, done by so many agents, in `targetMs`. */
export function createPace(stages: number, agents: number, targetMs: number): Pace {
  let ms = Math.min(SLOWEST_MS, (targetMs * agents * BUSY) / Math.max(1, stages * ATTEMPTS))
  return {
    get ms() {
      return ms
    },
    adjust(elapsedMs, progress) {
      if (progress < 0.05 || progress >= 1) return ms
      const projected = elapsedMs / progress
      if (projected > targetMs * 1.1) ms *= 0.85
      else if (projected < targetMs * 0.9) ms = Math.min(SLOWEST_MS, ms * 1.1)
      return ms
    },
  }
}
