import * as z from 'zod'
import { type CommandContext, defineCommand } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import { timestamp } from '../contract/fields.ts'
import { formatCursor, readLog } from '../events/cursor.ts'
import { settledSequence } from '../events/horizon.ts'

const AGE = /^(\d{1,6})(m|h|d)$/
const UNIT_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 }
/** How long audit rows are kept where nothing else is configured. */
const AUDIT_RETENTION = '30d'
/** Rows that one transaction removes. */
const BATCH = 20_000

const output = z.object({
  events: z.int().describe('removed'),
  audit: z.int().describe('removed'),
  log_floor: z.int().describe('readers below it are told'),
})

export default defineCommand({
  name: 'prune',
  group: 'set up',
  summary:
    'remove events and audit rows of all repos that are older than a time; by default, audit rows of 30 days',
  input: z.strictObject({
    before: z
      .union([timestamp, z.string().regex(AGE, { error: 'must be a time, or an age like 30d, 12h, 90m' })])
      .optional()
      .describe('retention of .swarm/config.toml by default; without that no event is removed'),
  }),
  output,
  effect: 'write',
  reach: () => 'database',
  errors: ['BUSY'],
  examples: [
    {
      given: [{ cmd: 'record-event', event_type: 'progress', entity_id: 'build' }],
      in: { cmd: 'prune', before: '3650d' },
      out: { events: 0, audit: 0, log_floor: '$int' },
    },
    { in: { cmd: 'prune' }, out: { events: 0, audit: 0, log_floor: '$int' } },
  ],
  async run(ctx, input) {
    const { before, audit_before } = await limitsOf(ctx, input)
    // nothing of the log is to go: nobody need wait until it is settled
    const settled = before === undefined ? 0 : await settledSequence(ctx.db)
    if (settled === undefined) {
      throw new SwarmError(
        'BUSY',
        'a transaction that writes to the log is still open; nothing was removed',
        {
          fix: { cmd: 'prune', ...input },
        },
      )
    }
    const total = { events: 0, audit: 0, log_floor: 0 }
    for (let part = 0; ; part++) {
      const { d } = await ctx.db.write({
        cmd: 'prune',
        repo: ctx.repo,
        args: { ...(before === undefined ? {} : { before }), audit_before },
        proc: { settled, rows: BATCH },
        key: `${ctx.key}/${part}`,
      })
      total.events += Number(d.events)
      total.audit += Number(d.audit)
      total.log_floor = Number(d.log_floor)
      if (!d.more || ctx.signal.aborted) return total
    }
  },
  async dry(ctx, input) {
    const { before, audit_before } = await limitsOf(ctx, input)
    const audit = `remove audit rows written before ${audit_before}`
    if (before === undefined) return [audit]
    const log = await readLog(ctx.db)
    const [row] = await ctx.db.read<{ events: number }>(
      'select count(*)::float8 as events from swarm.execution_events where created_at < $1::timestamptz',
      [before],
    )
    return [
      `remove up to ${row?.events ?? 0} events written before ${before}; the log begins at ${formatCursor(log, log.floor)} now`,
      audit,
    ]
  },
})

/** Before when events and audit rows go: as the request says, else as the configuration does. Events stay unless one of them says so. */
async function limitsOf(
  ctx: CommandContext,
  input: { readonly before?: string | undefined },
): Promise<{ readonly before: string | undefined; readonly audit_before: string }> {
  const { retention, audit_retention } = ctx.root?.config ?? {}
  const events = input.before ?? retention
  const audit = input.before ?? audit_retention ?? retention ?? AUDIT_RETENTION
  const before = events === undefined ? undefined : await timeOf(ctx, events)
  return { before, audit_before: audit === events && before ? before : await timeOf(ctx, audit) }
}

/** An age counts back from the database's clock. */
async function timeOf(ctx: CommandContext, before: string): Promise<string> {
  const [, count, unit] = AGE.exec(before) ?? []
  if (count === undefined) return before
  const [row] = await ctx.db.read<{ at: string }>(
    'select swarm.iso(clock_timestamp() - make_interval(secs => $1::double precision)) as at',
    [(Number(count) * (UNIT_MS[unit ?? 'd'] ?? UNIT_MS.d ?? 0)) / 1_000],
  )
  return row?.at ?? before
}
