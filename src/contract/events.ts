import * as z from 'zod'

/** What went wrong and what to do, in and out: these four keys, nothing else. */
export const diagnostics = z.strictObject({
  category: z.string().min(1).max(64),
  retryable: z.boolean(),
  next_command: z.string().max(4_096).optional(),
  detail: z.string().max(4_096).optional(),
})

/** A row of the event log as it is sent. Absent values are left out. */
export const eventRow = z.object({
  sequence: z.int(),
  payload_version: z.int(),
  timestamp: z.string().describe('ISO 8601, UTC'),
  event_type: z.string(),
  entity_id: z.string(),
  bead_id: z.string().optional(),
  agent_id: z.int().optional(),
  stage: z.string().optional(),
  causation_id: z.string().optional(),
  run_id: z.string().optional(),
  session_id: z.string().optional(),
  origin: z
    .enum(['system', 'client'])
    .describe('client: recorded by record-event, so it is what a client says'),
  principal: z.string().optional().describe('whose token recorded it, like agent:3'),
  diagnostics: diagnostics.optional(),
  payload: z.json(),
})
export type EventRow = z.output<typeof eventRow>

/** The types that swarm itself records. The list is open: others may record types of their own. */
export const EVENT_TYPES = [
  ...[
    'bead_enqueued',
    'bead_updated',
    'bead_claimed',
    'bead_released',
    'bead_complete',
    'lease_expired',
    'bead_translated',
  ],
  ...[
    'stage_started',
    'stage_completed',
    'artifact_stored',
    'state_change',
    'progress',
    'activity',
    'pr_created',
  ],
  ...[
    'transition_advance',
    'transition_retry',
    'transition_finalize',
    'transition_blocked',
    'transition_noop',
  ],
  ...[
    'message_sent',
    'message_overdue',
    'broadcast_sent',
    'agent_registered',
    'agent_status',
    'agent_failed',
  ],
  ...['agent_stuck', 'meltdown', 'budget_warning', 'budget_exceeded', 'rate_limited'],
  ...['lock_acquired', 'lock_renewed', 'lock_released'],
  ...['token_created', 'token_revoked'],
  ...['leftovers_removed'],
] as const

export const SEVERITIES = ['debug', 'info', 'warning', 'error', 'critical'] as const
export type Severity = (typeof SEVERITIES)[number]

/** Severity of the event types that are not `info`. */
const SEVERITY: Readonly<Record<string, Severity>> = {
  activity: 'debug',
  progress: 'debug',
  lock_acquired: 'debug',
  lock_renewed: 'debug',
  lock_released: 'debug',
  agent_status: 'debug',
  transition_noop: 'debug',
  artifact_stored: 'debug',
  lease_expired: 'warning',
  transition_retry: 'warning',
  message_overdue: 'warning',
  agent_stuck: 'warning',
  rate_limited: 'warning',
  budget_warning: 'warning',
  transition_blocked: 'error',
  agent_failed: 'error',
  budget_exceeded: 'error',
  meltdown: 'critical',
}

/** How much an event matters; types that nobody declared are `info`. */
export function severityOf(eventType: string): Severity {
  return SEVERITY[eventType] ?? 'info'
}

/**
 * The types of events that matter at least so much, as a list that can be looked for: with `below` it names those that matter less, since
 * the types are an open list and all others are `info`.
 */
export function typesFrom(least: Severity): { readonly types: readonly string[]; readonly below: boolean } {
  const rank = (severity: Severity) => SEVERITIES.indexOf(severity)
  const declared = Object.entries(SEVERITY)
  if (rank(least) > rank('info'))
    return {
      types: declared.flatMap(([type, one]) => (rank(one) >= rank(least) ? [type] : [])),
      below: false,
    }
  return { types: declared.flatMap(([type, one]) => (rank(one) < rank(least) ? [type] : [])), below: true }
}
