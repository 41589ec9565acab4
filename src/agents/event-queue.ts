import type { AgentEvent } from './events.ts'

/** Events that wait for their reader before the program has to wait. */
const FULL = 1_000

/** Events between a program and their one reader. It never drops one: who writes waits for `room`. */
export class EventQueue implements AsyncIterable<AgentEvent> {
  #waiting: AgentEvent[] = []
  #ended = false
  #wakeReader: (() => void) | undefined
  #wakeWriters: (() => void)[] = []

  /** True while writers have to wait. */
  get isFull(): boolean {
    return this.#waiting.length >= FULL
  }

  push(event: AgentEvent): void {
    if (this.#ended) return
    this.#waiting.push(event)
    this.#wakeReader?.()
  }

  /** No more events will come. */
  end(): void {
    this.#ended = true
    this.#wakeReader?.()
    this.#letWriters()
  }

  /** Resolves when there is room for more. */
  async room(): Promise<void> {
    while (this.isFull && !this.#ended) {
      await new Promise<void>((resolve) => this.#wakeWriters.push(resolve))
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<AgentEvent, void, undefined> {
    for (;;) {
      const batch = this.#waiting
      this.#waiting = []
      this.#letWriters()
      yield* batch
      if (this.#waiting.length > 0) continue
      if (this.#ended) return
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve
      })
    }
  }

  #letWriters(): void {
    for (const wake of this.#wakeWriters.splice(0)) wake()
  }
}
