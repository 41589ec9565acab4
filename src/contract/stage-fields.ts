import * as z from 'zod'
import { BEAD_STATUSES, OUTCOMES, TRANSITIONS } from './fields.ts'

/** Input fields that the verbs of the stage runner share. */
export const command = z
  .array(z.string().max(32_768))
  .min(1)
  .max(256)
  .describe('binary and arguments, one item each; no shell reads them')
export const timeoutMs = z
  .int()
  .min(1)
  .max(86_400_000)
  .describe('how long the command may run; the stage’s own limit by default, 3,000 where none is set')
/** How long a gate, and the command of run-once, may run where nothing else is said. */
export const DEFAULT_TIMEOUT_MS = 3_000
export const withDatabase = z
  .boolean()
  .describe('let the command have the database’s password from the environment')

/** What an answer says of a command that was run. */
export const ran = z.object({
  bead_id: z.string(),
  stage: z.string(),
  attempt: z.int(),
  gate: z.boolean().describe('true when it was the gate of the stage'),
  outcome: z.enum(OUTCOMES),
  ended: z.enum(['exited', 'signaled', 'timed_out', 'missing']),
  exit_code: z.int().optional(),
  signal: z.string().optional(),
  duration_ms: z.int(),
  output: z.string().describe('the end of what it wrote'),
  cut_bytes: z.int().optional().describe('bytes of output that were not kept'),
})
export type Ran = z.output<typeof ran>

/** What `work` answers of one claim. */
export const worked = z.object({
  bead_id: z.string(),
  stage: z.string().describe('the stage that the command was run for'),
  attempt: z.int(),
  outcome: z.enum(OUTCOMES).optional().describe('absent when the bead was given back'),
  transition: z.enum(TRANSITIONS).optional(),
  by_command: z
    .boolean()
    .optional()
    .describe('true when the command itself completed the stage or released the bead'),
  exit_code: z.int().optional(),
  ended: z
    .enum(['signaled', 'timed_out', 'missing'])
    .optional()
    .describe('how the command ended when it did not exit; missing: it could not start'),
  gate: z
    .enum(OUTCOMES)
    .optional()
    .describe('how the gate of the stage ended; it is run after a command that passed'),
  output: z.string().optional().describe('the end of what was written, when it did not pass'),
  reason: z.enum(['shutdown', 'cancelled', 'max_hold']).optional().describe('why the bead was given back'),
  ms: z.int().describe('how long the command ran'),
  status: z.enum(BEAD_STATUSES).describe('of the bead now'),
  next_stage: z.string().describe('the stage that the bead is at now'),
})
export type Worked = z.output<typeof worked>

/** There was nothing to claim. */
export const workedNone = z.object({
  bead_id: z.null(),
  reason: z.string().describe('as claim-next says it, or cancelled'),
  pending: z.int().optional(),
  in_progress: z.int().optional(),
})
export type WorkedNone = z.output<typeof workedNone>
