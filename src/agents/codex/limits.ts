import type { JsonObject } from '../../contract/json.ts'
import type { AgentEvent } from '../events.ts'
import { numberOf, objectOf, present, textOf } from '../fields.ts'

const NEAR_PERCENT = 80

interface Window {
  readonly limit: string
  readonly usedPercent: number
  readonly until?: number
}

/** The fullest window of the account's limits; undefined when none is told. Resets come in seconds. */
export function fullestWindow(limits: JsonObject): Window | undefined {
  const windows = ['primary', 'secondary'].flatMap((key): readonly Window[] => {
    const window = objectOf(limits[key])
    const usedPercent = numberOf(window.usedPercent)
    const resets = numberOf(window.resetsAt)
    if (usedPercent === undefined) return []
    const limit = `${textOf(limits.limitId) ?? 'codex'}/${key}`
    return [{ limit, usedPercent, ...present({ until: resets === undefined ? undefined : resets * 1_000 }) }]
  })
  // of two that are used up, the one that is reset later holds longer
  return windows.toSorted((a, b) => b.usedPercent - a.usedPercent || (b.until ?? 0) - (a.until ?? 0))[0]
}

/** What an update of the limits says: nothing but a sign of life while there is room. */
export function limitEvent(window: Window | undefined): AgentEvent {
  if (!window || window.usedPercent < NEAR_PERCENT) return { kind: 'activity', what: 'quota is free' }
  return { kind: 'rate_limited', state: window.usedPercent >= 100 ? 'reached' : 'near', ...window }
}
