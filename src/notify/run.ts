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
import { OpenIncidents, readKept } from './kept.ts'
import { pauseOf } from './retry-times.ts'
import type { Target } from './target.ts'
import type { Message } from './telegram.ts'

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
  const lastAlive = (await patiently(() => aliveAt(ctx, name)))?.value ?? 0
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
    // what a version without rows had told when it moved the cursor last
    const before = escalate(await knownAt(ctx, formatCursor(log, log.floor), from), lastAlive).known
    const kept = await readKept(ctx, target.name)
    const incidents = new OpenIncidents(cursor, kept)
    const open = new Map(before.open)
    for (const [subject, { incident }] of kept) open.set(subject, incident)
    let known: Known = { ...before, open }
    let acked = from
    await tell({ kind: 'ready', target: target.name, cursor: formatCursor(log, from) })

    // after each notice its incident is kept, so that it is not told again where a later one is being tried when this process dies
    const deliver = async ({ known: next, notices }: ReturnType<typeof observe>): Promise<boolean> => {
      for (const notice of notices) {
        const earlier = incidents.messagesOf(notice.subject)
        if (!target.wants(notice, earlier)) continue
        const taken = await sendUntilTaken(ctx, target, notice, earlier, signal, tell)
        if (!taken) return false
        const incident = next.open.get(notice.subject)
        const keep = () => incidents.keepOne(notice.subject, incident, taken.messages, acked)
        if (!(await patiently(keep))) return false
        if (taken.attempts === undefined) continue
        sent += 1
        await tell({ kind: 'sent', ...saidOf(target, notice), attempt: taken.attempts })
      }
      known = next
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
            if (!(await deliver(observed(known, line)))) return
            const now = await patiently(() => databaseTime(ctx))
            if (!now || !(await deliver(escalate(known, now.value)))) return
            acked = positionOf(line)
            if (!(await patiently(() => incidents.keep(known.open, acked)))) return
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

/**
 * Sends a notice until it is taken, and answers the messages that tell of its incident then and how many attempts it took (undefined when it
 * will never be taken); undefined when the signal aborts before.
 */
async function sendUntilTaken(
  ctx: CommandContext,
  target: Target,
  notice: Notice,
  messages: readonly Message[],
  signal: AbortSignal,
  tell: Tell,
): Promise<{ readonly messages: readonly Message[]; readonly attempts: number | undefined } | undefined> {
  const said = saidOf(target, notice)
  let failed = 0
  for (let tries = 1; !signal.aborted; tries += 1) {
    const attempt = await target.send(ctx.repo, notice, messages, signal)
    if (attempt.ok) return { messages: attempt.messages, attempts: tries }
    if (signal.aborted) return undefined
    const { verdict, why, askedMs } = attempt
    if (verdict === 'refused') {
      // sent again it would be refused again, and hold up what comes after it
      await tell({ kind: 'refused', ...said, why })
      return { messages, attempts: undefined }
    }
    if (verdict === 'failed') failed += 1
    const pauseMs = pauseOf(verdict, failed, Math.random(), askedMs)
    const kind = verdict === 'closed' ? 'closed' : 'failed'
    await tell({ kind, ...said, attempt: tries, why, again_in_ms: pauseMs })
    await pauseOrAbort(pauseMs, signal)
  }
  return undefined
}

function saidOf(target: Target, { subject, state, severity, text }: Notice) {
  return { target: target.name, subject, state, severity, text }
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

/** The time by which events are dated, in ms of the epoch: a clock of this machine that jumps makes nothing worse. */
async function databaseTime(ctx: CommandContext): Promise<number> {
  const [row] = await ctx.db.read<{ at: number }>(
    'select (extract(epoch from clock_timestamp()) * 1000)::float8 as at',
    [],
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
