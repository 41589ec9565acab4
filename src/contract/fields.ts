import * as z from 'zod'

/** Field types shared by the verbs. A verb uses these and adds a description only where its meaning differs. */

export const MAX_ID = 2_147_483_647

export const agentId = z.int().min(1).max(MAX_ID).describe('number of the agent, from register')

/** Text that says something: not empty, not only blanks. */
export function text(max: number) {
  return z.string().min(1).max(max).regex(/\S/, { error: 'must not be blank' })
}

export const beadId = text(200).describe('id of the bead')
/** What the id of a new bead may be. Beads of earlier versions have others. */
export const BEAD_ID = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,199}$/
export const newBeadId = z.string().regex(BEAD_ID, {
  error: 'must be up to 200 letters, digits and . _ : - and start with a letter or digit',
})
/** Two spellings of the same letters are one name. */
export function name(max: number) {
  return text(max).overwrite((given) => given.normalize('NFC'))
}
export const stageName = text(64).describe('name of a stage of the workflow')
export const fence = z.int().min(0).describe('the number that came with the claim')
export const leaseMs = z
  .int()
  .min(1_000)
  .max(86_400_000)
  .describe('how long the claim lasts without a sign of life, in ms')
export const waitMs = z
  .int()
  .min(0)
  .max(600_000)
  .describe('wait for up to this many ms instead of answering none at once')
export const label = text(200)
export const labels = z.array(label).max(64).describe('labels')
/** The largest JSON object that is kept with a bead, message, artifact or event, in bytes as JSON. */
export const MAX_OBJECT_BYTES = 262_144
export const metadata = z
  .record(z.string(), z.json())
  .refine(isSmall, { error: `must be at most ${MAX_OBJECT_BYTES} bytes as JSON` })
  .describe('free JSON object of at most 256 KiB, kept as given')
export const role = text(64).describe('planner, test_writer, implementer, reviewer, or your own')
export const priority = z
  .union([
    z.enum(['p0', 'p1', 'p2', 'p3', 'p4']),
    z
      .int()
      .min(0)
      .max(4)
      .transform((n) => PRIORITIES[n] ?? 'p2'),
  ])
  .describe('p0 (first) to p4, or 0 to 4')
export const eventType = z
  .string()
  .regex(/^[a-z][a-z0-9_]{0,63}$/, { error: 'must be lower case letters, digits and _' })
  .describe('kind of event, like progress or stage_completed')
/** There is no year 0, and no place is further than 16 hours from UTC: Postgres reads neither. */
export const timestamp = z.iso
  .datetime({ offset: true })
  .regex(/^(?!0000).*(?:Z|[+-](?:0\d|1[0-5]):\d\d)$/, {
    error: 'must be a time of the year 1 or later, within 16 hours of UTC',
  })
  .describe('ISO 8601 time, UTC')

export const PRIORITIES = ['p0', 'p1', 'p2', 'p3', 'p4'] as const
export const BEAD_STATUSES = [
  'pending',
  'in_progress',
  'completed',
  'blocked',
  'failed',
  'deferred',
  'cancelled',
] as const
export const AGENT_STATUSES = ['idle', 'working', 'waiting', 'error', 'done', 'absent'] as const
export const STAGE_STATUSES = ['started', 'passed', 'failed', 'error'] as const
export const OUTCOMES = ['passed', 'failed', 'error'] as const
export const TRANSITIONS = ['advance', 'retry', 'finalize', 'block', 'noop'] as const
export const MESSAGE_TYPES = [
  'contract_ready',
  'implementation_ready',
  'qa_complete',
  'qa_failed',
  'red_queen_failed',
  'implementation_retry',
  'artifact_available',
  'stage_complete',
  'stage_failed',
  'blocking_issue',
  'coordination',
] as const
export const ARTIFACT_TYPES = [
  'contract_document',
  'requirements',
  'system_context',
  'invariants',
  'data_flow',
  'implementation_plan',
  'acceptance_criteria',
  'error_handling',
  'test_scenarios',
  'validation_gates',
  'success_metrics',
  'implementation_code',
  'modified_files',
  'implementation_notes',
  'test_output',
  'test_results',
  'coverage_report',
  'validation_report',
  'failure_details',
  'adversarial_report',
  'regression_report',
  'quality_gate_report',
  'stage_log',
  'retry_packet',
  'skill_invocation',
  'error_message',
  'feedback',
] as const

/** In every answer of an agent's loop. */
export const unread = z
  .int()
  .optional()
  .describe('messages and broadcasts to read with inbox; absent when there are none')

/** What is said where there is nothing to do. */
export const nothingToDo = {
  done: z
    .int()
    .optional()
    .describe('beads that are completed or cancelled; this and the next stop at 10,000'),
  blocked: z.int().optional().describe('beads that wait for a person'),
  in_progress: z.int().optional(),
  pending: z.int().optional(),
  waiting_for: z
    .array(z.object({ bead_id: z.string(), agent_id: z.int(), stage: z.string() }))
    .optional()
    .describe('who is at work on what; five at most'),
}

export const beadStatus = z.enum(BEAD_STATUSES)
export const messageType = z.enum(MESSAGE_TYPES)
export const artifactType = z.enum(ARTIFACT_TYPES)

/** How long text may be. Beyond it a request is refused, never cut. */
export const LIMITS = {
  title: 500,
  description: 262_144,
  body: 262_144,
  feedback: 65_536,
  content: 524_288,
  note: 4_096,
  reason: 4_096,
} as const

/** An agent by number, or anybody else by name: an operator, a script. */
export const who = z.union([agentId, name(64)]).describe('number of the agent, or a name for who is none')
export const resource = text(500).describe('what is locked: a path, a port, any name')

/** A place in the event log: a sequence number, or `<log_id>:<seq>` as it was handed out. */
export const logPosition = z.union([
  z.int().min(0),
  z
    .string()
    .regex(/^(?:[0-9a-z]{1,32}:)?\d{1,15}$/, { error: 'must be a sequence number or <log_id>:<seq>' }),
])
export const cursorName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, {
    error: 'must be letters, digits and . _ - and start with a letter or digit',
  })
  .describe('name of a cursor kept in the database')
export const repoId = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$/, {
  error: 'must be letters, digits and . _ / - and start with a letter or digit',
})

function isSmall(object: object): boolean {
  return Buffer.byteLength(JSON.stringify(object)) <= MAX_OBJECT_BYTES
}
