import type { Database } from '../contract/context.ts'

const FIRST_PAUSE_MS = 2
const LONGEST_PAUSE_MS = 100
/** A gap that is older is looked at through the locks of the log: a transaction elsewhere may stay open for hours. */
const FOREIGN_AFTER_MS = 100
/** A transaction that stays open keeps a single answer waiting no longer than this; the answer then ends before the gap. */
const GIVE_UP_MS = 2_000

/** Who may still fill a gap. A prepared transaction has no process. */
interface Holder {
  readonly pid: number | null
  readonly virtualtransaction: string
}

/** Waiting for one gap of the log to be settled. */
export interface Settling {
  /** The number up to which the log is final, once it is; undefined while a writer may still fill a gap below it. */
  check(): Promise<number | undefined>
  heldMs(): number
  /** A process that holds it up, when it is known. */
  pid(): number | undefined
  /** How long to wait before the next check, in ms: 2, then twice as long each time, to 100. */
  pauseMs(): number
}

/**
 * Begins to settle the log as far as it is visible now.
 *
 * M is the largest visible number. N is a transaction id taken in a later statement. Every writer of a number up to M had its
 * transaction id before its number, so before N: once no transaction older than N runs, the log is final up to M. A long
 * transaction that never touches the log would hold that up; after 100 ms it is enough that every transaction that holds a row lock on
 * the log, listed after M was read, has gone. A restart of the server changes nothing: writers end with it, prepared transactions stay.
 */
export function settling(db: Pick<Database, 'read'>, now: () => number = () => performance.now()): Settling {
  const started = now()
  let largest: number | undefined
  let mark: string | undefined
  let holders: readonly Holder[] | undefined
  let pause = FIRST_PAUSE_MS / 2
  return {
    async check() {
      if (mark === undefined || largest === undefined) {
        const [top] = await db.read<{ m: number }>(
          'select coalesce(max(seq), 0)::float8 as m from swarm.execution_events',
        )
        largest = top?.m ?? 0
        const [taken] = await db.read<{ n: string }>('select pg_current_xact_id()::text as n')
        mark = taken?.n ?? '0'
      }
      const [row] = await db.read<{ settled: boolean }>(
        'select pg_snapshot_xmin(pg_current_snapshot())::text::numeric > $1::text::numeric as settled',
        [mark],
      )
      if (row?.settled) return largest
      if (now() - started > FOREIGN_AFTER_MS) {
        const current = await logHolders(db)
        holders = holders ? current.filter((holder) => isOneOf(holders, holder)) : current
        if (holders.length === 0) return largest
      }
      return undefined
    },
    heldMs: () => now() - started,
    pid: () => holders?.find((holder) => holder.pid !== null)?.pid ?? undefined,
    pauseMs() {
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS)
      return pause
    },
  }
}

/** Settles the log once, for a single answer. Undefined when a writer is still open after two seconds. */
export async function settledSequence(db: Database): Promise<number | undefined> {
  const gap = settling(db)
  for (;;) {
    const settled = await gap.check()
    if (settled !== undefined) return settled
    if (gap.heldMs() > GIVE_UP_MS) return undefined
    await new Promise((resolve) => setTimeout(resolve, gap.pauseMs()))
  }
}

/**
 * Transactions that hold a row lock on the log and have an id. Without an id there is no number yet, and any number to come is
 * larger than all that are visible: a session that has only begun an INSERT may stay so for ever. A prepared transaction counts too: its
 * locks are there without a process.
 */
async function logHolders(db: Pick<Database, 'read'>): Promise<Holder[]> {
  return db.read<Holder>(
    `with held as materialized (
       select locktype, relation, database, mode, pid, virtualtransaction from pg_locks where granted
     )
     select pid, virtualtransaction from held l
     where relation = 'swarm.execution_events'::regclass and mode = 'RowExclusiveLock'
       and database = (select oid from pg_database where datname = current_database())
       and pid is distinct from pg_backend_pid()
       and exists (select from held x where x.locktype = 'transactionid' and x.mode = 'ExclusiveLock'
         and x.virtualtransaction = l.virtualtransaction and x.pid is not distinct from l.pid)`,
  )
}

/** A transaction that has been prepared since then goes by another name: any prepared one may be one of these. */
function isOneOf(holders: readonly Holder[] | undefined, { pid, virtualtransaction }: Holder): boolean {
  if (pid === null || holders === undefined) return true
  return holders.some((other) => other.pid === pid && other.virtualtransaction === virtualtransaction)
}
