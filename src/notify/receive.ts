import type { CommandContext } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import type { JsonObject } from '../contract/json.ts'
import { pauseOrAbort } from '../contract/pause.ts'
import type { NamedCursor } from '../events/named-cursor.ts'
import { answerOf, MOST_UPDATES, readUpdate, type Said, standingOf, updatesAfter } from './answers.ts'
import type { Bot, BotReply } from './bot-api.ts'
import { patiently, whileHeld } from './held.ts'
import { questionAbout } from './kept.ts'
import { pauseOf as pauseAfterReply } from './retry-times.ts'
import { pacedCall, type TelegramTarget } from './telegram-target.ts'

/** How long Telegram holds an answer back when there is nothing, in seconds. */
const POLL_S = 25
const POLL_TIMEOUT_MS = (POLL_S + 15) * 1_000
const SHORTEST_PAUSE_MS = 1_000
/** Chats of strangers that are told of. */
const MOST_STRANGERS = 1_000

const SET_CURSOR = 'select swarm.set_cursor($1, $2, $3::bigint, $4::integer, $5::bigint) as held'

type Tell = (line: JsonObject) => Promise<void>

/**
 * Reads what is said to a bot, until the signal aborts, and answers the questions that it is about. Of all processes one reads, by a lease;
 * where it goes on is kept beside it, after the answer: what was being answered at a crash comes again, under the same operation key.
 * `targets` are those of this bot.
 */
export async function receiveAnswers(
  ctx: CommandContext,
  bot: Bot,
  targets: readonly TelegramTarget[],
  signal: AbortSignal,
  tell: Tell,
): Promise<void> {
  await whileHeld(ctx, {
    name: `notify-answers.${bot.id}`,
    signal,
    start: async () => 0,
    onLost: () => tell({ kind: 'lost', bot: bot.id }),
    work: async ({ cursor }) => {
      await tell({ kind: 'listening', bot: bot.id })
      await readUpdates({ ctx, bot, targets, signal, tell, cursor })
    },
  })
}

interface Reading {
  readonly ctx: CommandContext
  readonly bot: Bot
  readonly targets: readonly TelegramTarget[]
  readonly signal: AbortSignal
  readonly tell: Tell
  readonly cursor: NamedCursor
}

async function readUpdates(reading: Reading): Promise<void> {
  const { bot, cursor, signal, tell } = reading
  const strangers = new Set<number>()
  let had = cursor.acked
  // from the first one that Telegram does not know to be had, unless said
  let offset: number | undefined
  let failed = 0
  while (!signal.aborted) {
    if (!(await patiently(signal, () => cursor.hold()))) return
    const asked = performance.now()
    const reply = await poll(bot, offset, signal)
    if (signal.aborted) return
    if (reply.kind !== 'ok') {
      failed += 1
      const pauseMs = pauseOf(reply, failed)
      const kind = reply.kind === 'conflict' ? 'conflict' : 'failed'
      await tell({ kind, bot: bot.id, what: 'answers', why: reply.why, again_in_ms: pauseMs })
      await pauseOrAbort(pauseMs, signal)
      continue
    }
    failed = 0
    const { fresh, last } = updatesAfter(reply.result, had)
    for (const { id, update } of fresh) {
      const said = readUpdate(update)
      if (said && !(await patiently(signal, () => take(reading, said, strangers)))) return
      if (!(await patiently(signal, () => cursor.writeUnder(SET_CURSOR, [id])))) return
      had = id
    }
    // an empty reply means that all is had: then the numbers may begin anew, below what would be asked for
    offset = last === undefined ? undefined : last + 1
    // one that answers at once with nothing new is not asked without end
    if (fresh.length === 0 && performance.now() - asked < SHORTEST_PAUSE_MS)
      await pauseOrAbort(SHORTEST_PAUSE_MS, signal)
  }
}

async function poll(bot: Bot, offset: number | undefined, signal: AbortSignal): Promise<BotReply> {
  const body = {
    ...(offset === undefined ? {} : { offset }),
    ...{ limit: MOST_UPDATES, timeout: POLL_S, allowed_updates: ['message', 'callback_query'] },
  }
  try {
    return await bot.call('getUpdates', body, { signal, timeoutMs: POLL_TIMEOUT_MS })
  } catch (error) {
    return { kind: 'failed', why: error instanceof Error ? error.message : 'failed' }
  }
}

/** How long to wait after a poll that failed, the `failed`th in a row, in ms. */
function pauseOf(reply: Exclude<BotReply, { kind: 'ok' }>, failed: number): number {
  if (reply.kind === 'later') return pauseAfterReply('later', failed, 0, reply.ms)
  const isClosed = reply.kind === 'closed' || reply.kind === 'refused'
  return pauseAfterReply(isClosed ? 'closed' : 'away', failed, 0, 0)
}

/** Takes what was said: a question that it answers is answered, and who said it is told what came of it. */
async function take(reading: Reading, said: Said, strangers: Set<number>): Promise<void> {
  const { ctx, bot, targets, tell } = reading
  const standings = targets.map((target) => ({ target, standing: standingOf(said, target.config) }))
  const here = standings.filter(({ standing }) => standing !== 'elsewhere')
  if (here.length === 0) {
    // anybody can write to a bot: each chat is told of once, and nobody is answered
    if (strangers.has(said.chat.id) || strangers.size >= MOST_STRANGERS) return
    strangers.add(said.chat.id)
    return tell({ kind: 'ignored', bot: bot.id, why: `chat ${said.chat.id} is no target's` })
  }
  const found =
    said.about === undefined
      ? undefined
      : await questionAbout(
          ctx,
          here.map(({ target }) => target.name),
          { chat: said.chat.id, id: said.about },
        )
  if (!found) {
    const isAddressed = 'query' in said.by || said.chat.type === 'private'
    return isAddressed
      ? say(reading, said, 'Answer a question by replying to its message while it is open.')
      : undefined
  }
  const { target, question } = found
  if (here.find((one) => one.target.name === target)?.standing !== 'may') {
    await tell({ kind: 'ignored', target, why: `user ${said.user.id} may not answer` })
    return say(reading, said, 'You may not answer here.')
  }
  const answer = answerOf(said, question.options)
  if (answer === undefined) return say(reading, said, 'Only words or one of the buttons can be an answer.')
  const refusal = await record(reading, said, question.id, answer)
  if (refusal !== undefined) return say(reading, said, refusal)
  await tell({
    kind: 'answered',
    target,
    question_id: question.id,
    by: said.user.name,
    update: said.updateId,
  })
  if ('query' in said.by) return say(reading, said, `Answered: ${answer}`)
  await aside(reading, 'setMessageReaction', {
    ...{ chat_id: said.chat.id, message_id: said.by.message, reaction: [{ type: 'emoji', emoji: '👍' }] },
  })
}

/** Sends the verb `answer`, once for an update however often that comes. Why it was refused, if so; throws what may pass. */
async function record(
  { ctx, bot }: Reading,
  { updateId, user }: Said,
  question: string,
  answer: string,
): Promise<string | undefined> {
  try {
    const by = `telegram:${user.name}`.slice(0, 64)
    const idem = `telegram:${bot.id}:${updateId}`
    await ctx.execute({ cmd: 'answer', question_id: question, answer, by, idem })
    return undefined
  } catch (error) {
    if (!(error instanceof SwarmError) || error.retryable) throw error
    const { answer: earlier } = error.ctx
    return typeof earlier === 'string' ? `It was answered already: ${earlier}` : `Not taken: ${error.message}`
  }
}

/** Tells who said something what came of it: beside the button, or in a reply. */
async function say(reading: Reading, said: Said, text: string): Promise<void> {
  if ('query' in said.by) {
    const short = text.length > 200 ? `${text.slice(0, 199).toWellFormed()}…` : text
    return aside(reading, 'answerCallbackQuery', { callback_query_id: said.by.query, text: short })
  }
  const body = {
    ...{ chat_id: said.chat.id, text: text.slice(0, 1_000).toWellFormed() },
    reply_parameters: { message_id: said.by.message, allow_sending_without_reply: true },
  }
  await tellFailure(
    reading,
    'sendMessage',
    await pacedCall(reading.bot, said.chat.id, 'sendMessage', body, reading.signal),
  )
}

/** What is nice to have: sent once. */
async function aside(reading: Reading, method: string, body: JsonObject): Promise<void> {
  const failed = (error: unknown): BotReply => ({
    ...{ kind: 'failed', why: error instanceof Error ? error.message : 'failed' },
  })
  const reply = await reading.bot.call(method, body, { signal: reading.signal }).catch(failed)
  await tellFailure(reading, method, reply)
}

async function tellFailure({ bot, tell }: Reading, what: string, reply: BotReply): Promise<void> {
  if (reply.kind !== 'ok') await tell({ kind: 'failed', bot: bot.id, what, why: reply.why })
}
