import * as z from 'zod'
import { type CommandContext, defineCommand } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import type { JsonObject } from '../contract/json.ts'
import { targetName } from '../contract/notify-config.ts'
import type { Bot } from '../notify/bot-api.ts'
import type { Target } from '../notify/target.ts'
import type { TelegramTarget } from '../notify/telegram-target.ts'

const targetRow = z.object({
  name: z.string(),
  kind: z.enum(['webhook', 'telegram']),
  to: z.string().describe('the host, or the chat'),
  severity: z.string(),
  types: z.array(z.string()).optional(),
  secret: z.boolean().describe('whether its secret is in the environment'),
  answers: z.boolean().optional().describe('whether questions are answered there'),
  sequence: z.int().optional().describe('how far it has been told; absent before its first run'),
})

const output = z.object({
  action: z.enum(['test', 'list', 'run']),
  targets: z.array(targetRow).optional(),
  sent: z.int().optional().describe('notices that were taken'),
})
type Output = z.output<typeof output>

export default defineCommand({
  name: 'notify',
  group: 'run',
  summary: 'tell people outside, by webhook or Telegram, what needs them',
  input: z.strictObject({
    action: z
      .enum(['test', 'list', 'run'])
      .describe('test: send one message now; list: the targets; run: tell until told to stop'),
    target: targetName.optional().describe('only this one of [notify.NAME]; all of them by default'),
  }),
  output,
  effect: 'read',
  role: 'operator',
  hostBound: true,
  alone: true,
  errors: ['NOTFOUND', 'CONFLICT'],
  positional: ['action', 'target'],
  examples: [{ in: { cmd: 'notify', action: 'list' }, out: { action: 'list', targets: [] } }],
  waits: ({ action }) => action !== 'list',
  async run(ctx, { action, target }): Promise<Output> {
    // a target is told nothing before the user has trusted it
    if (action !== 'list' && ctx.root?.distrust) throw ctx.root.distrust
    const chosen = choose(ctx, target)
    if (action === 'list') return { action, targets: await list(ctx, chosen) }
    if (chosen.length === 0) {
      throw new SwarmError('INVALID', 'nobody is to be told: .swarm/config.toml has no [notify.NAME]', {
        area: 'configuration',
        ctx: { kind: 'MissingField', field: 'notify' },
      })
    }
    const { makeTarget } = await import('../notify/make-target.ts')
    const targets = chosen.map(([name, config]) => makeTarget(name, config, ctx.env))
    const stop = new AbortController()
    const signal = AbortSignal.any([ctx.signal, ctx.inputEnd, stop.signal])
    if (action === 'test') {
      const { testNotice } = await import('../notify/test-notice.ts')
      for (const one of targets) {
        const attempt = await one.send(ctx.repo, testNotice(ctx.key, Date.now()), [], ctx.signal)
        if (!attempt.ok)
          throw new SwarmError('DEPENDENCY', `${one.name} did not take the message: ${attempt.why}`, {
            ctx: { target: one.name },
            fix: { cmd: 'notify', action: 'test', target: one.name },
          })
      }
      return { action, sent: targets.length }
    }
    const { serveTarget } = await import('../notify/run.ts')
    const { receiveAnswers } = await import('../notify/receive.ts')
    const tell = (line: JsonObject) => ctx.emit([line])
    const whole = async <T>(part: Promise<T>): Promise<T> => {
      try {
        return await part
      } catch (error) {
        // a part that cannot go on ends all: whoever started this must see it
        stop.abort()
        throw error
      }
    }
    const readers = answeringBots(targets).map(([bot, own]) => receiveAnswers(ctx, bot, own, signal, tell))
    const ends = [
      ...targets.map((one) => whole(serveTarget(ctx, one, signal, tell))),
      ...readers.map((one) => whole(one.then(() => 0))),
    ]
    const settled = await Promise.allSettled(ends)
    for (const one of settled) if (one.status === 'rejected') throw one.reason
    return {
      action,
      sent: settled.reduce((sum, one) => sum + (one.status === 'fulfilled' ? one.value : 0), 0),
    }
  },
})

/** The bots that are listened to, each with the targets where it is answered. */
function answeringBots(targets: readonly (Target | TelegramTarget)[]): [Bot, TelegramTarget[]][] {
  const bots = new Map<string, [Bot, TelegramTarget[]]>()
  for (const target of targets) {
    if (!('bot' in target) || target.config.answers === false) continue
    const [, others] = bots.get(target.bot.id) ?? [target.bot, []]
    bots.set(target.bot.id, [target.bot, [...others, target]])
  }
  return [...bots.values()]
}

type Chosen = [string, NonNullable<NonNullable<CommandContext['root']>['config']['notify']>[string]][]

function choose(ctx: CommandContext, target: string | undefined): Chosen {
  const all = Object.entries(ctx.root?.config.notify ?? {})
  if (target === undefined) return all
  const found = all.filter(([name]) => name === target)
  if (found.length > 0) return found
  throw new SwarmError('NOTFOUND', `.swarm/config.toml has no [notify.${target}]`, {
    ctx: { field: 'target', got: target, valid: all.map(([name]) => name) },
    fix: { cmd: 'notify', action: 'list' },
  })
}

async function list(ctx: CommandContext, chosen: Chosen): Promise<NonNullable<Output['targets']>> {
  const rows = await ctx.db.read<{ name: string; seq: number }>(
    `select name, seq::float8 as seq from swarm.cursors where repo_id = $1 and name like 'notify.%'`,
    [ctx.repo],
  )
  return chosen.map(([name, config]) => ({
    ...{ name, kind: config.kind, severity: config.severity ?? 'warning' },
    to: config.kind === 'webhook' ? new URL(config.url).host : String(config.chat_id),
    ...(config.types ? { types: config.types } : {}),
    ...(config.kind === 'telegram' ? { answers: config.answers !== false } : {}),
    secret: Boolean(ctx.env[config.kind === 'webhook' ? config.secret_env : config.token_env]),
    ...sequenceOf(rows.find((row) => row.name === `notify.${name}`)),
  }))
}

function sequenceOf(row: { readonly seq: number } | undefined) {
  return row === undefined ? {} : { sequence: row.seq }
}
