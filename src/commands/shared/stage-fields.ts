import * as z from 'zod'
import { OUTCOMES } from '../../contract/fields.ts'

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
