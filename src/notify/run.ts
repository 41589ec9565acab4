import type { CommandContext } from '../contract/command.ts'
import type { EventRow } from '../contract/events.ts'
import { isJsonObject, type Json, type JsonObject } from '../contract/json.ts'
import { pauseOrAbort } from '../contract/pause.ts'
import { formatCursor, readLog } from '../events/cursor.ts'
import { readEvents } from '../events/events.ts'
import { follow } from '../events/follow.ts'
import { settledNow } from '../events/start.ts'
import { type Held, patiently, whileHeld } from './held.ts'
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
  let sent = 0
  const quiet = { send: async () => {}, stalled: async () => {}, lastAt: 0 }
  await whileHeld(ctx, {
    name: cursorOf(target.name),
    signal,
    // a new target is told of what happens from now on
    start: async () => (await settledNow(ctx, quiet, { signal, deadline: undefined })) ?? 0,
    onLost: () => tell({ kind: 'lost', target: target.name }),
    work: (held) => serveHeld({ ctx, target, signal, tell, ...held }, () => (sent += 1)),
  })
  return sent
}

interface Serving extends Held {
  readonly ctx: CommandContext
  readonly target: Target
  readonly signal: AbortSignal
  readonly tell: Tell
}

async function serveHeld(serving: Serving, onSent: () => void): Promise<void> {
  const { ctx, target, signal, tell, cursor, restedMs } = serving
  const started = await patiently(signal, async () => {
    const log = await readLog(ctx.db)
    const from = Math.max(cursor.acked, log.floor)
    const kept = await readKept(ctx, target.name)
    return { log, from, kept, known: await knownAt(ctx, formatCursor(log, log.floor), from, restedMs) }
  })
  if (!started) return
  const { log, from, kept } = started.value
  if (from > cursor.acked) await tell({ kind: 'gap', target: target.name, from: cursor.acked, to: from })
  const incidents = new OpenIncidents(cursor, kept)
  const open = new Map(started.value.known.open)
  for (const [subject, { incident }] of kept) open.set(subject, incident)
  let known: Known = { ...started.value.known, open }
  let acked = from
  let lastAt = performance.now()
  await tell({ kind: 'ready', target: target.name, cursor: formatCursor(log, from) })

  // after each notice its incident is kept, so that it is not told again where a later one is being tried when this process dies
  const deliver = async ({ known: next, notices }: ReturnType<typeof observe>): Promise<boolean> => {
    for (const notice of notices) {
      const earlier = incidents.messagesOf(notice.subject)
      if (!target.wants(notice, earlier)) continue
      const taken = await sendUntilTaken(serving, notice, earlier)
      if (!taken) return false
      const incident = next.open.get(notice.subject)
      const keep = () => incidents.keepOne(notice.subject, incident, taken.messages, acked)
      if (!(await patiently(signal, keep))) return false
      if (taken.attempts === undefined) continue
      onSent()
      await tell({ kind: 'sent', ...saidOf(target, notice), attempt: taken.attempts })
    }
    known = next
    return true
  }
  await follow(ctx, {
    ...{ log, from, signal, cursor, autoAck: false },
    ...{ until: undefined, limit: undefined, deadline: undefined },
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
          const now = await patiently(signal, () => databaseTime(ctx))
          if (!now || !(await deliver(escalate(known, now.value)))) return
          acked = positionOf(line)
          if (!(await patiently(signal, () => incidents.keep(known.open, acked)))) return
        }
      },
    },
  })
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
  { ctx, target, cursor, signal, tell }: Serving,
  notice: Notice,
  messages: readonly Message[],
): Promise<{ readonly messages: readonly Message[]; readonly attempts: number | undefined } | undefined> {
  const said = saidOf(target, notice)
  let failed = 0
  for (let tries = 1; !signal.aborted; tries += 1) {
    // whoever was frozen in a pause must not send what its successor has sent
    if (!(await patiently(signal, () => cursor.hold()))) return undefined
    const attempt = await target.send(ctx.repo, notice, messages, signal)
    if (attempt.ok) return { messages: attempt.messages, attempts: tries }
    if (signal.aborted) return undefined
    const { verdict, why, askedMs } = attempt
    if (verdict === 'refused') {
      // sent again it would be refused again, and hold up what comes after it
      await tell({ kind: 'refused', ...said, why })
      return { messages, attempts: undefined }
    }
    if (verdict === 'failed' || verdict === 'away') failed += 1
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

/**
 * What was known at a position of the log, from the day before. Of what is open in it, a version without rows had told what had become worse
 * when it moved the cursor last, `restedMs` ago.
 */
async function knownAt(
  ctx: CommandContext,
  floor: string,
  position: number,
  restedMs: number,
): Promise<Known> {
  const now = await databaseTime(ctx)
  const query = {
    ...{ repo: ctx.repo, limit: PAGE, event_types: NOTIFIED_TYPES },
    from_time: new Date(now - LOOK_BACK_MS).toISOString(),
  }
  let known = NOTHING_KNOWN
  for (let after = floor; ; ) {
    const page = await readEvents(ctx.db, { ...query, after })
    const events = page.events.filter(({ sequence }) => sequence <= position)
    for (const event of events) known = observe(known, event).known
    if (!page.more || events.length < page.events.length) return escalate(known, now - restedMs).known
    after = page.cursor
  }
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
