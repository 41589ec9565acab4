import { isJsonObject, type Json } from '../contract/json.ts'
import type { TelegramConfig } from '../contract/notify-config.ts'
import { optionOf } from './telegram.ts'

/** What somebody said to a bot: by a button of one of its messages, by a reply to one, or just so. */
export interface Said {
  readonly updateId: number
  readonly chat: { readonly id: number; readonly type: string; readonly username: string | undefined }
  readonly user: { readonly id: number; readonly name: string }
  /** The message of the bot that it is about. */
  readonly about: number | undefined
  /** The message that says it, or the id of the pressed button's query. */
  readonly by: { readonly message: number } | { readonly query: string }
  readonly text: string | undefined
  readonly option: number | undefined
}

/** Updates come at most so many at a time: no more of them can have been taken without Telegram's knowing. */
export const MOST_UPDATES = 25

/**
 * The updates of a reply that are still to be taken, in order, and the largest number in it. `had` is the number of the last one that was
 * taken. After a week without any, numbers begin anew anywhere: one that is far below has not been had.
 */
export function updatesAfter(
  result: Json,
  had: number,
): {
  readonly fresh: readonly { readonly id: number; readonly update: Json }[]
  readonly last: number | undefined
} {
  const updates = (Array.isArray(result) ? result : [])
    .map((update: Json) => ({ id: updateIdOf(update), update }))
    .flatMap(({ id, update }) => (id === undefined ? [] : [{ id, update }]))
    .sort((one, other) => one.id - other.id)
  return {
    fresh: updates.filter(({ id }) => id > had || id <= had - MOST_UPDATES),
    last: updates.at(-1)?.id,
  }
}

/** The number of an update; undefined when it has none. */
function updateIdOf(update: Json): number | undefined {
  const id = isJsonObject(update) ? update.update_id : undefined
  return typeof id === 'number' && Number.isSafeInteger(id) && id >= 0 ? id : undefined
}

/** What an update says; undefined when it is of another kind. */
export function readUpdate(update: Json): Said | undefined {
  const updateId = updateIdOf(update)
  if (updateId === undefined || !isJsonObject(update)) return undefined
  const { message, callback_query: query } = update
  if (isJsonObject(query)) {
    const about = isJsonObject(query.message) ? query.message : {}
    const chat = chatOf(about.chat)
    const user = userOf(query.from)
    if (!chat || !user || typeof query.id !== 'string') return undefined
    return {
      ...{ updateId, chat, user, about: numberOf(about.message_id), by: { query: query.id } },
      ...{ text: undefined, option: typeof query.data === 'string' ? optionOf(query.data) : undefined },
    }
  }
  if (!isJsonObject(message)) return undefined
  const chat = chatOf(message.chat)
  // who writes for a group or channel is nobody by name: then that is who writes
  const user = userOf(isJsonObject(message.sender_chat) ? message.sender_chat : message.from)
  const id = numberOf(message.message_id)
  if (!chat || !user || id === undefined) return undefined
  const about = isJsonObject(message.reply_to_message)
    ? numberOf(message.reply_to_message.message_id)
    : undefined
  const text = typeof message.text === 'string' ? message.text.trim() : ''
  return { updateId, chat, user, about, by: { message: id }, text: text || undefined, option: undefined }
}

/**
 * Whether what was said may answer a question of this target: `elsewhere` when it was not said in its chat, `nobody` when who said it may
 * not. In a channel everybody who reads it could press a button, so there only those who are named may.
 */
export function standingOf(
  { chat, user }: Pick<Said, 'chat' | 'user'>,
  { chat_id, user_ids }: Pick<TelegramConfig, 'chat_id' | 'user_ids'>,
): 'may' | 'nobody' | 'elsewhere' {
  const configured = String(chat_id)
  const isHere = configured.startsWith('@')
    ? chat.username?.toLowerCase() === configured.slice(1).toLowerCase()
    : String(chat.id) === configured
  if (!isHere) return 'elsewhere'
  if (user_ids) return user_ids.includes(user.id) ? 'may' : 'nobody'
  return chat.type === 'channel' ? 'nobody' : 'may'
}

/** The answer to a question with these options: the pressed one, or the words of the reply. */
export function answerOf({ text, option }: Pick<Said, 'text' | 'option'>, options: readonly string[]) {
  return option === undefined ? text : options[option]
}

function chatOf(value: Json | undefined): Said['chat'] | undefined {
  if (!isJsonObject(value) || typeof value.id !== 'number') return undefined
  const { id, type, username } = value
  return { id, type: String(type), username: typeof username === 'string' ? username : undefined }
}

function userOf(value: Json | undefined): Said['user'] | undefined {
  if (!isJsonObject(value) || typeof value.id !== 'number') return undefined
  const { id, username } = value
  return { id, name: typeof username === 'string' && username !== '' ? username : String(id) }
}

function numberOf(value: Json | undefined): number | undefined {
  return typeof value === 'number' ? value : undefined
}
