/** What a leader does, each with the reason that its event tells. */
export type Action = { readonly reason: string } & (
  | {
      readonly kind: 'assign'
      readonly bead_id: string
      readonly stage: string
      readonly agent_id: number
      readonly host_id: string
      readonly adapter: string
      readonly account: string
      readonly model?: string
      /** What it will probably use. */
      readonly reserve_usd?: number
      readonly reserve_tokens?: number
      /** Only where this look gives the bead its workflow: then nothing else will do. */
      readonly workflow?: string
      /** The rule that was for the bead, as people call it. */
      readonly rule?: string
    }
  /** A bead that has not begun gets the workflow of its rule, and stands at its first stage. */
  | {
      readonly kind: 'translate'
      readonly bead_id: string
      readonly workflow: string
      readonly rule: number
    }
  | {
      readonly kind: 'end_session'
      readonly session_id: string
      readonly wanted: 'budget' | 'budget_now' | 'shutdown' | 'superseded'
    }
  | { readonly kind: 'host_lost'; readonly host_id: string }
  | { readonly kind: 'block_bead'; readonly bead_id: string }
  | { readonly kind: 'pause' | 'complete' | 'stopped' }
  /** Beads that have come since are taken into the run. */
  | { readonly kind: 'adopt' }
  | { readonly kind: 'wave_started' | 'wave_completed'; readonly number: number }
  /** Told once for each `key`. */
  | {
      readonly kind: 'warn'
      readonly event: string
      readonly key: string
      readonly detail: Readonly<Record<string, number | string>>
    }
)

/** Why a ready bead is not worked on yet. */
export type Why =
  | 'run'
  | 'target'
  | 'wave'
  | 'budget'
  | 'question'
  | 'no_agent'
  | 'independent'
  | 'limit'
  | 'no_host'
  | 'no_adapter'
  | 'disk'
  | 'quota'
  | 'login'
  | 'throttled'
  | 'rule'
  | 'backoff'

export interface Waiting {
  readonly bead_id: string
  readonly why: Why
  /** One plain sentence. */
  readonly detail: string
}

export interface Decision {
  readonly actions: readonly Action[]
  readonly waiting: readonly Waiting[]
}
