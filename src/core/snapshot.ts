/**
 * What a leader decides over: the answer of `swarm.snapshot`. Times are Unix milliseconds of the database's clock. Bounded by what is
 * active, never by the backlog: counts stop at a thousand.
 */
export interface Snapshot {
  readonly now_ms: number
  readonly run: RunFacts
  readonly counts: Counts
  readonly stages: readonly StageFacts[]
  readonly agents: readonly AgentFacts[]
  readonly hosts: readonly HostFacts[]
  /** Those of all runs that are open, and those of this run that ended in the last 15 minutes. */
  readonly sessions: readonly SessionFacts[]
  /** The next ready beads of the run, in the order of a claim. Beads that wait for landing are not among them. */
  readonly ready: readonly ReadyBead[]
  readonly quotas: readonly QuotaFacts[]
  readonly spent: Spent
  /** Of beads that are open, by bead. */
  readonly bead_spent: Readonly<
    Record<string, { readonly usd: number; readonly tokens: number; readonly ms?: number | null }>
  >
  /** Today, by account. */
  readonly account_spent?: Readonly<Record<string, { readonly usd: number; readonly tokens: number }>>
  /** What open sessions of the run will probably use besides what they have used. */
  readonly reserved?: { readonly usd: number; readonly tokens: number }
  /** What a session of the run that is over has used on average. */
  readonly typical?: { readonly usd: number; readonly tokens: number }
  /** Questions that nobody has answered. */
  readonly questions: number
  readonly waves: readonly { readonly number: number; readonly status: string }[]
  /**
   * The lowest wave with a bead that is ready or in progress; null when there is none or waves are not known. What waits for a
   * blocked bead does not keep its wave open.
   */
  readonly open_wave: number | null
}

export interface RunFacts {
  readonly run_id: string
  readonly status: 'starting' | 'running' | 'paused' | 'stopping' | 'stopped' | 'completed' | 'failed'
  readonly pause_reason: string | null
  /** How many beads are to land; null: all of them. */
  readonly target: number | null
  readonly waves: 'rolling' | 'strict'
  readonly started_ms: number
  /** When a person last went on with it: what has failed before is not held against anybody. */
  readonly resumed_ms?: number | null
  /** It goes on when everything has landed, and takes in what comes. */
  readonly continuous?: boolean
}

export interface Counts {
  readonly pending: number
  /** Pending, with no open blocker, and not at the stage `land`. */
  readonly ready: number
  readonly in_progress: number
  readonly blocked: number
  readonly landed: number
  /** Waiting for the landing train. */
  readonly landing: number
  /** Open beads of no run, counted for a continuous run that is running dry. */
  readonly free?: number
}

export interface StageFacts {
  readonly workflow: string
  readonly stage: string
  readonly position: number
  /** Null: any role but `swarm`. */
  readonly roles: readonly string[] | null
  readonly independent: 'prefer' | 'require' | null
}

export interface AgentFacts {
  readonly agent_id: number
  readonly role: string | null
  readonly busy: boolean
}

export interface HostFacts {
  readonly host_id: string
  /** Sessions at once, by role. */
  readonly capacity: Readonly<Record<string, number>>
  /** By name: a version, or why it cannot be used. */
  readonly adapters: Readonly<Record<string, { readonly version?: string; readonly missing?: string }>>
  /** Milliseconds since its last heartbeat. */
  readonly silent_ms: number
  readonly draining: boolean
  readonly free_disk_mb: number | null
}

export interface SessionFacts {
  readonly session_id: string
  readonly run_id: string
  readonly host_id: string
  readonly agent_id: number
  readonly role: string | null
  readonly adapter: string
  readonly account: string
  readonly bead_id: string
  readonly stage: string
  readonly status: 'assigned' | 'starting' | 'ready' | 'running' | 'held' | 'asking' | 'ending' | 'ended'
  readonly reason: string | null
  /** What it was told to end for; null: nothing. */
  readonly wanted: string | null
  readonly queued_ms: number
  readonly started_ms: number | null
  readonly ended_ms: number | null
  readonly deadline_ms: number | null
  /** What rules look at, of the bead of an open session of this run. */
  readonly bead?: BeadTraits | null
}

/** What rules look at. */
export interface BeadTraits {
  readonly title: string
  readonly bead_type: string
  readonly labels: readonly string[]
  /** `p0` to `p4`. */
  readonly priority: string
}

export interface ReadyBead extends BeadTraits {
  readonly bead_id: string
  readonly workflow: string
  readonly stage: string
  readonly wave: number | null
  /** `<host_id>:<path>` of the worktree in which it was worked on. */
  readonly workspace: string | null
  readonly created_ms: number
  /** How many beads wait for it. */
  readonly unblocks: number
  /** Whose work its stage checks, where that is independent. */
  readonly implementer: number | null
  /** Sessions over its life that failed, crashed or got stuck. */
  readonly failures: number
  /** A question about it that nobody has answered. */
  readonly asking?: boolean
  /** Nobody has named a workflow for it, and nobody has held it: a rule may give it one. */
  readonly unbegun?: boolean
}

export interface QuotaFacts {
  readonly account: string
  /** `limit`: nothing is admitted until `until_ms`; `overload`: fewer at once for a while after `seen_ms`. */
  readonly kind: string
  readonly used_percent: number | null
  readonly until_ms: number | null
  readonly seen_ms: number
}

export interface Spent {
  readonly run_usd: number
  readonly run_tokens: number
  readonly day_usd: number
  readonly day_tokens: number
}
