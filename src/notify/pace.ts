/** Thirty messages a second in all, one a second in a chat, twenty a minute in a group. */
const EVERY_MS = 34
const CHAT_EVERY_MS = 1_000
const GROUP_EVERY_MS = 3_000

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

  /** Nothing goes to this chat for so many ms: Telegram asked for it. */
  hold(chat: string, now: number, ms: number): void {
    this.#chats.set(chat, Math.max(this.#chats.get(chat) ?? 0, now + ms))
  }
}
