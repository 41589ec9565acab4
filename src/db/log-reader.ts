import type { Database } from '../contract/context.ts'
import { SwarmError } from '../contract/errors.ts'
import type { Log } from './cursor.ts'
import { settling } from './horizon.ts'
import { filterSql, ITEM, type LogFilter, type LogItem } from './log-items.ts'
import { LogPages } from './log-pages.ts'

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

/** Numbers that one statement looks at, so that it is short also where a filter lets almost nothing through. */
const SPAN = 50_000
/** A read that has no answer by then is sent again on a new connection: the old one may be half-open. */
const SHORTEST_TIMEOUT_MS = 3_000
const LONGEST_TIMEOUT_MS = 30_000

/**
 * Reads the event log in order, without gaps, from a position on. A number may become visible after a larger one, so the reader
 * keeps a horizon over all repos up to which the log is final, and delivers rows up to it only. The horizon moves over numbers that
 * follow each other; at a gap it waits until nobody can fill it any more (see horizon.ts). It holds no transaction between steps and
 * survives the loss of any connection: a step that failed can be repeated. CONFLICT when it is not this log any more, or when what
 * comes next has been removed.
 */
export class LogReader {
  readonly #db: Pick<Database, 'read'>
  readonly #filter: LogFilter
  readonly #pages: LogPages
  #position: number
  #horizon: number
  #timeoutMs = SHORTEST_TIMEOUT_MS
  #settling: ReturnType<typeof settling> | undefined

  /** `position` must be final: 0, a horizon, or a cursor that was handed out. */
  constructor(db: Database, log: Log, filter: LogFilter, position: number) {
    this.#db = {
      read: (statement, params) => db.read(statement, params, { timeoutMs: this.#timeoutMs }),
    }
    this.#filter = filter
    this.#pages = new LogPages(this.#db, log)
    this.#position = position
    this.#horizon = position
  }

  /** One step: at most one page of rows. An empty batch at the head means: wait for a wake-up. Throws what the database throws. */
  async step(): Promise<LogBatch> {
    try {
      const batch = await (this.#position < this.#horizon ? this.#page() : this.#head())
      this.#timeoutMs = SHORTEST_TIMEOUT_MS
      return batch
    } catch (error) {
      this.#settling = undefined
      if (error instanceof SwarmError && error.code === 'TIMEOUT') {
        // a server that is only slow gets more time with each attempt, and less to do
        this.#timeoutMs = Math.min(this.#timeoutMs * 2, LONGEST_TIMEOUT_MS)
        this.#pages.shrink()
      }
      throw error
    }
  }

  /** Below the horizon: only the wanted rows are read. */
  async #page(): Promise<LogBatch> {
    const upTo = Math.min(this.#horizon, this.#position + SPAN)
    const { sql, params } = filterSql(this.#filter, 4)
    const { rows, full } = await this.#pages.read(
      this.#position,
      `select e.seq, (${ITEM})::text as item from swarm.execution_events e
       where e.seq > $1::bigint and e.seq <= $3::bigint and ${sql} order by e.seq limit $2::integer`,
      [upTo, ...params],
    )
    this.#position = full ? (rows.at(-1)?.seq ?? upTo) : upTo
    return { items: rows.flatMap(wanted), upTo: this.#position, atHead: false }
  }

  /** At the horizon: the next rows of all repos, of which those that follow each other are final. */
  async #head(): Promise<LogBatch> {
    if (this.#settling) {
      const settled = await this.#settling.check()
      if (settled !== undefined) {
        this.#settling = undefined
        this.#horizon = Math.max(this.#horizon, settled)
        if (this.#position < this.#horizon) return this.#page()
      } else if (!(await this.#isFilled())) return this.#held(this.#settling)
    }
    const { sql, params } = filterSql(this.#filter, 3)
    const { rows, full } = await this.#pages.read(
      this.#position,
      `select e.seq, (case when ${sql} then ${ITEM} end)::text as item
       from swarm.execution_events e where e.seq > $1::bigint order by e.seq limit $2::integer`,
      params,
    )
    const contiguous = rows.filter((row, at) => row.seq === this.#position + at + 1)
    if (contiguous.length > 0 || rows.length === 0) {
      this.#settling = undefined
      this.#position += contiguous.length
      this.#horizon = this.#position
      return {
        items: contiguous.flatMap(wanted),
        upTo: this.#position,
        atHead: !full && contiguous.length === rows.length,
      }
    }
    this.#settling ??= settling(this.#db)
    return this.#held(this.#settling)
  }

  #held({ heldMs, pid, pauseMs }: ReturnType<typeof settling>): LogBatch {
    return {
      items: [],
      upTo: this.#position,
      held: { ms: heldMs(), pid: pid(), pauseMs: pauseMs() },
      atHead: false,
    }
  }

  /** Whether the gap has been filled, or what came after it is gone: a look that costs nothing, as it is taken often. */
  async #isFilled(): Promise<boolean> {
    const [next] = await this.#db.read<{ seq: number }>(
      'select seq::float8 as seq from swarm.execution_events where seq > $1::bigint order by execution_events.seq limit 1',
      [this.#position],
    )
    return next === undefined || next.seq === this.#position + 1
  }
}

function wanted({ seq, item }: { readonly seq: number; readonly item: LogItem | null }) {
  return item ? [{ seq, item }] : []
}
