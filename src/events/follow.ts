import type { CommandContext } from '../contract/command.ts'
import { LISTENER } from '../contract/context.ts'
import type { Json } from '../contract/json.ts'
import { pauseOrAbort } from '../contract/pause.ts'
import { formatCursor, type Log } from './cursor.ts'
import { openTransaction, type StreamLines } from './lines.ts'
import type { LogFilter, LogItem } from './log-items.ts'
import { type LogBatch, LogReader } from './log-reader.ts'
import type { NamedCursor } from './named-cursor.ts'
import { beadIsDone, type Until } from './until.ts'
import { retryWhileAway } from './while-away.ts'

/**
 * A busy log that holds nothing for this reader is looked at less and less often, whatever is announced, until all readers together
 * look twenty times a second: the more of them, the less they slow the writers.
 */
const FREE_MISSES = 4
const MISS_MS_PER_READER = 50
const LONGEST_MISS_MS = 1_000
/** Together they sweep ten times a second at most, each once a second at most. */
const SWEEP_EVERY_MS = 1_000
const SWEEP_MS_PER_READER = 100
/** For what is done beside the stream: a connection that does not answer must not hold it up for long. */
const ASIDE_MS = 3_000
/** Where nothing of the log is for this reader, its cursor follows at most so often. */
const ACK_EVERY_MS = 1_000

export type EndReason = 'until' | 'limit' | 'timeout' | 'unsubscribed' | 'input_ended' | 'shutdown'

export interface FollowOptions {
  readonly log: Log
  readonly from: number
  readonly lines: StreamLines
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

type Items = LogBatch['items']

/**
 * Sends the rows of the log from a position on, as they become final, until it is bounded or told to stop. A slow reader slows only
 * this stream: nothing is read before the last page has been taken. A database that is away is waited for.
 */
export async function follow(ctx: CommandContext, options: FollowOptions): Promise<Followed> {
  const { log, lines, until, limit, deadline, heartbeatMs, cursor, signal } = options
  const reader = new LogReader(ctx.db, log, options.filter, options.from)
  const now = () => performance.now()
  let upTo = options.from
  let count = 0
  let lastItem = now()
  let lastSweep = 0
  let lastAck = now()
  let misses = 0
  let readers = 1
  let beadDone = false

  const end = (reason: Followed['reason']): Followed => ({ upTo, count, reason })
  const here = () => formatCursor(log, upTo)
  const patiently = <T>(work: () => Promise<T>) =>
    retryWhileAway(work, {
      signal,
      deadline,
      onAway: (ms, { code }) => lines.stalled(ms, { reason: code }, here()),
    })

  while (!signal.aborted) {
    const step = await patiently(() => reader.step())
    if (!step) break
    const batch = step.value
    const isMiss = batch.items.length === 0 && batch.upTo > upTo
    const room = limit === undefined ? batch.items.length : limit - count
    const last = until?.kind === 'seq' ? until.seq : Number.POSITIVE_INFINITY
    const items = batch.items.filter(({ seq }) => seq <= last).slice(0, room)
    if (items.length > 0) {
      const isCut = items.length < batch.items.length
      const next = isCut ? (items.at(-1)?.seq ?? upTo) : Math.min(batch.upTo, last)
      // whoever has lost the cursor must not send what its successor may have acked
      const isHeld = await patiently(async () => {
        await (options.autoAck ? cursor?.ack(next) : cursor?.hold())
      })
      if (!isHeld) break
      await lines.send(items.map(({ seq, item }) => toLine(formatCursor(log, seq), item)))
      upTo = next
      count += items.length
      lastItem = now()
      await patiently(() => markDelivered(ctx, options.filter.for_agent, items))
    } else {
      upTo = Math.min(batch.upTo, Math.max(last, upTo))
      // what was passed over is read too: else retention would overtake a reader whom nothing concerns
      if (isMiss && options.autoAck && now() - lastAck >= ACK_EVERY_MS) {
        lastAck = now()
        if (!(await patiently(async () => cursor?.ack(upTo)))) break
      }
    }

    if (limit !== undefined && count >= limit) return end('limit')
    if (until?.kind === 'seq' && batch.upTo >= until.seq) return end('until')
    if (deadline !== undefined && now() >= deadline) return end('timeout')
    if (heartbeatMs !== undefined && now() - lines.lastAt >= heartbeatMs) {
      await lines.send([{ kind: 'heartbeat', cursor: here() }])
    }
    if (batch.held) {
      await lines.stalled(batch.held.ms, openTransaction(batch.held.pid), here())
      await pauseOrAbort(batch.held.pauseMs, signal)
      continue
    }
    if (!batch.atHead) continue
    if (until?.kind === 'idle' && now() - lastItem >= until.ms) return end('until')
    if (until?.kind === 'bead') {
      // once it is done, one more look at the head brings what was said of it last
      if (beadDone) return end('until')
      beadDone = (await patiently(() => beadIsDone(ctx, options.filter.repos, until.beadId)))?.value ?? false
      if (beadDone) continue
    }
    if (now() - lastSweep >= Math.max(SWEEP_EVERY_MS, readers * SWEEP_MS_PER_READER)) {
      lastSweep = now()
      // the next step tells of a lost database
      readers = await sweep(ctx, options.filter.repos).catch(() => readers)
    }
    const due = [
      until?.kind === 'idle' ? lastItem + until.ms : undefined,
      deadline,
      heartbeatMs === undefined ? undefined : lines.lastAt + heartbeatMs,
    ].filter((at) => at !== undefined)
    const longest = Math.max(1, Math.min(1_000, ...due.map((at) => at - now())))
    misses = isMiss ? misses + 1 : 0
    if (misses > FREE_MISSES) {
      const pauseMs = Math.min(
        2 ** (misses - FREE_MISSES),
        readers * MISS_MS_PER_READER,
        LONGEST_MISS_MS,
        longest,
      )
      await pauseOrAbort(pauseMs, signal)
      continue
    }
    const [repo = null, another] = options.filter.repos
    await ctx.db.waitForChange(another === undefined ? repo : null, longest, signal)
  }
  return end(signal.aborted ? undefined : 'timeout')
}

function toLine(cursor: string, { kind, ...rest }: LogItem): Json {
  // rows of the log come from the database as JSON
  return { kind, cursor, ...(rest as { readonly [key: string]: Json }) }
}

/** What was handed over for an agent counts as delivered: its senders see it. */
async function markDelivered(ctx: CommandContext, agent: number | undefined, items: Items): Promise<void> {
  const messages = items.filter(({ item }) => item.kind === 'message').map(({ seq }) => seq)
  if (agent === undefined || messages.length === 0) return
  const params = [agent, JSON.stringify(messages)]
  const options = { timeoutMs: ASIDE_MS }
  await ctx.db.read('select swarm.mark_delivered($1::integer, $2::text::jsonb)', params, options)
}

/** Brings about what time alone does: leases that ran out, messages that nobody acked. Answers how many processes listen, at least 1. */
async function sweep(ctx: CommandContext, repos: readonly string[]): Promise<number> {
  const [row] = await ctx.db.read<{ readers: number }>(
    `select (select count(swarm.sweep(repo)) from json_array_elements_text($1::text::json) repo), (select count(*)::integer from pg_stat_activity
       where datname = current_database() and application_name like $2 || '%') as readers`,
    [JSON.stringify(repos), LISTENER],
    { timeoutMs: ASIDE_MS },
  )
  return Math.max(1, row?.readers ?? 1)
}
