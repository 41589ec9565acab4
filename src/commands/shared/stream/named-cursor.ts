import type { CommandContext } from '../../../contract/context.ts'
import { SwarmError } from '../../../contract/errors.ts'
import { readFunction } from '../read.ts'
import { pauseOrAbort } from './pause.ts'

const LEASE_MS = 30_000
const RETRY_MS = 500
const RELEASE_MS = 1_000

/** A cursor kept in the database, held by this reader under a lease with a fence. */
export interface NamedCursor {
  /** How far it had been acked when it was taken. */
  readonly acked: number
  /**
   * Resolves while the cursor is held for sure: after a pause longer than the lease allows, the database is asked. Throws CONFLICT
   * once another reader has taken it, and what the database throws.
   */
  hold(): Promise<void>
  /** Acks up to a sequence number, and holds the cursor. Throws as `hold` does. */
  ack(seq: number): Promise<void>
  release(): Promise<void>
}

export interface NamedCursorOptions {
  readonly name: string
  /** Where a cursor that does not exist yet begins. */
  readonly start: () => Promise<number>
  /** What to do while another reader holds it. */
  readonly ifBusy: 'wait' | 'fail'
  /** How long it stays held when this reader dies; 30 s by default. */
  readonly leaseMs: number | undefined
  /** `performance.now()` until which to wait. */
  readonly deadline: number | undefined
  readonly signal: AbortSignal
}

/**
 * Takes a named cursor and keeps its lease until it is released. BUSY when it is held, or still held at the deadline; that error is
 * answered, not thrown, when the signal aborts while it waits.
 */
export async function takeCursor(
  ctx: CommandContext,
  options: NamedCursorOptions,
): Promise<NamedCursor | SwarmError> {
  const { name, signal, deadline, leaseMs = LEASE_MS } = options
  const holder = `${ctx.session}/${ctx.rid ?? ''}`
  const isNew = !(await exists(ctx, name))
  const start = isNew ? await options.start() : 0
  for (;;) {
    const asked = performance.now()
    try {
      const taken = await readFunction<{ seq: number; fence: number }>(
        ctx,
        'take_cursor',
        ctx.repo,
        name,
        holder,
        leaseMs,
        start,
      )
      return holdCursor(ctx, { ...taken, name, leaseMs, asked })
    } catch (error) {
      if (!(error instanceof SwarmError)) throw error
      const mayWait = options.ifBusy === 'wait' && error.retryable
      if (!mayWait || (deadline !== undefined && performance.now() >= deadline)) throw error
      const left = deadline === undefined ? RETRY_MS : deadline - performance.now()
      await pauseOrAbort(Math.min(RETRY_MS, left), signal)
      if (signal.aborted) return error
    }
  }
}

async function exists(ctx: CommandContext, name: string): Promise<boolean> {
  const rows = await ctx.db.read('select 1 as one from swarm.cursors where repo_id = $1 and name = $2', [
    ctx.repo,
    name,
  ])
  return rows.length > 0
}

interface Taken {
  readonly seq: number
  readonly fence: number
  readonly name: string
  readonly leaseMs: number
  /** `performance.now()` before it was taken. */
  readonly asked: number
}

function holdCursor(ctx: CommandContext, { seq, fence, name, leaseMs, asked }: Taken): NamedCursor {
  const key = `${ctx.repo}/${name}`
  const every = leaseMs / 3
  let heldSince = asked
  let lost = false
  let renewing = false

  /** Calls a function that answers whether the cursor is still ours and, if so, has renewed its lease. */
  async function call(statement: string, params: readonly (string | number)[]): Promise<void> {
    const from = performance.now()
    const [row] = await ctx.db.read<{ held: boolean }>(statement, params, { timeoutMs: Math.max(every, 500) })
    if (row?.held) heldSince = Math.max(heldSince, from)
    else lost = true
    if (lost) throw lostError()
  }
  const renew = () =>
    call('select swarm.renew_cursor($1, $2, $3::bigint, $4::integer) as held', [
      ctx.repo,
      name,
      fence,
      leaseMs,
    ])
  const lostError = () =>
    new SwarmError('CONFLICT', `another reader has taken the cursor ${name}`, {
      ctx: { cursor: name, fence },
      fix: { cmd: 'subscribe', ...(ctx.rid === undefined ? {} : { rid: ctx.rid }), cursor: name },
    })

  ctx.cursors.set(key, fence)
  const timer = setInterval(() => {
    if (renewing || lost) return
    renewing = true
    renew()
      // the database is away: the stream says so, and the next tick tries again
      .catch(() => {})
      .finally(() => {
        renewing = false
      })
  }, every)
  timer.unref()

  return {
    acked: seq,
    async hold() {
      if (lost) throw lostError()
      if (performance.now() - heldSince > leaseMs - every) await renew()
    },
    ack: (at) =>
      call('select swarm.advance_cursor($1, $2, $3::bigint, $4::bigint, $5::integer) as held', [
        ctx.repo,
        name,
        fence,
        at,
        leaseMs,
      ]),
    async release() {
      clearInterval(timer)
      if (ctx.cursors.get(key) === fence) ctx.cursors.delete(key)
      // not released, it is free when its lease has run out
      await ctx.db
        .read('select swarm.release_cursor($1, $2, $3::bigint)', [ctx.repo, name, fence], {
          timeoutMs: RELEASE_MS,
        })
        .catch(() => {})
    },
  }
}
