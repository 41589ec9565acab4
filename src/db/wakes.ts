interface Waiter {
  readonly repo: string | null
  readonly wake: () => void
}

/** Who in this process waits for a change of which repo, and how often each repo has changed as far as this process was told. */
export class Wakes {
  readonly #waiters = new Set<Waiter>()
  readonly #versions = new Map<string, number>()
  #everything = 0
  #changes = 0
  #waitedAt = 0

  get waiting(): number {
    return this.#waiters.size
  }

  /** Milliseconds for which nobody has waited; 0 while somebody does. */
  get unattendedMs(): number {
    return this.#waiters.size > 0 ? 0 : performance.now() - this.#waitedAt
  }

  /** Grows whenever something may have changed in a repo, or in any with null. */
  version(repo: string | null): number {
    return this.#everything + (repo === null ? this.#changes : (this.#versions.get(repo) ?? 0))
  }

  /** Calls `wake` whenever something may have changed in `repo`, or in any with null. Returns how to stop that. */
  add(repo: string | null, wake: () => void): () => void {
    const waiter: Waiter = { repo, wake }
    this.#waiters.add(waiter)
    return () => {
      this.#waiters.delete(waiter)
      this.#waitedAt = performance.now()
    }
  }

  wake(repo: string): void {
    this.#changes += 1
    this.#versions.set(repo, (this.#versions.get(repo) ?? 0) + 1)
    for (const waiter of [...this.#waiters]) if (waiter.repo === null || waiter.repo === repo) waiter.wake()
  }

  wakeAll(): void {
    this.#everything += 1
    for (const waiter of [...this.#waiters]) waiter.wake()
  }

  clear(): void {
    this.#waiters.clear()
  }
}
