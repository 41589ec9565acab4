import type { Database } from '../contract/context.ts'
import { SwarmError } from '../contract/errors.ts'

/** The event log of one database: its id changes when history does not go on (init, reset, restore). */
export interface Log {
  readonly id: string
  /** Everything up to here may have been removed by retention. */
  readonly floor: number
  /** The largest number that was ever given. */
  readonly last: number
}

/** Reads which log this is. */
export async function readLog(db: Database): Promise<Log> {
  const [row] = await db.read<Log>(
    `select log_id as id, log_floor::float8 as floor,
       (select case when is_called then last_value else 0 end::float8 from swarm.event_seq) as last from swarm.swarm_config`,
  )
  if (!row)
    throw new SwarmError('DEPENDENCY', 'the database has no swarm configuration', { fix: { cmd: 'init-db' } })
  return row
}

/** A place in a log, as it is written: `<log_id>:<seq>`. */
export function formatCursor(log: Log, seq: number): string {
  return `${log.id}:${seq}`
}

/**
 * Reads a cursor: a bare number, or `<log_id>:<seq>`. One of another log, below the retention floor or beyond the end is CONFLICT,
 * never a silent skip. `field` and `verb` say where it came from, for the error and its fix.
 */
export function parseCursor(given: number | string, log: Log, field: string, verb?: string): number {
  const [id, seq] = typeof given === 'number' ? [log.id, given] : split(given, log)
  const conflict = (message: string, ctx: { readonly [key: string]: string | number }) =>
    new SwarmError('CONFLICT', message, {
      ctx: { field, got: String(given), ...ctx },
      ...(verb === undefined ? {} : { fix: { cmd: verb, [field]: log.floor } }),
    })
  if (id !== log.id)
    throw conflict(`this cursor is of the log ${id}, the log here is ${log.id}`, { log_id: log.id })
  if (seq > log.last)
    throw conflict(`${seq} is beyond the end of the log, which is at ${log.last}`, { last: log.last })
  if (seq < log.floor && (seq > 0 || typeof given === 'string')) {
    throw conflict(`events up to ${log.floor} have been removed; this cursor is at ${seq}`, {
      log_floor: log.floor,
    })
  }
  return Math.max(seq, log.floor)
}

function split(cursor: string, log: Log): [string, number] {
  const at = cursor.indexOf(':')
  return at < 0 ? [log.id, Number(cursor)] : [cursor.slice(0, at), Number(cursor.slice(at + 1))]
}
