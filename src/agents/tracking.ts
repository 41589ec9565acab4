import type { AgentEvent, ResultEvent } from './events.ts'

/** What a session's events add up to. Times are those of the caller's clock. */
export interface SessionTrack {
  readonly nativeId?: string
  readonly model?: string
  readonly initialised: boolean
  readonly turns: number
  readonly toolCalls: number
  readonly openTools: readonly { readonly id: string; readonly name: string; readonly since: number }[]
  /** Questions and permission requests that wait for an answer. */
  readonly asking: readonly {
    readonly id: string
    readonly kind: 'question' | 'permission'
    readonly since: number
  }[]
  readonly lastEventAt?: number
  readonly lastToolAt?: number
  /** Until when the account's quota is used up, when known. */
  readonly limitedUntil?: number
  /** Of the last prompt; absent while it is worked on. */
  readonly result?: ResultEvent
}

/** A program that waits so long before it tries again is held, not at work; in ms. */
export const LONG_WAIT_MS = 30_000

export const NEW_TRACK: SessionTrack = {
  initialised: false,
  turns: 0,
  toolCalls: 0,
  openTools: [],
  asking: [],
}

/** The track after one more event. Pure. */
export function track(before: SessionTrack, event: AgentEvent, at: number): SessionTrack {
  const now = { ...before, lastEventAt: at }
  switch (event.kind) {
    case 'initialised':
      return {
        ...now,
        initialised: true,
        ...(event.nativeId === undefined ? {} : { nativeId: event.nativeId }),
        ...(event.model === undefined ? {} : { model: event.model }),
      }
    case 'tool_started': {
      const { id, name } = event
      const openTools = [...now.openTools.filter((tool) => tool.id !== id), { id, name, since: at }]
      return { ...now, toolCalls: now.toolCalls + 1, lastToolAt: at, openTools }
    }
    case 'tool_ended':
      return { ...now, lastToolAt: at, openTools: now.openTools.filter(({ id }) => id !== event.id) }
    case 'question':
    case 'permission': {
      if (event.kind === 'permission' && event.decided) return now
      return { ...now, asking: [...now.asking, { id: event.id, kind: event.kind, since: at }] }
    }
    case 'rate_limited':
      return event.state === 'reached' && event.until !== undefined
        ? { ...now, limitedUntil: event.until }
        : now
    case 'retrying':
      return event.at !== undefined && event.at - at >= LONG_WAIT_MS
        ? { ...now, limitedUntil: event.at }
        : now
    case 'turn_ended':
      return { ...now, turns: now.turns + 1 }
    case 'result':
      return { ...now, openTools: [], asking: [], result: event }
    default:
      return now
  }
}

/** A question or permission request has been answered. Pure. */
export function answered(before: SessionTrack, id: string): SessionTrack {
  return { ...before, asking: before.asking.filter((one) => one.id !== id) }
}

/** Another prompt, or a word to the current one, has been given: there is no result of it yet. Pure. */
export function prompted(before: SessionTrack): SessionTrack {
  const { result: _done, ...rest } = before
  return rest
}
