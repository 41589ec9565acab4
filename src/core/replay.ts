import { isDeepStrictEqual } from 'node:util'
import type { Action, Decision } from './actions.ts'
import { decide } from './decide.ts'
import type { Rules } from './rules.ts'
import type { Snapshot } from './snapshot.ts'

/** One look of a leader at everything: what it saw, by which rules, and what it decided. A line of a recorded history. */
export interface TickRecord {
  readonly version: 1
  /** ISO 8601, by the clock of the leader's machine. */
  readonly at: string
  readonly run_id: string
  readonly term: number
  readonly rules: Rules
  readonly snapshot: Snapshot
  readonly decision: Decision
}

/** What is decided of the same facts now. */
export interface Replayed extends Decision {
  /** The actions, their reasons and what waits are those that were recorded. */
  readonly same: boolean
}

/** Decides a recorded look again. Throws what `decide` throws of facts that are none. */
export function replay({ snapshot, rules, decision }: TickRecord): Replayed {
  const again = decide(snapshot, rules)
  return { ...again, same: isDeepStrictEqual(plain(again), plain(decision)) }
}

/** As it is after JSON: keys without a value are not there. */
function plain(decision: Decision): unknown {
  const parsed: unknown = JSON.parse(JSON.stringify(decision))
  return parsed
}

/** True when a leader has seen or decided something else than at the look before: only then is it worth a line. */
export function isNews(decision: Decision, before: Decision | undefined): boolean {
  return decision.actions.length > 0 || !isDeepStrictEqual(decision.waiting, before?.waiting)
}

/** What an action is about, besides its kind and reason: for people. */
export function subjectOf(action: Action): string {
  switch (action.kind) {
    case 'assign':
      return `${action.bead_id} at ${action.stage} to agent ${action.agent_id} on ${action.host_id}`
    case 'end_session':
      return `${action.session_id} (${action.wanted})`
    case 'translate':
      return `${action.bead_id} to ${action.workflow}`
    case 'host_lost':
      return action.host_id
    case 'block_bead':
      return action.bead_id
    case 'wave_started':
    case 'wave_completed':
      return `wave ${action.number}`
    case 'warn':
      return action.event
    case 'adopt':
    case 'pause':
    case 'complete':
    case 'stopped':
      return 'the run'
  }
}
