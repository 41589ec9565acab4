import * as z from 'zod'
import { type CommandContext, defineCommand } from '../contract/command.ts'
import { type FixRequest, SwarmError } from '../contract/errors.ts'
import { EVENT_TYPES } from '../contract/events.ts'
import {
  agentId,
  beadId,
  cursorName,
  eventType,
  leaseMs,
  logPosition,
  messageType,
  repoId,
  stageName,
  text,
} from '../contract/fields.ts'
import type { JsonObject } from '../contract/json.ts'
import { formatCursor, type Log, parseCursor, readLog } from '../events/cursor.ts'
import { type EndReason, follow } from '../events/follow.ts'
import { streamLines } from '../events/lines.ts'
import { ITEM_KINDS, type LogFilter } from '../events/log-items.ts'
import { type NamedCursor, takeCursor } from '../events/named-cursor.ts'
import { settledNow } from '../events/start.ts'
import { parseUntil, UNTIL } from '../events/until.ts'

const HEARTBEAT_MS = 15_000

const input = z
  .strictObject({
    from: z
      .union([z.enum(['beginning', 'now']), logPosition])
      .optional()
      .describe('beginning, now, a sequence number, or a cursor; now by default'),
    cursor: cursorName.optional().describe('a cursor kept in the database: goes on after what was acked'),
    if_busy: z
      .enum(['fail', 'wait'])
      .optional()
      .describe('while another reader holds the cursor; fail by default'),
    lease_ms: leaseMs
      .optional()
      .describe('how long the cursor stays held when this reader dies; 30,000 by default'),
    auto_ack: z.boolean().optional().describe('ack before sending: each item comes at most once'),
    kinds: z.array(z.enum(ITEM_KINDS)).min(1).max(3).optional(),
    event_types: z.array(eventType).min(1).max(64).optional(),
    message_types: z.array(messageType).min(1).max(16).optional(),
    bead_id: beadId.optional(),
    agent_id: agentId.optional(),
    stage: stageName.optional(),
    run_id: text(200).optional(),
    repos: z.array(repoId).min(1).max(64).optional().describe('instead of this one'),
    for_agent: agentId.optional().describe('its messages, all broadcasts, its events and those of its bead'),
    until: z
      .string()
      .regex(UNTIL, { error: 'must be a sequence number, idle:2s, or bead:ID:done' })
      .optional()
      .describe('end at a sequence number, when idle, or when a bead is done'),
    limit: z.int().min(1).max(1_000_000_000).optional().describe('end after this many items'),
    wait_ms: z
      .int()
      .min(1)
      .max(86_400_000)
      .optional()
      .describe('end after this many ms; with until it is then TIMEOUT'),
    heartbeat: z.boolean().optional().describe('a line every 15 s when nothing else is sent'),
  })
  .refine((given) => !given.auto_ack || given.cursor !== undefined, {
    path: ['auto_ack'],
    error: 'needs a cursor to ack',
  })
type Given = z.output<typeof input>

class Stopped extends Error {}

export default defineCommand({
  name: 'subscribe',
  group: 'look',
  summary: 'follow events, messages and broadcasts as they happen, without gaps',
  input,
  output: z.object({
    kind: z.literal('end'),
    cursor: z.string(),
    count: z.int(),
    reason: z.enum(['until', 'limit', 'timeout', 'unsubscribed', 'input_ended', 'shutdown']),
  }),
  effect: 'read',
  // a named cursor is written to
  role: ({ cursor }) => (cursor === undefined ? 'observer' : 'agent'),
  speakers: ['for_agent'],
  errors: ['CONFLICT', 'BUSY', 'NOTFOUND'],
  examples: [
    {
      given: [{ cmd: 'record-event', event_type: 'progress', entity_id: 'build' }],
      in: { cmd: 'subscribe', rid: 's', from: 'beginning', event_types: ['progress'], until: 'idle:1s' },
      out: { kind: 'end', cursor: '$string', count: 1, reason: 'until' },
    },
  ],
  waits: () => true,
  async run(ctx, given) {
    const started = performance.now()
    const until = parseUntil(given.until)
    const bounded = until !== undefined || given.wait_ms !== undefined || given.limit !== undefined
    const bounds = {
      signal: bounded ? ctx.signal : AbortSignal.any([ctx.signal, ctx.inputEnd]),
      deadline: given.wait_ms === undefined ? undefined : started + given.wait_ms,
    }
    const lines = streamLines(ctx)
    const end = (log: Log, upTo: number, count: number, reason?: EndReason) => ({
      kind: 'end' as const,
      cursor: formatCursor(log, upTo),
      count,
      reason: reason ?? (ctx.stopping ? 'shutdown' : ctx.signal.aborted ? 'unsubscribed' : 'input_ended'),
    })
    const first = await readLog(ctx.db)
    const start = async (): Promise<number> => {
      const from = given.from ?? (given.cursor === undefined ? 'now' : 'beginning')
      if (from === 'beginning') return first.floor
      if (from !== 'now') return parseCursor(from, first, 'from')
      const settled = await settledNow(ctx, lines, bounds)
      if (settled !== undefined) return settled
      if (bounds.signal.aborted) throw new Stopped()
      throw new SwarmError('TIMEOUT', `an open transaction held the start up for ${given.wait_ms} ms`)
    }

    let cursor: NamedCursor | undefined
    try {
      if (given.cursor !== undefined) {
        const taken = await takeCursor(ctx, {
          ...bounds,
          name: given.cursor,
          start,
          ifBusy: given.if_busy ?? 'fail',
          leaseMs: given.lease_ms,
        })
        if (typeof taken === 'number') return end(first, taken, 0)
        cursor = taken
      }
      // the log has gone on while the cursor was waited for
      const log = cursor ? await readLog(ctx.db) : first
      const from = cursor ? ackedIn(log, given.cursor ?? '', cursor.acked) : await start()
      const unknown = await unknownTypes(given)
      await lines.send([
        {
          kind: 'start',
          cursor: formatCursor(log, from),
          ...(given.auto_ack ? { delivery: 'at most once' } : {}),
          ...(unknown.length > 0 ? { unknown } : {}),
        },
      ])
      const { upTo, count, reason } = await follow(ctx, {
        ...bounds,
        log,
        from,
        lines,
        filter: filterOf(ctx, given),
        until,
        limit: given.limit,
        heartbeatMs: given.heartbeat ? HEARTBEAT_MS : undefined,
        cursor,
        autoAck: given.auto_ack ?? false,
      })
      // also where only others' rows came last; a cursor that is lost or away has been told already
      if (given.auto_ack && upTo > from) await cursor?.ack(upTo).catch(() => {})
      if (reason === 'timeout' && until) {
        throw new SwarmError('TIMEOUT', `${given.until} was not reached in ${given.wait_ms} ms`, {
          ctx: { cursor: formatCursor(log, upTo), count },
        })
      }
      return end(log, upTo, count, reason)
    } catch (error) {
      if (error instanceof Stopped) return end(first, first.floor, 0)
      throw error instanceof SwarmError ? withFix(ctx, given, error) : error
    } finally {
      await cursor?.release()
    }
  },
})

function filterOf(ctx: CommandContext, given: Given): LogFilter {
  const { kinds, event_types, message_types, bead_id, agent_id, stage, run_id, for_agent } = given
  const repos = given.repos ?? [ctx.repo]
  return { repos, kinds, event_types, message_types, bead_id, agent_id, stage, run_id, for_agent }
}

/** Where a named cursor goes on. What it has not acked and is gone is CONFLICT: whoever accepts that acks up to the floor. */
function ackedIn(log: Log, name: string, acked: number): number {
  if (acked >= log.floor) return acked
  throw new SwarmError(
    'CONFLICT',
    `events up to ${log.floor} have been removed; the cursor ${name} is at ${acked}`,
    {
      ctx: { field: 'cursor', acked, log_floor: log.floor },
    },
  )
}

/** Types that swarm does not record itself and that look like one that it does. They may be somebody's own. */
async function unknownTypes({ event_types = [] }: Given) {
  const known: readonly string[] = EVENT_TYPES
  const others = event_types.filter((type) => !known.includes(type))
  if (others.length === 0) return []
  const { closest } = await import('../repair/nearest.ts')
  return others.flatMap((got) => {
    const nearest = closest(got, known)
    return nearest === undefined ? [] : [{ field: 'event_types', got, nearest }]
  })
}

/** The error with what would work instead: waiting for the cursor, going on after what is gone, or from where the log begins. */
function withFix(ctx: CommandContext, given: Given, error: SwarmError): SwarmError {
  const { code, area, ctx: facts, cause, retryable } = error
  const fix = error.fix ?? fixOf(ctx, given, error)
  return fix === undefined
    ? error
    : new SwarmError(code, error.message, { area, ctx: facts, fix, cause, retryable })
}

function fixOf(ctx: CommandContext, given: Given, { code, ctx: facts }: SwarmError): FixRequest | undefined {
  const again = {
    cmd: 'subscribe',
    ...(ctx.rid === undefined ? {} : { rid: ctx.rid }),
    // JSON, as it came in
    ...(JSON.parse(JSON.stringify(given)) as JsonObject),
  }
  if (code === 'BUSY' && facts.cursor !== undefined) return { ...again, if_busy: 'wait' }
  if (code !== 'CONFLICT') return undefined
  if (given.cursor !== undefined && facts.log_floor !== undefined)
    return { cmd: 'ack-cursor', cursor: given.cursor, at: facts.log_floor }
  return facts.field === 'from' || facts.position !== undefined ? { ...again, from: 'beginning' } : undefined
}
