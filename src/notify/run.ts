import type { CommandContext } from '../contract/command.ts'
import type { EventRow } from '../contract/events.ts'
import { isJsonObject, type Json, type JsonObject } from '../contract/json.ts'
import { pauseOrAbort } from '../contract/pause.ts'
import { formatCursor, readLog } from '../events/cursor.ts'
import { readEvents } from '../events/events.ts'
import { follow } from '../events/follow.ts'
import { takeCursor } from '../events/named-cursor.ts'
import { settledNow } from '../events/start.ts'
import { retryWhileAway } from '../events/while-away.ts'
import { escalate, type Known, NOTHING_KNOWN, NOTIFIED_TYPES, type Notice, observe } from './incidents.ts'
import { pauseAfter } from './retry-times.ts'
import type { Target } from './target.ts'

/** How often open incidents are looked at while the log is quiet. */
const LOOK_MS = 10_000
/** How far back the log is read at a start, for incidents that are still open. */
const LOOK_BACK_MS = 86_400_000
const PAGE = 1_000
/** How long a target stays with a process that has died. */
const LEASE_MS = 10_000

/** Says what happens, as lines of the answer. */
type Tell = (line: JsonObject) => Promise<void>

/**
 * Tells one target of what happens until the signal aborts; answers how many notices it took. Its cursor moves on only after a notice
 * has been taken, so nothing is lost while this process, the database or the receiver is away; what was being sent at a crash is sent
 * again under the same id. While another process serves the target this one waits.
 */
export async function serveTarget(
  ctx: CommandContext,
  target: Target,
  signal: AbortSignal,
  tell: Tell,
): Promise<number> {
  const name = cursorOf(target.name)
  const patiently = <T>(work: () => Promise<T>) =>
    retryWhileAway(work, { signal, deadline: undefined, onAway: async () => {} })
  let lastAt = performance.now()
  const quiet = { send: async () => {}, stalled: async () => {}, lastAt: 0 }
  const lastAlive = await aliveAt(ctx, name)
  const taken = await takeCursor(ctx, {
    ...{ name, ifBusy: 'wait' as const, leaseMs: LEASE_MS, deadline: undefined, signal },
    // a new target is told of what happens from now on
    start: async () => (await settledNow(ctx, quiet, { signal, deadline: undefined })) ?? 0,
  })
  if (typeof taken === 'number') return 0
  const cursor = taken
  let sent = 0
  try {
    const log = await readLog(ctx.db)
    const from = Math.max(cursor.acked, log.floor)
    if (from > cursor.acked) await tell({ kind: 'gap', target: target.name, from: cursor.acked, to: from })
    let known = await knownAt(ctx, formatCursor(log, log.floor), from)
    // what had become worse before the last sign of life has been told
    known = escalate(known, lastAlive).known

    await tell({ kind: 'ready', target: target.name, cursor: formatCursor(log, from) })

    const deliver = async (notices: readonly Notice[]): Promise<boolean> => {
      for (const notice of notices) {
        if (!target.wants(notice)) continue
        if (!(await sendUntilTaken(ctx, target, notice, signal, tell))) return false
        sent += 1
      }
      return true
    }
    await follow(ctx, {
      ...{
        log,
        from,
        signal,
        until: undefined,
        limit: undefined,
        deadline: undefined,
        autoAck: false,
        cursor,
      },
      filter: { repos: [ctx.repo], kinds: ['event'], event_types: NOTIFIED_TYPES },
      heartbeatMs: LOOK_MS,
      lines: {
        get lastAt() {
          return lastAt
        },
        stalled: async (ms, why) =>
          tell({ kind: 'stalled', target: target.name, held_ms: Math.round(ms), ...why }),
        async send(lines) {
          lastAt = performance.now()
          for (const line of lines) {
            const step = observed(known, line)
            const late = escalate(step.known, Date.now())
            if (!(await deliver([...step.notices, ...late.notices]))) return
            known = late.known
            await patiently(() => cursor.ack(positionOf(line)))
          }
        },
      },
    })
  } finally {
    await cursor.release()
  }
  return sent
}

/** The cursor of a target. */
export function cursorOf(target: string): string {
  return `notify.${target}`
}

/** Sends a notice until it is taken, at the times of `pauseAfter`; false when the signal aborts before. */
async function sendUntilTaken(
  ctx: CommandContext,
  target: Target,
  notice: Notice,
  signal: AbortSignal,
  tell: Tell,
): Promise<boolean> {
  const { subject, state, severity, text } = notice
  for (let failed = 0; !signal.aborted; ) {
    const attempt = await target.send(ctx.repo, notice, signal)
    const said = { target: target.name, subject, state, severity, text }
    if (attempt.ok) {
      await tell({ kind: 'sent', ...said, attempt: failed + 1 })
      return true
    }
    if (signal.aborted) return false
    failed += 1
    const pauseMs = Math.round(pauseAfter(failed, Math.random(), attempt.askedMs))
    await tell({ kind: 'failed', ...said, attempt: failed, why: attempt.why, again_in_ms: pauseMs })
    await pauseOrAbort(pauseMs, signal)
  }
  return false
}

/** What was open at a position of the log, from the day before it. */
async function knownAt(ctx: CommandContext, floor: string, position: number): Promise<Known> {
  let known = NOTHING_KNOWN
  const from_time = new Date(Date.now() - LOOK_BACK_MS).toISOString()
  for (let after = floor; ; ) {
    const page = await readEvents(ctx.db, { repo: ctx.repo, after, from_time, limit: PAGE })
    for (const event of page.events) {
      if (event.sequence > position) return known
      known = observe(known, event).known
    }
    if (!page.more) return known
    after = page.cursor
  }
}

/** When the cursor was last moved, in ms of the epoch; 0 when there is none. */
async function aliveAt(ctx: CommandContext, name: string): Promise<number> {
  const [row] = await ctx.db.read<{ at: number }>(
    `select (extract(epoch from updated_at) * 1000)::float8 as at from swarm.cursors where repo_id = $1 and name = $2`,
    [ctx.repo, name],
  )
  return row?.at ?? 0
}

function observed(known: Known, line: Json): ReturnType<typeof observe> {
  if (!isJsonObject(line) || line.kind !== 'event') return { known, notices: [] }
  // a row of the log, as the reader made it
  return observe(known, line as unknown as EventRow)
}

function positionOf(line: Json): number {
  const cursor = isJsonObject(line) ? String(line.cursor) : ''
  return Number(cursor.slice(cursor.indexOf(':') + 1))
}
