import type { Database, Holdings } from '../contract/context.ts'
import type { FixRequest } from '../contract/errors.ts'
import type { Json } from '../contract/json.ts'
import type { Standing } from './authority.ts'
import type { Use } from './connections.ts'
import type { Prepared } from './prepare.ts'
import type { ProcessState } from './process-state.ts'

/** What a request notes while it runs, for its envelope. */
export interface Notes {
  next?: FixRequest
  replayed?: true
  /** As whom it ran. */
  standing?: Standing
}

/** What a request runs with. Its parts share the database; a part of a transaction has its own. */
export interface Scope {
  /** Connects on first use; until the request is answered. */
  readonly connection: () => Use
  readonly db: () => Database
  readonly holdings: () => Holdings
  readonly key: string
  readonly signal: AbortSignal
  readonly emit: (lines: readonly Json[]) => Promise<void>
  readonly notes: Notes
  /** Of the request that this one is a part of. */
  readonly standing?: Standing
}

/**
 * The scope of an outermost request. `end` ends its wait, as `asked` does once it aborts; call `done` when it has been answered.
 */
export function openScope(
  state: ProcessState,
  request: Prepared,
  emit: Scope['emit'],
  asked?: AbortSignal,
): { scope: Scope; end: () => void; done: () => void } {
  const { rid, waits } = request
  const cancellable = waits && rid !== undefined
  const own = cancellable || (waits && state.authority.hasToken) ? new AbortController() : undefined
  if (cancellable && own) state.waiting.set(rid, own)
  const signals = [state.stop.signal, ...(own ? [own.signal] : []), ...(asked ? [asked] : [])]
  let use: Use | undefined
  const connection = () => {
    use ??= state.connect(request)
    return use
  }
  return {
    scope: {
      connection,
      db: () => connection().db,
      holdings: () => connection().holdings,
      key: request.write.idem ?? state.newKey(),
      signal: signals.length > 1 ? AbortSignal.any(signals) : state.stop.signal,
      emit,
      notes: {},
    },
    end: () => own?.abort(),
    done: () => {
      use?.release()
      if (cancellable && state.waiting.get(rid) === own) state.waiting.delete(rid)
    },
  }
}
