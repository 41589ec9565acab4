import type { Database } from '../contract/context.ts'
import { SwarmError } from '../contract/errors.ts'
import type { Log } from './cursor.ts'
import { settling } from './horizon.ts'
import type { LogFilter } from './log-items.ts'
import { HEAD_SPAN, LogPages, type LogRow } from './log-pages.ts'

/** What one step of a reader found. */
export interface LogBatch {
  readonly items: readonly LogRow[]
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
    this.#pages = new LogPages(this.#db, log, filter)
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

  /** Below the horizon. */
  async #page(): Promise<LogBatch> {
    const { rows, upTo } = await this.#pages.upTo(
      this.#position,
      Math.min(this.#horizon, this.#position + SPAN),
    )
    this.#position = upTo
    return { items: rows, upTo, atHead: false }
  }

  /** At the horizon: what follows it without a gap is final. */
  async #head(): Promise<LogBatch> {
    if (this.#settling) {
      const settled = await this.#settling.check()
      if (settled !== undefined) {
        this.#settling = undefined
        this.#horizon = Math.max(this.#horizon, settled)
        if (this.#position < this.#horizon) return this.#page()
      } else if (!(await this.#isFilled())) return this.#held(this.#settling)
    }
    const before = this.#position
    const { rows, upTo, contiguous, seen } = await this.#pages.atHead(before)
    if (contiguous === before && seen > 0) {
      this.#settling ??= settling(this.#db)
      return this.#held(this.#settling)
    }
    this.#settling = undefined
    this.#position = upTo
    this.#horizon = contiguous
    const isAll = upTo === contiguous && contiguous - before === seen
    return { items: rows, upTo, atHead: isAll && seen < HEAD_SPAN }
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
