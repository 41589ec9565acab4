import * as z from 'zod'
import { text } from './fields.ts'

export const runId = text(64).describe('like run-1a2b3c4d; the open run by default')
export const sessionId = text(64).describe('like s-1a2b3c4d')
export const reason = text(500).describe('kept in the event')

export const runRow = z.object({
  run_id: z.string(),
  status: z.enum(['starting', 'running', 'paused', 'stopping', 'stopped', 'completed', 'failed']),
  pause_reason: z.string().optional(),
  target: z.int().optional(),
  waves: z.enum(['rolling', 'strict']),
  agents: z.record(z.string(), z.int()).optional().describe('how many of each role'),
  adapter: z.string().optional().describe('for all roles, instead of the configuration'),
  landed: z.int(),
  started_at: z.string(),
  ended_at: z.string().optional(),
  estimated_completion: z.string().optional(),
})

export type RunRow = z.output<typeof runRow>

export const sessionRow = z.object({
  session_id: z.string(),
  run_id: z.string(),
  host_id: z.string(),
  agent_id: z.int(),
  role: z.string().optional(),
  adapter: z.string(),
  account: z.string(),
  model: z.string().optional(),
  bead_id: z.string(),
  stage: z.string(),
  attempt: z.int(),
  status: z.enum(['assigned', 'starting', 'ready', 'running', 'held', 'asking', 'ending', 'ended']),
  reason: z.string().optional(),
  rule: z.string().optional(),
  evidence: z.string().optional(),
  wanted: z.string().optional(),
  open_tool: z.string().optional(),
  turns: z.int(),
  tool_calls: z.int(),
  workspace: z.string().optional(),
  queued_at: z.string(),
  started_at: z.string().optional(),
  ended_at: z.string().optional(),
  quiet_ms: z.number().optional().describe('since its last sign of life'),
  cost_usd: z.number().optional(),
})

export const iterationRow = z.object({
  iteration_id: z.string().describe('<session_id>:<iteration>'),
  session_id: z.string(),
  iteration: z.int(),
  status: z.enum(['running', 'completed', 'failed']),
  tool_calls: z.int(),
  started_at: z.string(),
  ended_at: z.string().optional(),
  qa_result: z.enum(['pending', 'passed', 'failed']),
  checks: z
    .array(
      z.object({
        result: z.enum(['passed', 'failed']),
        findings: z.json().optional(),
        recommendations: z.json().optional(),
        checked_by: z.string(),
        at: z.string(),
      }),
    )
    .optional()
    .describe('in order; the latest decides'),
})

export const questionRow = z.object({
  question_id: z.string(),
  session_id: z.string().optional(),
  bead_id: z.string().optional(),
  agent_id: z.int().optional(),
  question: z.string(),
  options: z.array(z.string()).optional(),
  asked_at: z.string(),
})

const blockedRow = z.object({
  bead_id: z.string(),
  title: z.string(),
  stage: z.string(),
  attempt: z.int(),
  feedback: z.string().optional(),
  since: z.string(),
})

/** Something that waits for a person, with the requests that would help. */
export const need = z.object({
  kind: z.enum(['question', 'paused', 'leader', 'host', 'stuck', 'blocked', 'budget', 'failed']),
  level: z.enum(['warning', 'bad']),
  subject: z.string().describe('id of a question, run, host, session or bead, or the name of a budget'),
  bead_id: z.string().optional(),
  title: z.string(),
  evidence: z.string().optional(),
  options: z.array(z.string()).optional().describe('answers that were offered'),
  since: z.string().optional(),
  acts: z
    .array(z.record(z.string(), z.json()))
    .describe('requests that a person may send; what they need besides is asked'),
})
export type Need = z.output<typeof need>

export const overview = z.object({
  as_of: z.string(),
  run: runRow.optional(),
  verdict: z
    .object({ level: z.enum(['good', 'warning', 'bad']), text: z.string() })
    .describe('the whole in a few words'),
  needs_you: z.array(need).describe('what waits for a person, worst first'),
  beads: z.record(z.string(), z.int()).describe('how many in each status'),
  ready: z.int(),
  agents: z.object({ total: z.int(), busy: z.int() }),
  blocked: z.array(blockedRow).describe('the latest 20'),
  finished: z
    .array(z.object({ at: z.string(), count: z.int() }))
    .describe('how many were finished from when on'),
  sessions: z.array(sessionRow),
  hosts: z.array(
    z.object({
      host_id: z.string(),
      name: z.string(),
      capacity: z.record(z.string(), z.int()),
      adapters: z.record(z.string(), z.json()),
      draining: z.boolean(),
      free_disk_mb: z.int().optional(),
      silent_ms: z.number(),
    }),
  ),
  train: z.array(z.object({ bead_id: z.string(), status: z.string(), tries: z.int() })),
  quotas: z.array(
    z.object({
      account: z.string(),
      kind: z.string(),
      used_percent: z.number().optional(),
      until: z.string().optional(),
      seen_at: z.string(),
    }),
  ),
  spent: z.object({ usd: z.number(), tokens: z.int() }),
  spent_today: z.object({ usd: z.number(), tokens: z.int() }).describe('by the day of the database'),
  budgets: z
    .array(
      z.object({
        kind: z.enum(['run_usd', 'run_tokens', 'day_usd', 'day_tokens']),
        used: z.number(),
        limit: z.number(),
      }),
    )
    .describe('what the configuration here allows, and what of it is used'),
  questions: z.array(questionRow).describe('that nobody has answered'),
  leader: z.object({ holder: z.string(), term: z.int(), until: z.string() }).optional(),
})
export type Overview = z.output<typeof overview>
/** What the database says; the verdict is made of it. */
export type Facts = Omit<Overview, 'verdict' | 'needs_you'>
