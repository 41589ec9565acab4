import type { Database } from '../contract/context.ts'
import type { JsonObject } from '../contract/json.ts'
import type { BeadRow } from './model.ts'
import { DEMO_REPO } from './scratch.ts'

/** The backlog as it stands, in the order in which it would be claimed. */
export function readBacklog(db: Database): Promise<BeadRow[]> {
  return db.read<BeadRow>(
    `select b.bead_id, b.title, b.status, b.stage, coalesce((
        select jsonb_agg(distinct l.other_id) from swarm.bead_links l
        join swarm.bead_backlog o on o.repo_id = l.repo_id and o.bead_id = l.other_id
        where l.repo_id = b.repo_id and l.bead_id = b.bead_id and swarm.blocking(l.kind) and swarm.is_open(o.status)), '[]') as waits_for
     from swarm.bead_backlog b where b.repo_id = $1 order by b.priority, b.created_at, b.id`,
    [DEMO_REPO],
  )
}

/** How many stages a bead passes from the beginning to the end. */
export async function countStages(db: Database): Promise<number> {
  const [row] = await db.read<{ stages: number }>(
    `select count(*)::integer as stages from swarm.workflow_stages where repo_id = $1 and name = 'default'`,
    [DEMO_REPO],
  )
  return row?.stages ?? 1
}

/** What must hold at the end, as the database says it. */
export interface Verdict extends JsonObject {
  /** Beads that were finished and are not, or are held by nobody while in progress, or whose end was acknowledged in vain. */
  readonly lost: number
  /** Beads that two held at once, or that were finished twice. */
  readonly doubled: number
  /** Claims that are still open. */
  readonly leases: number
  /** Beads whose number of open blockers is wrong. */
  readonly miscounted: number
}

export interface Totals {
  readonly beads: number
  readonly completed: number
  readonly blocked: number
  /** Beads that are left: they wait for something that nobody will finish. */
  readonly left: number
  readonly retried: number
  readonly claims: number
  readonly events: number
  readonly messages: number
}

/**
 * Asks the database whether anything was lost or done twice. `finished` are the beads whose end swarm has acknowledged to
 * an agent: each must be there as completed, and none may stand there twice.
 */
export async function checkInvariants(db: Database, finished: readonly string[]): Promise<Verdict> {
  const [row] = await db.read<{ found: Verdict; vain: number; twice: number }>(
    `with told as (select t as bead_id, count(*) as times from jsonb_array_elements_text($2::text::jsonb) t group by t)
     select swarm.invariants($1) as found,
       (select count(*) from told where not exists (select from swarm.bead_backlog b
         where b.repo_id = $1 and b.bead_id = told.bead_id and b.status = 'completed'))::integer as vain,
       (select count(*) from told where times > 1)::integer as twice`,
    [DEMO_REPO, JSON.stringify(finished)],
  )
  if (!row) throw new Error('the database did not answer the check')
  const { lost, doubled, leases, miscounted } = row.found
  return { lost: lost + row.vain, doubled: doubled + row.twice, leases, miscounted }
}

/** What happened since the event `after`, counted by the database. */
export async function countTotals(db: Database, after: number): Promise<Totals> {
  const [row] = await db.read<{ totals: Totals }>(
    `with bead as (select * from swarm.bead_backlog where repo_id = $1),
       event as (select event_type from swarm.execution_events where repo_id = $1 and seq > $2::bigint)
     select jsonb_build_object(
       'beads', (select count(*) from bead),
       'completed', (select count(*) from event where event_type = 'transition_finalize'),
       'blocked', (select count(*) from event where event_type = 'transition_blocked'),
       'left', (select count(*) from bead where status in ('pending', 'in_progress')),
       'retried', (select count(*) from event where event_type = 'transition_retry'),
       'claims', (select count(*) from event where event_type = 'bead_claimed'),
       'events', (select count(*) from event),
       'messages', (select count(*) from event where event_type in ('message_sent', 'broadcast_sent'))) as totals`,
    [DEMO_REPO, after],
  )
  if (!row) throw new Error('the database did not answer the count')
  return row.totals
}
