/** The limits and times that decisions go by. Durations in ms; money in US dollars; tokens are input, output and cache writes. */
export interface Rules {
  /** Which adapter serves a role of the run, with the accounts that it may use, in order. Agents of other roles get nothing. */
  readonly roles: Readonly<Record<string, RoleRule>>
  /** What beads become by what they are, in order: the first that matches decides. */
  readonly translations?: readonly Translation[]
  /** Sessions at once, by what they are counted by; absent: no limit. */
  readonly limits: {
    readonly run?: number | undefined
    readonly role?: Readonly<Record<string, number>> | undefined
    readonly adapter?: Readonly<Record<string, number>> | undefined
    readonly host?: number | undefined
  }
  readonly budgets: {
    readonly run_usd?: number | undefined
    readonly run_tokens?: number | undefined
    readonly day_usd?: number | undefined
    readonly day_tokens?: number | undefined
    readonly bead_usd?: number | undefined
    readonly bead_tokens?: number | undefined
    /** Of each account, a day. */
    readonly account_usd?: number | undefined
    readonly account_tokens?: number | undefined
    /** Wall time since the run began; of all sessions of a bead together. */
    readonly run_ms?: number | undefined
    readonly bead_ms?: number | undefined
  }
  readonly spawn_per_tick: number
  /** Sessions that may fail, crash or get stuck over the life of a bead. */
  readonly failures_per_bead: number
  readonly host_lost_ms: number
  readonly min_free_disk_mb: number
  readonly supervision: {
    /** More failures of one agent than this in `period_ms` set it aside for as long. */
    readonly intensity: number
    readonly period_ms: number
    readonly first_delay_ms: number
    readonly longest_delay_ms: number
    /** A session that lived so long was healthy: what came before it does not count. */
    readonly healthy_ms: number
    /** So many lives in a row shorter than `short_life_ms` are churn. */
    readonly churn_lives: number
    readonly short_life_ms: number
    /** More failures than `meltdown_failures`, of more than half of the pool, within `meltdown_ms`. */
    readonly meltdown_failures: number
    readonly meltdown_ms: number
  }
  /** An overload is forgotten after so long without another. */
  readonly overload_ms: number
  /** After an overload, one more session at once for each of these. */
  readonly overload_step_ms?: number
  /** How long an account rests that is used up and does not say until when. */
  readonly quota_unknown_ms?: number
}

export interface RoleRule {
  readonly adapter: string
  readonly model?: string
  readonly accounts: readonly string[]
}

/** One rule: what a bead must be, and what becomes of it then. What is absent stays as it is without the rule. */
export interface Translation {
  /** From 1, as they stand in the configuration. */
  readonly number: number
  readonly name?: string
  readonly match: {
    readonly types?: readonly string[]
    readonly labels?: readonly string[]
    /** Both ends belong to it; 0 is p0. */
    readonly priority?: { readonly from: number; readonly to: number }
    readonly title?: string
  }
  readonly workflow?: string
  readonly role?: string
  /** How sessions of the run's roles are run, where the rule names an adapter or a model. */
  readonly roles?: Readonly<Record<string, RoleRule>>
  readonly budget_usd?: number
  readonly budget_tokens?: number
}

export const DEFAULT_RULES: Rules = {
  roles: {},
  limits: {},
  budgets: {},
  spawn_per_tick: 5,
  failures_per_bead: 8,
  host_lost_ms: 15_000,
  min_free_disk_mb: 512,
  supervision: {
    intensity: 5,
    period_ms: 600_000,
    first_delay_ms: 10_000,
    longest_delay_ms: 300_000,
    healthy_ms: 600_000,
    churn_lives: 3,
    short_life_ms: 300_000,
    meltdown_failures: 5,
    meltdown_ms: 300_000,
  },
  overload_ms: 900_000,
  overload_step_ms: 30_000,
  quota_unknown_ms: 300_000,
}
