import type { TargetConfig } from '../contract/notify-config.ts'
import type { Notice } from './incidents.ts'
import type { Message } from './telegram.ts'

/**
 * What one attempt came to; `messages` are those that tell of the incident now. Where it failed, `verdict` says how it is gone on with:
 * `failed` is sent again at the times of `pauseAfter` and not before `askedMs`; `away` sooner; `later` after exactly `askedMs`; `closed` takes nothing until
 * somebody changes that; `refused` will never be taken. `why` holds no secret.
 */
export type Attempt =
  | { readonly ok: true; readonly messages: readonly Message[] }
  | {
      readonly ok: false
      readonly verdict: 'failed' | 'away' | 'later' | 'closed' | 'refused'
      readonly why: string
      readonly askedMs: number
    }

/** Somebody who is told. */
export interface Target {
  readonly name: string
  readonly config: TargetConfig
  /** Whether this notice is for it, given the messages that tell of its incident. */
  wants(notice: Notice, messages: readonly Message[]): boolean
  /** Sends once. Never throws. */
  send(repo: string, notice: Notice, messages: readonly Message[], signal: AbortSignal): Promise<Attempt>
}
