import type { CommandContext } from '../../../contract/context.ts'
import { SwarmError } from '../../../contract/errors.ts'
import { readFunction } from '../read.ts'
import { pauseOrAbort } from './pause.ts'

const LEASE_MS = 30_000
const RETRY_MS = 500

/** A cursor kept in the database, held by this reader under a lease with a fence. */
export interface NamedCursor {
  /** How far it had been acked when it was taken. */
  readonly acked: number
  /** Throws CONFLICT once another reader has taken it. */
  check(): void
  /** Acks up to a sequence number. */
  ack(seq: number): Promise<void>
  release(): Promise<void>
}

export interface NamedCursorOptions {
  readonly name: string
  /** Where a cursor that does not exist yet begins. */
  readonly start: () => Promise<number>
  /** What to do while another reader holds it. */
  readonly ifBusy: 'wait' | 'fail'
  readonly signal: AbortSignal
}

/** Takes a named cursor and keeps its lease until it is released. BUSY when it is held; undefined when told to stop meanwhile. */
export async function takeCursor(
  ctx: CommandContext,
  options: NamedCursorOptions,
): Promise<NamedCursor | undefined> {
  const { name, signal } = options
  const holder = `${ctx.session}/${ctx.rid ?? ''}`
  const key = `${ctx.repo}/${name}`
  const start = await options.start()
  let taken: { readonly seq: number; readonly fence: number } | undefined
  while (!taken) {
    if (signal.aborted) return undefined
    try {
      taken = await readFunction<{ seq: number; fence: number }>(
        ctx,
        'take_cursor',
        ctx.repo,
        name,
        holder,
        LEASE_MS,
        start,
      )
    } catch (error) {
      if (!(error instanceof SwarmError) || error.code !== 'BUSY' || options.ifBusy === 'fail') throw error
      await pauseOrAbort(RETRY_MS, signal)
    }
  }
  const { seq, fence } = taken
  let lost = false
  ctx.cursors.set(key, fence)
  const timer = setInterval(() => {
    ctx.db
      .read<{ renewed: boolean }>('select swarm.renew_cursor($1, $2, $3::bigint, $4::integer) as renewed', [
        ctx.repo,
        name,
        fence,
        LEASE_MS,
      ])
      .then(([row]) => {
        lost ||= row?.renewed === false
      })
      // the database is away: the stream says so, and the next tick tries again
      .catch(() => {})
  }, LEASE_MS / 3)
  timer.unref()
  return {
    acked: seq,
    check() {
      if (!lost) return
      throw new SwarmError('CONFLICT', `another reader has taken the cursor ${name}`, {
        ctx: { cursor: name, fence },
        fix: { cmd: 'subscribe', cursor: name },
      })
    },
    async ack(at) {
      await ctx.execute({ cmd: 'ack-cursor', cursor: name, at, fence })
    },
    async release() {
      clearInterval(timer)
      if (ctx.cursors.get(key) === fence) ctx.cursors.delete(key)
      // not released, it is free when its lease has run out
      await ctx.db
        .read('select swarm.release_cursor($1, $2, $3::bigint)', [ctx.repo, name, fence])
        .catch(() => {})
    },
  }
}
