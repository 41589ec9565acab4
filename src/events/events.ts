import type { Database, Param } from '../contract/context.ts'
import { type EventRow, type Severity, typesFrom } from '../contract/events.ts'
import { formatCursor, parseCursor, readLog } from './cursor.ts'
import { settledSequence } from './horizon.ts'

export interface EventQuery {
  readonly repo: string
  readonly after?: number | string | undefined
  readonly limit: number
  readonly bead_id?: string | undefined
  readonly agent_id?: number | undefined
  readonly event_type?: string | undefined
  readonly stage?: string | undefined
  readonly session_id?: string | undefined
  readonly run_id?: string | undefined
  /** This one or worse. */
  readonly severity?: Severity | undefined
  /** ISO 8601. */
  readonly since?: string | undefined
  /** The last ones instead of the first; in order all the same. */
  readonly latest?: boolean | undefined
}

export interface EventPage {
  readonly events: EventRow[]
  readonly cursor: string
  readonly more: boolean
}

/**
 * The events after a cursor, up to where the log is final, so that a reader who goes on from the returned cursor misses none.
 * A cursor of another log, below the retention floor or beyond the end is CONFLICT.
 */
export async function readEvents(db: Database, query: EventQuery): Promise<EventPage> {
  const log = await readLog(db)
  const after = parseCursor(query.after ?? 0, log, 'after', 'events')
  const settled = await settledSequence(db)
  const upTo = settled ?? (await contiguousUpTo(db, after))
  const filters: [string, Param | undefined][] = [
    ['bead_id', query.bead_id],
    ['agent_id', query.agent_id],
    ['event_type', query.event_type],
    ['stage', query.stage],
    ['session_id', query.session_id],
    ['run_id', query.run_id],
  ]
  const params: Param[] = [query.repo, after, upTo, query.limit + 1]
  const where = filters.flatMap(([column, value]) => {
    if (value === undefined) return []
    params.push(value)
    return [`and e.${column} = $${params.length}${column === 'agent_id' ? '::integer' : ''}`]
  })
  if (query.since !== undefined) {
    params.push(query.since)
    where.push(`and e.created_at >= $${params.length}::text::timestamptz`)
  }
  if (query.severity !== undefined) {
    const { types, below } = typesFrom(query.severity)
    params.push(JSON.stringify(types))
    const list = `array(select jsonb_array_elements_text($${params.length}::text::jsonb))`
    where.push(below ? `and e.event_type <> all(${list})` : `and e.event_type = any(${list})`)
  }
  const found = await db.read<{ event: EventRow }>(
    `select swarm.event_json(e) as event from swarm.execution_events e
     where e.repo_id = $1 and e.seq > $2::bigint and e.seq <= $3::bigint ${where.join(' ')}
     order by e.seq ${query.latest ? 'desc' : ''} limit $4::integer`,
    params,
  )
  const more = found.length > query.limit
  const events = found.slice(0, query.limit).map((row) => row.event)
  const end = Math.max(upTo, after)
  if (query.latest) return { events: events.reverse(), cursor: formatCursor(log, end), more }
  const last = more ? (events.at(-1)?.sequence ?? after) : end
  return { events, cursor: formatCursor(log, last), more }
}

/** How far the numbers go on without a gap from `after`, over all repos, within the next 10,000 rows. */
async function contiguousUpTo(db: Database, after: number): Promise<number> {
  const [row] = await db.read<{ last: number }>(
    `select coalesce(max(seq), $1::bigint)::float8 as last from (
       select seq, $1::bigint + row_number() over (order by seq) as expected from (
         select seq from swarm.execution_events where seq > $1::bigint order by seq limit 10000) x) y
     where seq = expected`,
    [after],
  )
  return row?.last ?? after
}
