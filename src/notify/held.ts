import type { CommandContext } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import { type NamedCursor, takeCursor } from '../events/named-cursor.ts'
import { retryWhileAway } from '../events/while-away.ts'

/** How long a cursor stays with a process that has died. */
const LEASE_MS = 5_000

/** A cursor that is held, and how long before it was taken it had been moved, in ms by the clock of the database. */
export interface Held {
  readonly cursor: NamedCursor
  readonly restedMs: number
}

export interface WhileHeldOptions {
  readonly name: string
  /** Where a cursor that does not exist yet begins. */
  readonly start: () => Promise<number>
  readonly signal: AbortSignal
  /** Told when another process has taken it, as happens to one that was frozen for longer than the lease. */
  readonly onLost: () => Promise<void>
  /** Ends when the signal aborts. */
  readonly work: (held: Held) => Promise<void>
}

/** Does `work` while the cursor is held, again each time that it can be taken, until the signal aborts. Others who want it wait. */
export async function whileHeld(ctx: CommandContext, options: WhileHeldOptions): Promise<void> {
  const { name, start, signal, onLost, work } = options
  while (!signal.aborted) {
    const rested = await patiently(signal, () => restedMs(ctx, name))
    if (!rested) return
    const cursor = await takeCursor(ctx, {
      ...{ name, start, ifBusy: 'wait', leaseMs: LEASE_MS, deadline: undefined, signal },
    })
    if (typeof cursor === 'number') return
    try {
      await work({ cursor, restedMs: rested.value })
    } catch (error) {
      if (!(error instanceof SwarmError) || error.code !== 'CONFLICT' || error.ctx.cursor !== name)
        throw error
      await onLost()
    } finally {
      await cursor.release()
    }
  }
}

/** Does something until the database is there; undefined when the signal aborts before. */
export function patiently<T>(signal: AbortSignal, work: () => Promise<T>) {
  return retryWhileAway(work, { signal, deadline: undefined, onAway: async () => {} })
}

async function restedMs(ctx: CommandContext, name: string): Promise<number> {
  const [row] = await ctx.db.read<{ ms: number }>(
    `select (extract(epoch from clock_timestamp() - updated_at) * 1000)::float8 as ms from swarm.cursors where repo_id = $1 and name = $2`,
    [ctx.repo, name],
  )
  return row?.ms ?? 0
}
