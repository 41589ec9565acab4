const LONGEST_TEXT = 4_096
/** Thirty messages a second in all, one a second in a chat, twenty a minute in a group. */
const EVERY_MS = 34
const CHAT_EVERY_MS = 1_000
const GROUP_EVERY_MS = 3_000

/** The text of a message, cut to what Telegram takes (in UTF-16 units, as it counts). */
export function messageText(text: string): string {
  if (text.length <= LONGEST_TEXT) return text
  const cut = text.slice(0, LONGEST_TEXT - 1)
  return `${/[\uD800-\uDBFF]$/.test(cut) ? cut.slice(0, -1) : cut}…`
}

/** What `parameters.retry_after` of a reply asks for, in ms; 0 when it asks for nothing. */
export function askedPauseMs(body: string): number {
  const seconds = Number(/"retry_after"\s*:\s*(\d{1,6})/.exec(body)?.[1] ?? 0)
  return seconds * 1_000
}

/** Gives every message its time, for all targets of this process: times are in ms, of any clock that only goes forward. */
export class Pace {
  readonly #chats = new Map<string, number>()
  #next = 0

  /** How long the next message to this chat has to wait, in ms. It is taken as sent then. */
  take(chat: string, now: number): number {
    const at = Math.max(now, this.#next, this.#chats.get(chat) ?? 0)
    this.#next = at + EVERY_MS
    // ids of groups and channels are negative; a name is a channel's
    this.#chats.set(chat, at + (/^[-@]/.test(chat) ? GROUP_EVERY_MS : CHAT_EVERY_MS))
    return at - now
  }
}
