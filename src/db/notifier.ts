/** Between two notifications under load. */
const EVERY_MS = 10
/** With many listeners a notification takes long: then they come less often, so that they take a tenth of the time at most. */
const SHARE = 10
const LONGEST_MS = 250

/**
 * Sends wake-ups after commit: at once when it has been quiet, else every 10 ms with all repos that changed meanwhile. A wake-up
 * that fails is not sent again, since readers also look every second.
 */
export class Notifier {
  readonly #send: (repos: readonly string[]) => Promise<void>
  readonly #changed = new Set<string>()
  #sending: Promise<void> | undefined
  #immediate: NodeJS.Immediate | undefined
  #timer: NodeJS.Timeout | undefined
  #sentAt = Number.NEGATIVE_INFINITY
  #tookMs = 0

  constructor(send: (repos: readonly string[]) => Promise<void>) {
    this.#send = send
  }

  notify(repo: string): void {
    this.#changed.add(repo)
    this.#schedule()
  }

  /** True when it has been quiet: then whoever asks may send the wake-up along with its write. */
  takeTurn(): boolean {
    if (this.#sending || this.#immediate || this.#timer || this.#dueInMs() > 0) return false
    this.#sentAt = performance.now()
    return true
  }

  /** Sends what is pending and waits for it, at most `timeoutMs`. */
  async flush(timeoutMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs)
    })
    await Promise.race([this.#drain(), late])
    clearTimeout(timer)
  }

  async #drain(): Promise<void> {
    await this.#sending
    while (this.#changed.size > 0) await this.#sendNow()
  }

  #schedule(): void {
    if (this.#sending || this.#immediate || this.#timer || this.#changed.size === 0) return
    const waitMs = this.#dueInMs()
    // not in this turn: the reply is written first
    if (waitMs <= 0) this.#immediate = setImmediate(() => this.#sendNow())
    else this.#timer = setTimeout(() => this.#sendNow(), Math.ceil(waitMs))
  }

  #dueInMs(): number {
    return this.#sentAt + Math.min(LONGEST_MS, Math.max(EVERY_MS, this.#tookMs * SHARE)) - performance.now()
  }

  #sendNow(): Promise<void> {
    clearImmediate(this.#immediate)
    clearTimeout(this.#timer)
    this.#immediate = undefined
    this.#timer = undefined
    if (this.#sending) return this.#sending
    const repos = [...this.#changed]
    this.#changed.clear()
    this.#sentAt = performance.now()
    this.#sending = this.#send(repos)
      .catch(() => {})
      .then(() => {
        this.#sending = undefined
        this.#tookMs = performance.now() - this.#sentAt
        this.#schedule()
      })
    return this.#sending
  }
}
