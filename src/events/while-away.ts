import { SwarmError } from '../contract/errors.ts'
import { pauseOrAbort } from '../contract/pause.ts'

const SHORTEST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 500

export interface AwayOptions {
  readonly signal: AbortSignal
  /** `performance.now()` after which there is no further attempt. */
  readonly deadline: number | undefined
  /** Told after each attempt that failed: for how long it has been failing, in ms, and why. */
  readonly onAway: (ms: number, why: SwarmError) => Promise<void>
}

/**
 * Does `work` until it succeeds: a database that is away, slow or full is waited for. Undefined when the signal aborts, at once and
 * whatever is under way, or when the deadline has passed. Throws what will not pass by itself.
 */
export async function retryWhileAway<T>(
  work: () => Promise<T>,
  { signal, deadline, onAway }: AwayOptions,
): Promise<{ readonly value: T } | undefined> {
  const since = performance.now()
  for (;;) {
    try {
      return await unlessAborted(work, signal)
    } catch (error) {
      if (!(error instanceof SwarmError) || !error.retryable) throw error
      const ms = performance.now() - since
      if (signal.aborted || (deadline !== undefined && performance.now() >= deadline)) return undefined
      await onAway(ms, error)
      await pauseOrAbort(Math.min(LONGEST_PAUSE_MS, SHORTEST_PAUSE_MS + ms / 4), signal)
    }
  }
}

/** What is under way when the signal aborts is left to end by itself: it only reads, or may be done twice. */
async function unlessAborted<T>(
  work: () => Promise<T>,
  signal: AbortSignal,
): Promise<{ readonly value: T } | undefined> {
  if (signal.aborted) return undefined
  let stop = () => {}
  const aborted = new Promise<undefined>((resolve) => {
    stop = () => resolve(undefined)
    signal.addEventListener('abort', stop)
  })
  try {
    return await Promise.race([work().then((value) => ({ value })), aborted])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
