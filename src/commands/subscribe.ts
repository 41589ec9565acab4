import * as z from 'zod'
import { defineCommand } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import {
  agentId,
  beadId,
  cursorName,
  eventType,
  logPosition,
  messageType,
  repoId,
  stageName,
  text,
} from '../contract/fields.ts'
import { formatCursor, parseCursor, readLog } from '../db/cursor.ts'
import { settledSequence } from '../db/horizon.ts'
import { ITEM_KINDS, type LogFilter } from '../db/log-items.ts'
import { type EndReason, follow } from './shared/stream/follow.ts'
import { takeCursor } from './shared/stream/named-cursor.ts'
import { parseUntil, UNTIL } from './shared/stream/until.ts'

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
    const log = await readLog(ctx.db)
    const until = parseUntil(given.until)
    const bounded = until !== undefined || given.wait_ms !== undefined || given.limit !== undefined
    const signal = bounded ? ctx.signal : AbortSignal.any([ctx.signal, ctx.inputEnd])

    const start = async (): Promise<number> => {
      const from = given.from ?? (given.cursor === undefined ? 'now' : 'beginning')
      if (from === 'beginning') return log.floor
      if (from !== 'now') return parseCursor(from, log, 'from', 'subscribe')
      for (;;) {
        // a transaction that holds it up for long is waited for: beginning before it is settled could miss its rows
        const settled = await settledSequence(ctx.db)
        if (settled !== undefined || signal.aborted) return settled ?? log.last
      }
    }
    const cursor =
      given.cursor === undefined
        ? undefined
        : await takeCursor(ctx, { name: given.cursor, start, ifBusy: given.if_busy ?? 'fail', signal })
    try {
      const from = cursor
        ? parseCursor(cursor.acked, log, 'cursor')
        : given.cursor === undefined
          ? await start()
          : log.floor
      if (cursor && cursor.acked < log.floor) {
        throw new SwarmError(
          'CONFLICT',
          `events up to ${log.floor} have been removed; the cursor ${given.cursor} is at ${cursor.acked}`,
          {
            ctx: { field: 'cursor', acked: cursor.acked, log_floor: log.floor },
            ...(given.cursor === undefined
              ? {}
              : { fix: { cmd: 'ack-cursor', cursor: given.cursor, at: log.floor } }),
          },
        )
      }
      await ctx.emit([
        {
          kind: 'start',
          cursor: formatCursor(log, from),
          ...(given.auto_ack ? { delivery: 'at most once' } : {}),
        },
      ])
      const filter: LogFilter = {
        repos: given.repos ?? [ctx.repo],
        kinds: given.kinds,
        event_types: given.event_types,
        message_types: given.message_types,
        bead_id: given.bead_id,
        agent_id: given.agent_id,
        stage: given.stage,
        run_id: given.run_id,
        for_agent: given.for_agent,
      }
      const followed = await follow(ctx, {
        log,
        from,
        filter,
        until,
        limit: given.limit,
        deadline: given.wait_ms === undefined ? undefined : started + given.wait_ms,
        heartbeatMs: given.heartbeat ? HEARTBEAT_MS : undefined,
        cursor,
        autoAck: given.auto_ack ?? false,
        signal,
      })
      const { upTo, count } = followed
      if (followed.reason === 'timeout' && until) {
        throw new SwarmError('TIMEOUT', `${given.until} was not reached in ${given.wait_ms} ms`, {
          ctx: { cursor: formatCursor(log, upTo), count },
        })
      }
      const reason: EndReason =
        followed.reason ?? (ctx.stopping ? 'shutdown' : ctx.signal.aborted ? 'unsubscribed' : 'input_ended')
      return { kind: 'end' as const, cursor: formatCursor(log, upTo), count, reason }
    } finally {
      await cursor?.release()
    }
  },
})
