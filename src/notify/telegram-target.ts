import { SwarmError } from '../contract/errors.ts'
import { isJsonObject, type Json, type JsonObject } from '../contract/json.ts'
import type { TelegramConfig } from '../contract/notify-config.ts'
import { pauseOrAbort } from '../contract/pause.ts'
import { type Bot, type BotReply, makeBot } from './bot-api.ts'
import { isWanted } from './incidents.ts'
import { Pace } from './pace.ts'
import type { Attempt, Target } from './target.ts'
import { callsFor, type Message } from './telegram.ts'

/** Somebody who is told by Telegram, and may answer there. */
export interface TelegramTarget extends Target {
  readonly config: TelegramConfig
  readonly bot: Bot
}

const pace = new Pace()

/** INVALID when the token is none. */
export function telegramTarget(name: string, config: TelegramConfig, token: string): TelegramTarget {
  const api = (config.api_url ?? 'https://api.telegram.org').replace(/\/+$/, '')
  const bot = makeBot(token, api, config.allow_private ?? [])
  if (!bot) {
    throw new SwarmError('INVALID', `${config.token_env} is not the token of a bot`, {
      area: 'configuration',
      ctx: { kind: 'InvalidValue', field: `notify.${name}.token_env` },
    })
  }
  return {
    name,
    config,
    bot,
    wants: (notice, messages) =>
      notice.state === 'updated' || notice.state === 'resolved'
        ? messages.length > 0
        : isWanted(notice, config),
    async send(repo, notice, messages, signal) {
      let told = messages
      for (const call of callsFor(repo, notice, config.chat_id, messages, config.answers !== false)) {
        const ask = (body: JsonObject) => pacedCall(bot, config.chat_id, call.method, body, signal)
        const { reply_markup: buttons, ...plain } = call.body
        let reply = await ask(call.body)
        // a question without its buttons can still be answered
        if (reply.kind === 'refused' && buttons !== undefined) reply = await ask(plain)
        if (reply.kind === 'ok' && call.about === undefined) {
          const sent = sentMessage(reply.result)
          told = sent ? [...told, sent] : told
        }
        if (reply.kind === 'gone') told = told.filter((one) => one !== call.about)
        const failure = failureOf(reply)
        if (failure) return failure
      }
      return { ok: true, messages: told }
    },
  }
}

/** One request about a chat, in its time. What cannot be reached or does not answer is `failed`. */
export async function pacedCall(
  bot: Bot,
  chat: number | string,
  method: string,
  body: JsonObject,
  signal: AbortSignal,
): Promise<BotReply> {
  await pauseOrAbort(pace.take(String(chat), performance.now()), signal)
  try {
    const reply = await bot.call(method, body, { signal })
    if (reply.kind === 'later') pace.hold(String(chat), performance.now(), reply.ms)
    return reply
  } catch (error) {
    return { kind: 'failed', why: error instanceof Error ? error.message : 'failed' }
  }
}

/** What a reply means for the notice; undefined when it has been told. A message that is gone is told of no more until it escalates. */
function failureOf(reply: BotReply): Extract<Attempt, { ok: false }> | undefined {
  switch (reply.kind) {
    case 'ok':
    case 'same':
    case 'gone':
      return undefined
    case 'later':
      return { ok: false, verdict: 'later', why: reply.why, askedMs: reply.ms }
    case 'conflict':
    case 'failed':
      return { ok: false, verdict: 'away', why: reply.why, askedMs: 0 }
    default:
      return { ok: false, verdict: reply.kind, why: reply.why, askedMs: 0 }
  }
}

function sentMessage(result: Json): Message | undefined {
  if (!isJsonObject(result) || !isJsonObject(result.chat)) return undefined
  const { message_id: id } = result
  const { id: chat } = result.chat
  return typeof id === 'number' && typeof chat === 'number' ? { chat, id } : undefined
}
