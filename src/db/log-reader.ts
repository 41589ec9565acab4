import type { Database, Param } from '../contract/context.ts'
import { SwarmError } from '../contract/errors.ts'
import { settling } from './horizon.ts'
import { filterSql, ITEM, type LogFilter, type LogItem } from './log-items.ts'

/** What one step of a reader found. */
export interface LogBatch {
  readonly items: readonly { readonly seq: number; readonly item: LogItem }[]
  /** Everything up to here has been delivered; it is the cursor to go on from. */
  readonly upTo: number
  /** Set while a transaction that is still open keeps the reader from going on. */
  readonly held?: { readonly ms: number; readonly pid: number | undefined; readonly pauseMs: number }
  /** True when there was nothing more to read at that moment. */
  readonly atHead: boolean
}

const MOST_ROWS = 1_000
const FEWEST_ROWS = 20
/** Rows are asked for in pages of about this size, so that memory stays bounded whatever they hold. */
const PAGE_BYTES = 1_048_576

interface HeadRow {
  readonly seq: number
  readonly item: LogItem | null
}

/**
 * Reads the event log in order, without gaps, from a position on. A number may become visible after a larger one, so the reader
 * keeps a horizon over all repos up to which the log is final, and delivers rows up to it only. The horizon moves over numbers that
 * follow each other; at a gap it waits until nobody can fill it any more (see horizon.ts). It holds no transaction between steps and
 * survives the loss of any connection: a step that failed can be repeated.
 */
export class LogReader {
  readonly #db: Database
  readonly #filter: LogFilter
  #position: number
  #horizon: number
  #rows = MOST_ROWS
  #settling: ReturnType<typeof settling> | undefined

  /** `position` must be final: 0, a horizon, or a cursor that was handed out. */
  constructor(db: Database, filter: LogFilter, position: number) {
    this.#db = db
    this.#filter = filter
    this.#position = position
    this.#horizon = position
  }

  get position(): number {
    return this.#position
  }

  /** One step: at most one page of rows. An empty batch at the head means: wait for a wake-up. Throws what the database throws. */
  async step(): Promise<LogBatch> {
    return this.#position < this.#horizon ? this.#page() : this.#head()
  }

  /** A step failed: what was being waited for may have died with the server. */
  reset(): void {
    this.#settling = undefined
  }

  /** Below the horizon: only the wanted rows are read. */
  async #page(): Promise<LogBatch> {
    const limit = this.#rows
    const { sql, params } = filterSql(this.#filter, 4)
    const rows = await this.#rowsOf<{ seq: number; item: LogItem }>(
      `select e.seq::float8 as seq, ${ITEM} as item from swarm.execution_events e
       where e.seq > $1::bigint and e.seq <= $2::bigint and ${sql} order by e.seq limit $3::integer`,
      [this.#position, this.#horizon, limit, ...params],
    )
    this.#position = rows.length < limit ? this.#horizon : (rows.at(-1)?.seq ?? this.#horizon)
    return { items: rows, upTo: this.#position, atHead: false }
  }

  /** At the horizon: the next rows of all repos, of which those that follow each other are final. */
  async #head(): Promise<LogBatch> {
    const settled = await this.#settling?.check()
    if (settled !== undefined) {
      this.#settling = undefined
      this.#horizon = Math.max(this.#horizon, settled)
      if (this.#position < this.#horizon) return this.#page()
    }
    const { sql, params } = filterSql(this.#filter, 3)
    const rows = await this.#rowsOf<HeadRow>(
      `select e.seq::float8 as seq, case when ${sql} then ${ITEM} end as item
       from swarm.execution_events e where e.seq > $1::bigint order by e.seq limit $2::integer`,
      [this.#position, this.#rows, ...params],
    )
    const contiguous = rows.filter((row, at) => row.seq === this.#position + at + 1)
    if (contiguous.length > 0) {
      this.#settling = undefined
      this.#position += contiguous.length
      this.#horizon = this.#position
      const items = contiguous.flatMap(({ seq, item }) => (item ? [{ seq, item }] : []))
      return {
        items,
        upTo: this.#position,
        atHead: contiguous.length === rows.length && rows.length < this.#rows,
      }
    }
    if (rows.length === 0) {
      this.#settling = undefined
      return { items: [], upTo: this.#position, atHead: true }
    }
    this.#settling ??= settling(this.#db)
    const { heldMs, pid, pauseMs } = this.#settling
    return {
      items: [],
      upTo: this.#position,
      held: { ms: heldMs(), pid: pid(), pauseMs: pauseMs() },
      atHead: false,
    }
  }

  /** The rows of a statement, read together with the retention floor: what was removed below it is told, never skipped. */
  async #rowsOf<Row extends { readonly seq: number; readonly item: unknown }>(
    statement: string,
    params: readonly Param[],
  ): Promise<Row[]> {
    const found = await this.#db.read<Row & { readonly floor: number }>(
      `select (select log_floor from swarm.swarm_config)::float8 as floor, rows.*
       from (select) one left join lateral (${statement}) rows on true order by rows.seq`,
      params,
    )
    const floor = found[0]?.floor ?? 0
    if (this.#position < floor) {
      throw new SwarmError(
        'CONFLICT',
        `events up to ${floor} have been removed; this reader is at ${this.#position}`,
        {
          ctx: { position: this.#position, log_floor: floor },
          fix: { cmd: 'subscribe', from: floor },
        },
      )
    }
    const rows = found.filter((row) => row.seq !== null)
    this.#resize(rows)
    return rows
  }

  #resize(rows: readonly { readonly item: unknown }[]): void {
    if (rows.length === 0) return
    const bytes = JSON.stringify(rows[0]).length
    this.#rows = Math.min(MOST_ROWS, Math.max(FEWEST_ROWS, Math.floor(PAGE_BYTES / Math.max(bytes, 1))))
  }
}
