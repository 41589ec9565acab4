import type { CommandContext } from '../contract/command.ts'
import { pauseOrAbort } from '../contract/pause.ts'
import { readFunction } from '../runtime/read.ts'

/** How long a leader leads after its last renewal, in ms. */
export const LEASE_MS = 5_000
const RENEW_MS = 1_500
/** A leader stops this long before others may take over: what it has begun must reach the database before. */
const MARGIN_MS = 500

interface Answer {
  readonly leading: boolean
  readonly holder: string
  readonly term: number
  readonly beat: number
}

/** Who leads the repo, as this process knows it. */
export interface Leadership {
  /** The term under which this process leads now; undefined when it does not. */
  term(): number | undefined
  /** Renews or watches until the signal aborts, then steps down. */
  run(signal: AbortSignal): Promise<void>
}

/**
 * Leadership is a row with a term. Clocks are our own and never compared with others': a leader counts from before it asked, a stand-by
 * counts how long it has seen the same beat. Whoever wakes too late is refused by the term in every statement. `onLead` is called when this
 * process begins to lead.
 */
export function createLeadership(
  ctx: CommandContext,
  clock: () => number = () => performance.now(),
  onLead: () => void = () => {},
): Leadership {
  let led: { readonly term: number; readonly until: number } | undefined
  let seen: { readonly beat: number; readonly since: number } | undefined

  const ask = async (): Promise<void> => {
    const asked = clock()
    const watched = seen !== undefined && asked - seen.since >= LEASE_MS ? seen.beat : null
    const answer = await readFunction<Answer>(
      ctx,
      'lead',
      ctx.repo,
      ctx.holder,
      LEASE_MS,
      led?.term ?? null,
      watched,
    )
    if (answer.leading) {
      const isNew = led === undefined
      led = { term: answer.term, until: asked + LEASE_MS - MARGIN_MS }
      seen = undefined
      if (isNew) onLead()
    } else {
      led = undefined
      if (seen?.beat !== answer.beat) seen = { beat: answer.beat, since: clock() }
    }
  }

  return {
    term: () => (led !== undefined && clock() < led.until ? led.term : undefined),
    async run(signal) {
      while (!signal.aborted) {
        // a database that is away ends the leadership by time alone
        await ask().catch(() => {})
        await pauseOrAbort(RENEW_MS, signal)
      }
      const term = led?.term
      led = undefined
      if (term !== undefined) await readFunction(ctx, 'step_down', ctx.repo, ctx.holder, term).catch(() => {})
    },
  }
}
