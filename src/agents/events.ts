import type { JsonObject } from '../contract/json.ts'

/** Why a prompt has ended. Nothing but the program's last event decides it; `crashed` is said when there was none. */
export type ResultReason =
  /** The agent says that it is done. Whether that is true, a gate decides. */
  | 'completed'
  /** The agent gave up, or the program failed in a way of its own. */
  | 'failed'
  /** The account's quota is used up; `rate_limited` said until when, if that is known. */
  | 'quota'
  /** The model's service could not serve: too much load, an error of its own, not reached. */
  | 'overloaded'
  /** Not logged in, or the key is wrong. */
  | 'auth'
  | 'billing'
  /** A limit of money that the program was given. */
  | 'budget'
  | 'max_turns'
  | 'prompt_too_long'
  /** Stopped by us. */
  | 'interrupted'
  /** Something that a retry does not change: an unknown model, session or argument. */
  | 'configuration'
  /** The process ended, or cannot be understood any more, before its last event. */
  | 'crashed'

/** Tokens and money; of a field that the program does not tell there is none. */
export interface Usage {
  readonly input?: number
  readonly output?: number
  readonly cacheRead?: number
  readonly cacheWrite?: number
  readonly costUsd?: number
}

/**
 * What an agent's program says, whatever program it is. All times are Unix milliseconds. Texts are bounded (64 KiB, then their
 * beginning and end). Every event is a sign of life of the program; `activity` is nothing else.
 */
export type AgentEvent =
  /** The program has understood its orders; once, or again after a resume. */
  | {
      readonly kind: 'initialised'
      /** Its own id of the session, to resume it by. */
      readonly nativeId?: string
      readonly model?: string
      readonly version?: string
    }
  /** Text of the agent (`answer`, `thought`), whole and not in pieces, or a line of the program beside its protocol. */
  | {
      readonly kind: 'output'
      readonly from: 'answer' | 'thought' | 'stdout' | 'stderr'
      readonly text: string
    }
  | { readonly kind: 'tool_started'; readonly id: string; readonly name: string; readonly input: string }
  /** `ok` is what the program says of the call, not whether a command in it has succeeded. */
  | { readonly kind: 'tool_ended'; readonly id: string; readonly ok: boolean; readonly output: string }
  /** A sign of life: a request has gone out, an open tool (`id`) is known to run. */
  | { readonly kind: 'activity'; readonly what: string; readonly id?: string }
  /** `total`: of the whole prompt, and stands for all `step`s of it before; `step`: of one answer of the model. */
  | { readonly kind: 'usage'; readonly of: 'step' | 'total'; readonly usage: Usage }
  /** The account's quota: `near` is a warning, `reached` stops work until `until`. */
  | {
      readonly kind: 'rate_limited'
      readonly state: 'near' | 'reached'
      readonly until?: number
      /** Which limit, in the program's words (`five_hour`). */
      readonly limit?: string
      readonly usedPercent?: number
    }
  /** A request failed and the program tries again by itself, at `at` when that is known. */
  | {
      readonly kind: 'retrying'
      readonly cause: ResultReason
      readonly attempt?: number
      readonly at?: number
      readonly detail: string
    }
  /** Waits for a human's words. Several questions are numbered lines; the lines of the answer are theirs in order. */
  | {
      readonly kind: 'question'
      readonly id: string
      readonly text: string
      readonly options: readonly string[]
    }
  /** Waits until a tool call is allowed or denied; `decided` when the rules of the role have done so already. */
  | {
      readonly kind: 'permission'
      readonly id: string
      readonly tool: string
      readonly input: string
      readonly decided?: 'allow' | 'deny'
    }
  /** The model has given one answer and the tools it called for are over: nothing is open, a good moment to end. */
  | { readonly kind: 'turn_ended' }
  /** One for every prompt, and its last event. `detail` is the last answer or the program's own words for the failure. */
  | {
      readonly kind: 'result'
      readonly ok: boolean
      readonly reason: ResultReason
      readonly detail: string
      /** What the program said beside it, as evidence: status codes, its own reason. */
      readonly native?: JsonObject
      /** Tool calls that were denied: a completed prompt may have done nothing. */
      readonly denied?: readonly string[]
    }
  /** Something that this version does not know: no fault, and no more than a sign of life. */
  | { readonly kind: 'unknown'; readonly type: string }

export type ResultEvent = Extract<AgentEvent, { readonly kind: 'result' }>
