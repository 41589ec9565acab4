import * as z from 'zod'
import type { CommandContext } from '../contract/command.ts'
import { eventRow } from '../contract/events.ts'
import { attemptRow, beadRow, claimRow, messageRow } from '../contract/rows.ts'

/** The views of monitor, each a preset over the rows of the other verbs. All are bounded by a limit, latest first. */
export const VIEWS = ['active', 'progress', 'failures', 'events', 'messages'] as const
export type View = (typeof VIEWS)[number]

const counts = z.record(z.string(), z.int())

export const viewOutput = z.object({
  claims: z
    .array(claimRow.extend({ title: z.string(), stage: z.string(), attempt: z.int() }))
    .optional()
    .describe('active: longest held first'),
  beads: z
    .union([counts, z.array(beadRow)])
    .optional()
    .describe('progress: how many in each status; failures: the blocked ones'),
  stages: counts.optional().describe('progress: how many open beads at each stage'),
  finished_last_hour: z.int().optional(),
  finished: z.array(beadRow).optional().describe('progress: the latest'),
  attempts: z.array(attemptRow).optional().describe('failures'),
  events: z.array(eventRow).optional(),
  messages: z.array(messageRow).optional(),
})
export type ViewOutput = z.output<typeof viewOutput>

/** One statement each: `$1` is the repo, `$2` the limit. */
const STATEMENTS: Readonly<Record<View, string>> = {
  active: `select jsonb_build_object('claims', coalesce((
      select jsonb_agg(swarm.claim_row_json(c) || jsonb_build_object('title', b.title, 'stage', b.stage, 'attempt', b.attempt) order by c.claimed_at)
      from (select * from swarm.bead_claims where repo_id = $1 and status = 'in_progress' order by claimed_at limit $2::integer) c
      join swarm.bead_backlog b on b.repo_id = c.repo_id and b.bead_id = c.bead_id), '[]')) as d`,
  progress: `select jsonb_build_object(
      'beads', (select coalesce(jsonb_object_agg(status, n), '{}') from (
        select status, count(*) as n from swarm.bead_backlog where repo_id = $1 group by status) x),
      'stages', (select coalesce(jsonb_object_agg(stage, n), '{}') from (
        select stage, count(*) as n from swarm.bead_backlog where repo_id = $1 and swarm.is_open(status) group by stage) x),
      'finished_last_hour', (select count(*) from swarm.bead_backlog
        where repo_id = $1 and status = 'completed' and finished_at > clock_timestamp() - interval '1 hour'),
      'finished', coalesce((select jsonb_agg(swarm.bead_json(b, false) order by b.finished_at desc) from (
        select * from swarm.bead_backlog where repo_id = $1 and status = 'completed' order by finished_at desc limit $2::integer) b), '[]')) as d`,
  failures: `select jsonb_build_object(
      'beads', coalesce((select jsonb_agg(swarm.bead_json(b, false) || jsonb_strip_nulls(jsonb_build_object('feedback', swarm.cut(b.feedback, 200))) order by b.updated_at desc) from (
        select * from swarm.bead_backlog where repo_id = $1 and status in ('blocked', 'failed') order by updated_at desc limit $2::integer) b), '[]'),
      'attempts', coalesce((select jsonb_agg(swarm.attempt_json(h, 200) order by h.id desc) from (
        select * from swarm.stage_history where repo_id = $1 and status in ('failed', 'error')
          and result not in ('released', 'cancelled', 'noop') order by id desc limit $2::integer) h), '[]')) as d`,
  events: `select jsonb_build_object('events', coalesce((select jsonb_agg(swarm.event_json(e) order by e.seq desc) from (
      select * from swarm.execution_events where repo_id = $1 order by seq desc limit $2::integer) e), '[]')) as d`,
  messages: `select jsonb_build_object('messages', coalesce((select jsonb_agg(swarm.message_json(m, 100) order by m.id desc) from (
      select * from swarm.agent_messages where to_repo_id = $1 order by id desc limit $2::integer) m), '[]')) as d`,
}

export async function readView(ctx: CommandContext, view: View, limit: number): Promise<ViewOutput> {
  const [row] = await ctx.db.read<{ d: ViewOutput }>(STATEMENTS[view], [ctx.repo, limit])
  return row?.d ?? {}
}
