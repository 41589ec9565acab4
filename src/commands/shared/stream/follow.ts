import type { CommandContext } from '../../../contract/context.ts'
import { SwarmError } from '../../../contract/errors.ts'
import type { Json } from '../../../contract/json.ts'
import { formatCursor, type Log } from '../../../db/cursor.ts'
import type { LogFilter, LogItem } from '../../../db/log-items.ts'
import { type LogBatch, LogReader } from '../../../db/log-reader.ts'
import type { NamedCursor } from './named-cursor.ts'
import { pauseOrAbort } from './pause.ts'
import { beadIsDone, type Until } from './until.ts'

const STALLED_AFTER_MS = 1_000
const STALLED_EVERY_MS = 5_000
const AWAY_PAUSE_MS = 50
const SWEEP_EVERY_MS = 1_000
const AWAY_LONGEST_PAUSE_MS = 500

export type EndReason = 'until' | 'limit' | 'timeout' | 'unsubscribed' | 'input_ended' | 'shutdown'

export interface FollowOptions {
  readonly log: Log
  readonly from: number
  readonly filter: LogFilter
  readonly until: Until | undefined
  readonly limit: number | undefined
  /** `performance.now()` at which to end. */
  readonly deadline: number | undefined
  readonly heartbeatMs: number | undefined
  readonly cursor: NamedCursor | undefined
  readonly autoAck: boolean
  readonly signal: AbortSignal
}

export interface Followed {
  readonly upTo: number
  readonly count: number
  /** Undefined when the signal ended it. */
  readonly reason: 'until' | 'limit' | 'timeout' | undefined
}

/**
 * Sends the rows of the log from a position on, as they become final, until it is bounded or told to stop. A slow reader slows only
 * this stream: nothing is read before the last page has been taken. A database that is away is waited for.
 */
export async function follow(ctx: CommandContext, options: FollowOptions): Promise<Followed> {
  const { log, until, limit, deadline, heartbeatMs, cursor, signal } = options
  const reader = new LogReader(ctx.db, options.filter, options.from)
  const now = () => performance.now()
  let upTo = options.from
  let count = 0
  let lastItem = now()
  let lastLine = now()
  let lastNotice = 0
  let lastSweep = 0
  let awaySince: number | undefined
  let beadDone = false

  const send = async (lines: readonly Json[]) => {
    lastLine = now()
    await ctx.emit(lines)
  }
  const end = (reason: Followed['reason']): Followed => ({ upTo, count, reason })
  const notice = async (heldMs: number, why: { readonly [key: string]: Json }) => {
    if (heldMs < STALLED_AFTER_MS || now() - lastNotice < STALLED_EVERY_MS) return
    lastNotice = now()
    await send([{ kind: 'stalled', cursor: formatCursor(log, upTo), held_ms: Math.round(heldMs), ...why }])
  }

  while (!signal.aborted) {
    cursor?.check()
    let batch: LogBatch
    try {
      batch = await reader.step()
      awaySince = undefined
    } catch (error) {
      if (!(error instanceof SwarmError) || !error.retryable) throw error
      reader.reset()
      awaySince ??= now()
      if (deadline !== undefined && now() >= deadline) return end('timeout')
      await notice(now() - awaySince, { reason: error.code })
      await pauseOrAbort(Math.min(AWAY_LONGEST_PAUSE_MS, AWAY_PAUSE_MS + (now() - awaySince) / 4), signal)
      continue
    }

    const room = limit === undefined ? batch.items.length : limit - count
    const last = until?.kind === 'seq' ? until.seq : Number.POSITIVE_INFINITY
    const items = batch.items.filter(({ seq }) => seq <= last).slice(0, room)
    if (items.length > 0) {
      const until =
        items.length < batch.items.length ? (items.at(-1)?.seq ?? upTo) : Math.min(batch.upTo, last)
      if (options.autoAck) await cursor?.ack(until)
      await send(
        items.map(({ seq, item }) => ({
          kind: item.kind,
          cursor: formatCursor(log, seq),
          ...withoutKind(item),
        })),
      )
      await markDelivered(ctx, options.filter.for_agent, items)
      count += items.length
      lastItem = now()
      upTo = until
    } else upTo = Math.min(batch.upTo, Math.max(last, upTo))

    if (limit !== undefined && count >= limit) return end('limit')
    if (until?.kind === 'seq' && batch.upTo >= until.seq) return end('until')
    if (deadline !== undefined && now() >= deadline) return end('timeout')
    if (heartbeatMs !== undefined && now() - lastLine >= heartbeatMs) {
      await send([{ kind: 'heartbeat', cursor: formatCursor(log, upTo) }])
    }
    if (batch.held) {
      await notice(batch.held.ms, {
        reason: 'open_transaction',
        ...(batch.held.pid === undefined ? {} : { pid: batch.held.pid }),
      })
      await pauseOrAbort(batch.held.pauseMs, signal)
      continue
    }
    if (!batch.atHead) continue
    if (until?.kind === 'idle' && now() - lastItem >= until.ms) return end('until')
    if (until?.kind === 'bead') {
      // once it is done, one more look at the head brings what was said of it last
      if (beadDone) return end('until')
      beadDone = await beadIsDone(ctx, until.beadId)
      if (beadDone) continue
    }
    if (now() - lastSweep >= SWEEP_EVERY_MS) {
      lastSweep = now()
      // what time alone brings about: leases that ran out, messages that nobody acked; the next step tells of a lost database
      await ctx.db.read('select swarm.sweep($1)', [ctx.repo]).catch(() => {})
    }
    const due = [
      until?.kind === 'idle' ? lastItem + until.ms : undefined,
      deadline,
      heartbeatMs === undefined ? undefined : lastLine + heartbeatMs,
    ].filter((at) => at !== undefined)
    await ctx.db.waitForChange(null, Math.max(1, Math.min(1_000, ...due.map((at) => at - now()))), signal)
  }
  return end(undefined)
}

function withoutKind({ kind: _kind, ...rest }: LogItem): { readonly [key: string]: Json } {
  // rows of the log come from the database as JSON
  return rest as { readonly [key: string]: Json }
}

/** What was handed over for an agent counts as delivered: its senders see it. */
async function markDelivered(
  ctx: CommandContext,
  agent: number | undefined,
  items: readonly { readonly seq: number; readonly item: LogItem }[],
): Promise<void> {
  const messages = items.filter(({ item }) => item.kind === 'message').map(({ seq }) => seq)
  if (agent === undefined || messages.length === 0) return
  await ctx.db.read('select swarm.mark_delivered($1::integer, $2::text::jsonb)', [
    agent,
    JSON.stringify(messages),
  ])
}
