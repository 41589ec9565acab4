import { isJsonObject, type Json } from '../../contract/json.ts'
import { pauseOrAbort } from '../../contract/pause.ts'
import { LIST_EVENTS, STATUS_URI, uriOf } from './uris.ts'

/** Changes are gathered for so long, in ms: a client hears of one thing five times a second at most. */
const GATHER_MS = 200
/** Pause before the log is read again when it could not be. */
const AGAIN_MS = 1_000

/** What a client may hear of: another list of resources, or other words at a URI. */
export type Change =
  | { readonly kind: 'resources_list_changed' }
  | { readonly kind: 'resource_updated'; readonly uri: string }

/** What changes in the swarm, for all that one client listens to. */
export interface Changes {
  /** Tells `listener` of what changes until the answer is called. The log is read while somebody listens. */
  listen(listener: (change: Change) => void): () => void
  /** Resolves once nothing is missed that changes from then on; at once when nobody listens or the log cannot be read now. */
  ready(): Promise<void>
}

/**
 * `follow` hands on the lines of a subscription to the log until `signal` aborts, and answers how it ended. `onOver` hears that nobody
 * who listens will be told any more.
 */
export function createChanges(
  follow: (take: (lines: readonly Json[]) => void, signal: AbortSignal) => Promise<'over' | 'again'>,
  onOver: () => void = () => {},
): Changes {
  const listeners = new Set<(change: Change) => void>()
  let stop = new AbortController()
  let begun: Promise<void> = Promise.resolve()
  let pending = new Map<string, Change>()
  let timer: NodeJS.Timeout | undefined

  const tell = () => {
    timer = undefined
    const changes = pending
    pending = new Map()
    for (const change of changes.values()) for (const listener of listeners) listener(change)
  }

  const read = async (signal: AbortSignal, onBegun: () => void) => {
    const take = (lines: readonly Json[]) => {
      onBegun()
      for (const change of lines.flatMap(changesOf)) pending.set('uri' in change ? change.uri : '', change)
      if (pending.size > 0) timer ??= setTimeout(tell, GATHER_MS)
    }
    while (!signal.aborted) {
      const end = await follow(take, signal)
      onBegun()
      if (signal.aborted) return
      if (end === 'over') return onOver()
      await pauseOrAbort(AGAIN_MS, signal)
    }
  }

  return {
    listen(listener) {
      listeners.add(listener)
      if (listeners.size === 1) {
        stop = new AbortController()
        const { signal } = stop
        begun = new Promise((resolve) => void read(signal, resolve))
      }
      return () => {
        if (!listeners.delete(listener) || listeners.size > 0) return
        stop.abort()
        clearTimeout(timer)
        timer = undefined
        pending = new Map()
      }
    },
    ready: () => (listeners.size > 0 ? begun : Promise.resolve()),
  }
}

/** An event is a change of the bead, the run and the session that it names, and of the numbers. */
function changesOf(line: Json): readonly Change[] {
  if (!isJsonObject(line) || line.kind !== 'event') return []
  const { bead_id, run_id, session_id, event_type } = line
  const uris = [STATUS_URI, uriOf('bead', bead_id), uriOf('run', run_id), uriOf('log', session_id)]
  return [
    ...uris.flatMap((uri): Change[] => (uri === undefined ? [] : [{ kind: 'resource_updated', uri }])),
    ...(LIST_EVENTS.test(String(event_type)) ? [{ kind: 'resources_list_changed' } as const] : []),
  ]
}
