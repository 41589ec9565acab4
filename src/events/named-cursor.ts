import type { CommandContext } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import { isJsonObject, type Json } from '../contract/json.ts'
import { pauseOrAbort } from '../contract/pause.ts'
import { refusalToError } from '../contract/refusal.ts'
import { retryWhileAway } from './while-away.ts'

const LEASE_MS = 30_000
const RETRY_MS = 500
const RELEASE_MS = 1_000
const TAKE_MS = 5_000

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
  /**
   * Calls a function of the database that writes under the cursor's fence, renews its lease and answers, as `held`, whether it is ours.
   * Its first parameters are the repo, the cursor's name, the fence and the lease in ms; `params` follow as $5 and on. Throws as `hold` does.
   */
  writeUnder(statement: string, params: readonly (string | number)[]): Promise<void>
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
 * Takes a named cursor and keeps its lease until it is released. Throws BUSY when it is held, or still held at the deadline. Answers
 * how far it had been acked when the signal aborts before it could be taken.
 */
export async function takeCursor(
  ctx: CommandContext,
  options: NamedCursorOptions,
): Promise<NamedCursor | number> {
  const { name, signal, deadline } = options
  const isNew = !(await exists(ctx, name))
  const start = isNew ? await options.start() : 0
  if (options.ifBusy === 'fail') {
    const taken = await take(ctx, options, start)
    if (taken instanceof SwarmError) throw taken
    return taken
  }
  for (let acked = start; ; ) {
    const onAway = async () => {}
    const taken = (await retryWhileAway(() => take(ctx, options, start), { signal, deadline, onAway }))?.value
    if (taken && !(taken instanceof SwarmError)) return taken
    if (signal.aborted) return acked
    if (taken) acked = Number(taken.ctx.acked ?? acked)
    const left = deadline === undefined ? RETRY_MS : deadline - performance.now()
    if (left <= 0) throw taken ?? new SwarmError('TIMEOUT', `the cursor ${name} could not be taken in time`)
    await pauseOrAbort(Math.min(RETRY_MS, left), signal)
  }
}

/** One attempt; BUSY is answered. */
async function take(
  ctx: CommandContext,
  { name, signal, leaseMs = LEASE_MS }: NamedCursorOptions,
  start: number,
): Promise<NamedCursor | SwarmError> {
  const asked = performance.now()
  const [row] = await ctx.db.read<{ d: Json }>(
    'select swarm.take_cursor($1, $2, $3, $4::integer, $5::bigint) as d',
    [ctx.repo, name, `${ctx.holder}/${ctx.rid ?? ''}`, leaseMs, start],
    { timeoutMs: TAKE_MS },
  )
  const d = isJsonObject(row?.d) ? row.d : {}
  if (d.refused !== undefined) return refusalToError(d.refused)
  const cursor = holdCursor(ctx, { seq: Number(d.seq), fence: Number(d.fence), name, leaseMs, asked })
  // told to stop meanwhile: nobody is left to take it
  if (signal.aborted) await cursor.release()
  return cursor
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
    writeUnder: (statement, params) => call(statement, [ctx.repo, name, fence, leaseMs, ...params]),
    async release() {
      clearInterval(timer)
      // not released, it is free when its lease has run out
      await ctx.db
        .read('select swarm.release_cursor($1, $2, $3::bigint)', [ctx.repo, name, fence], {
          timeoutMs: RELEASE_MS,
        })
        .catch(() => {})
    },
  }
}
