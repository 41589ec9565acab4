import type { Database, Param } from '../contract/context.ts'
import { type EventRow, type Severity, typesFrom } from '../contract/events.ts'
import { formatCursor, parseCursor, readLog } from './cursor.ts'
import { settledSequence } from './horizon.ts'

/** A page ends with the row that goes beyond this, so that no answer is much longer whatever the rows hold. */
const PAGE_BYTES = 1_048_576
/** Rows that one statement looks at: they may be large. */
const PART_ROWS = 200

export interface EventQuery {
  readonly repo: string
  readonly after?: number | string | undefined
  readonly limit: number
  readonly bead_id?: string | undefined
  readonly agent_id?: number | undefined
  readonly event_type?: string | undefined
  /** One of these. */
  readonly event_types?: readonly string[] | undefined
  readonly stage?: string | undefined
  readonly session_id?: string | undefined
  readonly run_id?: string | undefined
  /** This one or worse. */
  readonly severity?: Severity | undefined
  /** ISO 8601. */
  readonly from_time?: string | undefined
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
  const params: Param[] = [query.repo, after, upTo]
  const where = filters.flatMap(([column, value]) => {
    if (value === undefined) return []
    params.push(value)
    return [`and e.${column} = $${params.length}${column === 'agent_id' ? '::integer' : ''}`]
  })
  if (query.event_types !== undefined) {
    params.push(JSON.stringify(query.event_types))
    where.push(`and e.event_type in (select json_array_elements_text($${params.length}::text::json))`)
  }
  if (query.from_time !== undefined) {
    params.push(query.from_time)
    where.push(`and e.created_at >= $${params.length}::text::timestamptz`)
  }
  if (query.severity !== undefined) {
    const { types, below } = typesFrom(query.severity)
    params.push(JSON.stringify(types))
    const list = `array(select jsonb_array_elements_text($${params.length}::text::jsonb))`
    where.push(below ? `and e.event_type <> all(${list})` : `and e.event_type = any(${list})`)
  }
  const bounds = { where: where.join(' '), params, after, upTo, limit: query.limit }
  const end = Math.max(upTo, after)
  if (query.latest) {
    const { events, more } = await readPage(db, { ...bounds, order: 'desc' })
    return { events: events.reverse(), cursor: formatCursor(log, end), more }
  }
  const { events, more } = await readPage(db, { ...bounds, order: 'asc' })
  const last = more ? (events.at(-1)?.sequence ?? after) : end
  return { events, cursor: formatCursor(log, last), more }
}

interface PageBounds {
  /** Conditions beyond repo and place; `params` are those of the repo, the place, and theirs. */
  readonly where: string
  readonly params: readonly Param[]
  readonly after: number
  readonly upTo: number
  readonly limit: number
  readonly order: 'asc' | 'desc'
}

/** At most so many rows and about so many bytes, in this order; `more` when there are others. */
async function readPage(
  db: Database,
  { where, params, after, upTo, limit, order }: PageBounds,
): Promise<{ readonly events: EventRow[]; readonly more: boolean }> {
  const events: EventRow[] = []
  const p = params.length
  const beyond = order === 'asc' ? '>' : '<'
  let position = order === 'asc' ? after : upTo + 1
  let bytes = 0
  let more = true
  while (more && events.length < limit && bytes < PAGE_BYTES) {
    const wanted = Math.min(PART_ROWS, limit - events.length)
    const rows = await db.read<{ event: string; bytes: number; looked: number }>(
      `select event, bytes::float8 as bytes, looked::float8 as looked from (
         select event, seq, size, sum(size) over (order by seq ${order} rows unbounded preceding) as bytes,
           count(*) over () as looked from (
             select seq, event, octet_length(event) as size from (
               select e.seq, swarm.event_json(e)::text as event from swarm.execution_events e
               where e.repo_id = $1 and e.seq > $2::bigint and e.seq <= $3::bigint and e.seq ${beyond} $${p + 1}::bigint ${where}
               order by e.seq ${order} limit $${p + 2}::integer) found) sized) summed
       where bytes - size < $${p + 3}::bigint order by seq ${order} limit $${p + 4}::integer`,
      // one more than wanted, to know whether there is more
      [...params, position, wanted + 1, PAGE_BYTES - bytes, wanted],
    )
    // what the statement made of the row
    for (const { event } of rows) events.push(JSON.parse(event) as EventRow)
    more = (rows[0]?.looked ?? 0) > rows.length
    bytes += rows.at(-1)?.bytes ?? 0
    position = events.at(-1)?.sequence ?? position
  }
  return { events, more }
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
