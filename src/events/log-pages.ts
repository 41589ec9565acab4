import type { Database, Param } from '../contract/context.ts'
import { SwarmError } from '../contract/errors.ts'
import type { Log } from './cursor.ts'
import { filterSql, ITEM, type LogFilter, type LogItem } from './log-items.ts'

/** A row of the log that the filter lets through. */
export interface LogRow {
  readonly seq: number
  readonly item: LogItem
}

export interface LogPage {
  readonly rows: readonly LogRow[]
  /** Everything up to here has been looked at: the last row's number where a bound of the page was reached, else the end asked for. */
  readonly upTo: number
}

/** A page at the head, with what can be told of the log beyond it. */
export interface HeadPage extends LogPage {
  /** The numbers follow each other without a gap up to here. */
  readonly contiguous: number
  /** How many numbers have been looked at, of all repos; `HEAD_SPAN` when there may be more. */
  readonly seen: number
}

interface PageRow {
  readonly log_id: string
  readonly floor: number
  readonly last: number
  readonly seen: number
  readonly seq: number | null
  /** JSON as text, since its length has been counted so. */
  readonly item: string | null
  readonly bytes: number
}

/** Numbers that a look at the head takes in at once. */
export const HEAD_SPAN = 10_000
const MOST_ROWS = 1_000
const FEWEST_ROWS = 20
/** A page ends with the row that goes beyond this, so that memory stays bounded whatever the rows hold. */
const PAGE_BYTES = 1_048_576

/**
 * A parameter that the planner cannot look at. Else it would find that a plan for just this place in the log is cheaper than one for any,
 * and make one for every look: 0.45 ms instead of 0.15.
 */
function hidden(parameter: string): string {
  return `(select ${parameter})`
}

const POSITION = hidden('$1::bigint')

/**
 * Reads pages of the log. Each statement reads the log's id and retention floor with the rows: history that does not go on, and
 * rows that were removed, are told, never skipped.
 */
export class LogPages {
  readonly #db: Pick<Database, 'read'>
  readonly #log: Log
  readonly #filter: LogFilter
  #limit = MOST_ROWS / 10

  constructor(db: Pick<Database, 'read'>, log: Log, filter: LogFilter) {
    this.#db = db
    this.#log = log
    this.#filter = filter
  }

  /** The wanted rows after `position` and up to `last`, which is final. */
  async upTo(position: number, last: number): Promise<LogPage> {
    const { rows, end } = await this.#read(
      position,
      `select ${hidden('$3::bigint')} as last, 0 as seen`,
      last,
    )
    return { rows, upTo: end ?? last }
  }

  /**
   * The wanted rows after `position` as far as the numbers of all repos follow each other. Only they and two numbers are sent: a reader whom
   * nothing concerns must cost a busy log next to nothing.
   */
  async atHead(position: number): Promise<HeadPage> {
    const { rows, end, last, seen } = await this.#read(
      position,
      `select coalesce(max(seq) filter (where seq = ${POSITION} + n), ${POSITION}) as last, count(*) as seen
       from (select seq, row_number() over (order by seq) as n from (
         select seq from swarm.execution_events where seq > ${POSITION} order by seq limit ${hidden('$3::integer')}) next) numbered`,
      HEAD_SPAN,
    )
    return { rows, upTo: end ?? last, contiguous: last, seen }
  }

  /** `bound` selects how far to read, with `$3` as its own parameter. `end` is set when the page was cut there. */
  async #read(position: number, bound: string, own: Param) {
    const limit = this.#limit
    const { sql, params } = filterSql(this.#filter, 4)
    const found = await this.#db.read<PageRow>(
      `select c.log_id, c.log_floor::float8 as floor, b.last::float8 as last, b.seen::float8 as seen, page.*
       from swarm.swarm_config c cross join lateral (${bound}) b left join lateral (
         select seq::float8 as seq, item, bytes::float8 as bytes from (
           select seq, item, size, sum(size) over (order by seq rows unbounded preceding) as bytes from (
             select seq, item, octet_length(item) as size from (
               select e.seq, (${ITEM})::text as item from swarm.execution_events e
               where e.seq > ${POSITION} and e.seq <= b.last and ${sql} order by e.seq limit ${hidden('$2::integer')}) wanted
           ) sized) summed
         where bytes - size < ${PAGE_BYTES}) page on true`,
      [position, limit, own, ...params],
    )
    const [first] = found
    this.#checkLog(first, position)
    const rows = found.flatMap(toRow)
    const bytes = found.at(-1)?.bytes ?? 0
    const full = rows.length === limit || bytes >= PAGE_BYTES
    if (full) this.#limit = limitFor(rows.length, bytes)
    return {
      rows,
      end: full ? rows.at(-1)?.seq : undefined,
      last: first?.last ?? position,
      seen: first?.seen ?? 0,
    }
  }

  /** The next page is smaller: this one took too long. */
  shrink(): void {
    this.#limit = Math.max(1, Math.floor(this.#limit / 4))
  }

  #checkLog(row: PageRow | undefined, position: number): void {
    const { id } = this.#log
    if (row === undefined || row.log_id !== id) {
      throw new SwarmError('CONFLICT', `the log ${id} has ended; the log here is ${row?.log_id ?? 'gone'}`, {
        ctx: { position, log_id: row?.log_id ?? null },
      })
    }
    if (position < row.floor) {
      throw new SwarmError(
        'CONFLICT',
        `events up to ${row.floor} have been removed; this reader is at ${position}`,
        { ctx: { position, log_floor: row.floor } },
      )
    }
  }
}

/** As many rows as make a page, going by the last one; four times as many at most, since the next rows may be larger. */
function limitFor(rows: number, bytes: number): number {
  const fitting = Math.floor((PAGE_BYTES * rows) / Math.max(bytes, 1))
  return Math.min(MOST_ROWS, rows * 4, Math.max(FEWEST_ROWS, fitting))
}

function toRow({ seq, item }: PageRow): LogRow[] {
  if (seq === null || item === null) return []
  // what the statement made of the row
  return [{ seq, item: JSON.parse(item) as LogItem }]
}
