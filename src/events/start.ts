import type { CommandContext } from '../contract/command.ts'
import { pauseOrAbort } from '../contract/pause.ts'
import { settling } from './horizon.ts'
import { openTransaction, type StreamLines } from './lines.ts'
import { retryWhileAway } from './while-away.ts'

/**
 * The place `now`: everything up to it is final, so whoever begins there misses nothing that commits later. A transaction that
 * may still write below it is waited for, and the stream says so. Undefined when the signal aborts or the deadline passes before.
 */
export async function settledNow(
  ctx: CommandContext,
  lines: StreamLines,
  { signal, deadline }: { readonly signal: AbortSignal; readonly deadline: number | undefined },
): Promise<number | undefined> {
  const gap = settling(ctx.db)
  for (;;) {
    const checked = await retryWhileAway(() => gap.check(), {
      signal,
      deadline,
      onAway: (ms, { code }) => lines.stalled(ms, { reason: code }),
    })
    if (!checked || checked.value !== undefined) return checked?.value
    if (deadline !== undefined && performance.now() >= deadline) return undefined
    await lines.stalled(gap.heldMs(), openTransaction(gap.pid()))
    await pauseOrAbort(gap.pauseMs(), signal)
  }
}
