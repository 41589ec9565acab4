import * as z from 'zod'

const FAULTS = [
  'hang_at_start',
  'exit_at_start',
  'no_result',
  'hang_after_result',
  'silent_tool',
  'quota',
  'overload',
  'fake_done',
  'failed',
  'fork_and_leave',
  'crash',
  'flood',
  'ignore_sigterm',
  'not_json',
  'long_line',
  'question',
  'permission',
  'dirty_tree',
  'conflict',
  'repeat_tool',
] as const

const fault = z.strictObject({
  fault: z.enum(FAULTS),
  beads: z.array(z.string()).optional().describe('only for these beads (SWARM_BEAD_ID)'),
  stages: z.array(z.string()).optional().describe('only in these stages (SWARM_STAGE)'),
  attempts: z.array(z.int().min(1)).optional().describe('only in these attempts (SWARM_ATTEMPT, else 1)'),
  chance: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .describe('how often, told by the seed, bead, stage and attempt'),
  ms: z.int().min(0).max(86_400_000).optional().describe('silent_tool: its length; quota: time to its reset'),
  busy: z.boolean().optional().describe('silent_tool: the child computes instead of sleeping'),
  bytes: z.int().min(1).max(200_000_000).optional().describe('of flood and long_line'),
  code: z.int().min(0).max(255).optional().describe('exit code of exit_at_start and no_result'),
})

/** What the demo agent does: its work, and the faults on the way. */
export const demoScriptSchema = z.strictObject({
  seed: z.int().optional(),
  pace_ms: z.int().min(0).max(3_600_000).optional().describe('length of its work; 20 by default'),
  file: z.string().optional().describe('which file it edits; demo/<bead>.txt by default'),
  faults: z.array(fault).optional(),
})

export type DemoScript = z.output<typeof demoScriptSchema>
export type DemoFault = z.output<typeof fault>
export type DemoFaultName = DemoFault['fault']
