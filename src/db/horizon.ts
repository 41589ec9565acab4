import type { Database } from '../contract/context.ts'

const FIRST_POLL_MS = 2
const LONGEST_POLL_MS = 100
const FOREIGN_AFTER_MS = 100
/** A transaction that stays open keeps `events` waiting no longer than this; the answer then ends before the gap. */
const GIVE_UP_MS = 2_000

interface Holder {
  readonly pid: number
  readonly virtualtransaction: string
}

/**
 * The sequence number up to which the log is final: no row with a smaller number can still become visible.
 *
 * M is the largest visible number. N is a transaction id taken in a later statement. Every writer of a number up to M had its
 * transaction id before its number, so before N: once no transaction older than N runs, the log is final up to M. A long
 * transaction that never touches the log would hold that up; after 100 ms it is enough that every holder of a row lock on the log,
 * listed after M was read, has gone. Undefined when neither happens within two seconds.
 */
export async function settledSequence(db: Database): Promise<number | undefined> {
  const [top] = await db.read<{ m: number }>('select coalesce(max(seq), 0)::float8 as m from swarm.execution_events')
  const largest = top?.m ?? 0
  const [mark] = await db.read<{ n: string }>('select pg_current_xact_id()::text as n')
  const started = performance.now()
  let holders: readonly Holder[] | undefined
  for (let pause = FIRST_POLL_MS; ; pause = Math.min(pause * 2, LONGEST_POLL_MS)) {
    const [row] = await db.read<{ settled: boolean }>(
      'select pg_snapshot_xmin(pg_current_snapshot())::text::numeric > $1::numeric as settled',
      [mark?.n ?? '0'],
    )
    if (row?.settled) return largest
    const waited = performance.now() - started
    if (waited > FOREIGN_AFTER_MS) {
      const now = await logHolders(db)
      holders = holders ? holders.filter((h) => now.some((n) => same(h, n))) : now
      if (holders.length === 0) return largest
    }
    if (waited > GIVE_UP_MS) return undefined
    await new Promise((resolve) => setTimeout(resolve, pause))
  }
}

async function logHolders(db: Database): Promise<Holder[]> {
  return db.read<Holder>(
    `select pid, virtualtransaction from pg_locks
     where relation = 'swarm.execution_events'::regclass and mode = 'RowExclusiveLock' and granted and pid <> pg_backend_pid()
       and database = (select oid from pg_database where datname = current_database())`,
  )
}

function same(a: Holder, b: Holder): boolean {
  return a.pid === b.pid && a.virtualtransaction === b.virtualtransaction
}
