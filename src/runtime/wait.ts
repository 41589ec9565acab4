import type { CommandContext } from '../contract/command.ts'

/** What time alone brings about (leases that run out, messages that nobody acked) is looked for so often. */
const SWEEP_EVERY_MS = 1_000

/** Looks for what time alone brings about, at most once a second. For whoever waits: somebody has to. */
export function sweeper(ctx: CommandContext): () => Promise<void> {
  let sweptAt = Number.NEGATIVE_INFINITY
  return async () => {
    if (performance.now() - sweptAt < SWEEP_EVERY_MS) return
    sweptAt = performance.now()
    await ctx.db.read('select swarm.sweep($1)', [ctx.repo])
  }
}

/**
 * Asks `attempt` again whenever something changed in the repo, at least every second, for up to `waitMs`. The last call has
 * `last` true and its answer counts whatever it is. Undefined when the process was told to stop.
 */
export async function waitUntil<T>(
  ctx: CommandContext,
  waitMs: number,
  attempt: (last: boolean) => Promise<T | undefined>,
): Promise<T | undefined> {
  const end = performance.now() + waitMs
  const sweep = sweeper(ctx)
  while (!ctx.signal.aborted) {
    const left = end - performance.now()
    if (left <= 0) return attempt(true)
    await ctx.db.waitForChange(ctx.repo, Math.min(left, 1_000), ctx.signal)
    if (ctx.signal.aborted) return undefined
    await sweep()
    const answer = await attempt(performance.now() >= end)
    if (answer !== undefined) return answer
  }
  return undefined
}
