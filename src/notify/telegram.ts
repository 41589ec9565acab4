import { isJsonObject, type Json, type JsonObject } from '../contract/json.ts'
import type { Notice } from './incidents.ts'
import { cut } from './texts.ts'

const LONGEST_TEXT = 4_096
const LONGEST_BUTTON = 60
const QUESTION = 'question:'

/** A message that a bot has sent: the chat's id and the message's in it. */
export interface Message {
  readonly chat: number
  readonly id: number
}

/** A request of the Bot API, and for an edit the message that it is about. */
export interface BotCall {
  readonly method: 'sendMessage' | 'editMessageText'
  readonly body: JsonObject
  readonly about?: Message
}

/** A question as its incident has it. */
export interface Question {
  readonly id: string
  readonly options: readonly string[]
}

/**
 * What is asked of Telegram for a notice, given the messages that told of its incident before, oldest first. What begins or becomes worse
 * is a new message, since only those make a sound; what changes or ends is edited into what is there, and nothing where nothing is.
 */
export function callsFor(
  repo: string,
  notice: Notice,
  chat: number | string,
  messages: readonly Message[],
  isAnswerable: boolean,
): readonly BotCall[] {
  const { state, subject, event, severity } = notice
  const question = isAnswerable && state !== 'resolved' ? questionOf(subject, event) : undefined
  const hint = question ? '\nReply to this message to answer.' : ''
  const body = {
    text: messageText(`[${cut(repo, 80)}] ${severity}: ${notice.text}`, hint),
    link_preview_options: { is_disabled: true },
  }
  // an empty keyboard takes away the buttons of a message that is edited
  const buttons = { inline_keyboard: question ? keyboardOf(question) : [] }
  const edit = (about: Message): BotCall => ({
    method: 'editMessageText',
    about,
    body: { chat_id: about.chat, message_id: about.id, ...body, reply_markup: buttons },
  })
  if (state === 'resolved') return messages.map(edit)
  const last = messages.at(-1)
  if (state === 'updated') return last ? [edit(last)] : []
  const earlier = last && {
    reply_parameters: { message_id: last.id, allow_sending_without_reply: true },
  }
  const markup = buttons.inline_keyboard.length > 0 ? { reply_markup: buttons } : {}
  return [{ method: 'sendMessage', body: { chat_id: chat, ...body, ...markup, ...earlier } }]
}

/** The question that an incident is; undefined when it is none. */
export function questionOf(
  subject: string,
  { payload }: { readonly payload?: unknown },
): Question | undefined {
  if (!subject.startsWith(QUESTION)) return undefined
  const options = isJsonObject(payload) && Array.isArray(payload.options) ? payload.options : []
  return {
    id: subject.slice(QUESTION.length),
    options: options.filter((one) => typeof one === 'string'),
  }
}

/** A button an option. What is pressed names the option by its number: its own text may be too long for that. */
function keyboardOf({ options }: Question): Json[][] {
  return options.map((option, at) => [{ text: cut(option, LONGEST_BUTTON) || '…', callback_data: `o${at}` }])
}

/** The number of the option that a button stands for; undefined for any other data. */
export function optionOf(data: string): number | undefined {
  const digits = /^o(\d{1,3})$/.exec(data)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/**
 * The text of a message, cut so that it has with `end` at most the 4,096 UTF-16 units that Telegram takes, never through a character.
 * It is sent without a parse mode: nothing in it is markup, so nothing is taken off before it is counted.
 */
export function messageText(text: string, end = ''): string {
  const longest = LONGEST_TEXT - end.length
  if (text.length <= longest) return text + end
  const cutOff = text.slice(0, longest - 1)
  return `${/[\uD800-\uDBFF]$/.test(cutOff) ? cutOff.slice(0, -1) : cutOff}…${end}`
}
