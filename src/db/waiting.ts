import { setMaxListeners } from 'node:events'
import type { Listener } from './listener.ts'

/** Waiters look again after this long in any case: a wake-up may be lost. */
const POLL_MS = 1_000

/** What each waiter, known by its signal, had been told of each repo when it last went to read. */
const seen = new WeakMap<AbortSignal, Map<string | null, number>>()

/**
 * Resolves when something may have changed in `repo` (null: in any), after `timeoutMs` or one second, or when `signal` aborts. A change that was
 * announced while the same waiter was reading, between two of its waits, is not slept through.
 */
export function waitForWake(
  listener: Listener,
  repo: string | null,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  const known = seen.get(signal) ?? new Map<string | null, number>()
  // one signal may stop any number of waiters
  if (!seen.has(signal)) setMaxListeners(0, signal)
  seen.set(signal, known)
  const before = known.get(repo)
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      stop()
      signal.removeEventListener('abort', done)
      known.set(repo, listener.version(repo))
      resolve()
    }
    const timer = setTimeout(done, Math.min(timeoutMs, POLL_MS))
    const stop = listener.onWake(repo, done)
    signal.addEventListener('abort', done)
    if (signal.aborted || timeoutMs <= 0 || (before !== undefined && before !== listener.version(repo)))
      done()
  })
}
