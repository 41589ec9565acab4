import * as z from 'zod'
import { AGENT_STATUSES, BEAD_STATUSES, STAGE_STATUSES } from './fields.ts'

/** The rows that lists answer, as the functions of schema.sql make them. Absent values are left out. */

export const beadRow = z.object({
  bead_id: z.string(),
  title: z.string(),
  status: z.enum(BEAD_STATUSES),
  priority: z.string(),
  stage: z.string(),
  attempt: z.int(),
  open_blockers: z.int(),
  bead_type: z.string(),
  labels: z.array(z.string()),
  not_for: z.int().optional().describe('the agent whose work its stage checks: another one does it'),
  description: z.string().optional().describe('this and what follows only with `full`'),
  workflow: z.string().optional(),
  retry_count: z.int().optional(),
  feedback: z.string().optional(),
  fence: z.int().optional(),
  verification_status: z.string().optional(),
  commit_hash: z.string().optional(),
  pr_url: z.string().optional(),
  created_at: z.string().optional(),
  updated_at: z.string().optional(),
  finished_at: z.string().optional(),
  metadata: z.json().optional(),
})

export const agentRow = z.object({
  agent_id: z.int(),
  name: z.string().optional(),
  role: z.string().optional(),
  status: z.enum(AGENT_STATUSES),
  bead_id: z.string().optional(),
  stage: z.string().optional(),
  last_update: z.string(),
  host: z.string().optional().describe('this and what follows only with `full`'),
  feedback: z.string().optional(),
  stage_started_at: z.string().optional(),
  implementation_attempt: z.int().optional(),
  created_at: z.string().optional(),
  unread: z.int().optional(),
})

export const claimRow = z.object({
  bead_id: z.string(),
  agent_id: z.int(),
  fence: z.int(),
  claimed_at: z.string(),
  heartbeat_at: z.string(),
  lease_expires_at: z.string(),
  remaining_ms: z.int().describe('0 when the lease has run out'),
})

export const lockRow = z.object({
  resource: z.string(),
  agent: z.string(),
  mode: z.enum(['exclusive', 'shared']),
  fence: z.int(),
  since: z.string(),
  until_at: z.string(),
  remaining_ms: z.int(),
})

export const attemptRow = z.object({
  bead_id: z.string(),
  stage: z.string(),
  attempt: z.int(),
  agent_id: z.int(),
  status: z.enum(STAGE_STATUSES),
  result: z.string().optional().describe('the transition, or why it ended without one'),
  feedback: z.string().optional(),
  started_at: z.string(),
  duration_ms: z.int().describe('until now while it runs'),
})

export const MESSAGE_STATES = ['queued', 'delivered', 'read', 'acked'] as const

export const messageExtras = {
  thread_id: z.int().optional().describe('the first message of its thread'),
  reply_to: z.int().optional(),
  importance: z.string().optional().describe('when it is not normal'),
  ack_required: z.boolean().optional(),
  deadline_at: z.string().optional().describe('by when it must be acked'),
}

export const messageRow = z.object({
  message_id: z.int(),
  from: z.int(),
  to: z.int(),
  message_type: z.string(),
  subject: z.string().optional(),
  bead_id: z.string().optional(),
  body: z.string(),
  ...messageExtras,
  at: z.string(),
  state: z.enum(MESSAGE_STATES),
  delivered_at: z.string().optional(),
  read_at: z.string().optional(),
  acked_at: z.string().optional(),
})

export const artifactRow = z.object({
  artifact_id: z.int(),
  stage: z.string(),
  attempt: z.int(),
  artifact_type: z.string(),
  trust: z.enum(['claimed', 'verified']),
  bytes: z.int(),
})
