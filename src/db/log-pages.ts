import type { Database, Param } from '../contract/context.ts'
import { SwarmError } from '../contract/errors.ts'
import type { Log } from './cursor.ts'
import type { LogItem } from './log-items.ts'

/** A row of the log; without an item when the filter does not want it. */
export interface LogRow {
  readonly seq: number
  readonly item: LogItem | null
}

export interface LogPage {
  readonly rows: readonly LogRow[]
  /** True when a bound of the page was reached: there may be more. */
  readonly full: boolean
}

interface PageRow {
  readonly log_id: string
  readonly floor: number
  readonly seq: number | null
  /** JSON as text, since its length has been counted so. */
  readonly item: string | null
  readonly bytes: number
}

const MOST_ROWS = 1_000
const FEWEST_ROWS = 20
/** A page ends with the row that goes beyond this, so that memory stays bounded whatever the rows hold. */
const PAGE_BYTES = 1_048_576

/**
 * Reads pages of the log. Each statement reads the log's id and retention floor with the rows: history that does not go on, and
 * rows that were removed, are told, never skipped.
 */
export class LogPages {
  readonly #db: Pick<Database, 'read'>
  readonly #log: Log
  #limit = MOST_ROWS / 10

  constructor(db: Pick<Database, 'read'>, log: Log) {
    this.#db = db
    this.#log = log
  }

  /** `statement` selects `seq` and `item` (text) in order; `$1` is the position, `$2` how many rows, `params` come after that. */
  async read(position: number, statement: string, params: readonly Param[]): Promise<LogPage> {
    const limit = this.#limit
    const found = await this.#db.read<PageRow>(
      `select c.log_id, c.log_floor::float8 as floor, page.* from swarm.swarm_config c left join lateral (
         select seq::float8 as seq, item, bytes::float8 as bytes from (
           select seq, item, size, sum(size) over (order by seq rows unbounded preceding) as bytes from (
             select seq, item, coalesce(octet_length(item), 0) as size from (${statement}) found
           ) sized) summed
         where bytes - size < ${PAGE_BYTES}) page on true`,
      [position, limit, ...params],
    )
    this.#checkLog(found[0], position)
    const rows = found.flatMap(toRow)
    const bytes = found.at(-1)?.bytes ?? 0
    const full = rows.length === limit || bytes >= PAGE_BYTES
    if (full) this.#limit = limitFor(rows.length, bytes)
    return { rows, full }
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
  if (seq === null) return []
  // what the statement made of the row
  return [{ seq, item: item === null ? null : (JSON.parse(item) as LogItem) }]
}
