import { setImmediate as turn } from 'node:timers/promises'
import { within } from './within.ts'

const STEP_MS = 20
/** What goes on to come is read for so many times longer, at most. */
const MOST_TIMES = 20

/**
 * Waits until the output of a program that has ended is read to its end: `drained`. False when nothing more came for `ms`, as a process that
 * was left behind may hold the pipes open. Time alone does not end the wait: what was written while this process was busy lies
 * unread in the pipe when every timer is due already. `bytes` answers how much was read so far.
 */
export async function drain(drained: Promise<unknown>, ms: number, bytes: () => number): Promise<boolean> {
  const latest = performance.now() + ms * MOST_TIMES
  for (let quietMs = 0, seen = bytes(); quietMs < ms && performance.now() < latest; quietMs += STEP_MS) {
    if (await within(drained, STEP_MS)) return true
    // pipes are read between a timer and this
    await turn()
    const now = bytes()
    if (now !== seen) quietMs = 0
    seen = now
  }
  return within(drained, 0)
}
