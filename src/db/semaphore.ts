import { Failure } from './failure.ts'

/** Lets a bounded number of queries run at once, first come, first served; the others wait until their deadline. */
export class Gate {
  readonly #limit: number
  readonly #waiting = new Set<() => void>()
  #inside = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  get empty(): boolean {
    return this.#inside === 0
  }

  /** Resolves when it is this one's turn; `leave` must be called once for each. `deadlineAt` is of `performance.now()`. */
  enter(deadlineAt: number): Promise<void> | undefined {
    if (this.#inside < this.#limit) {
      this.#inside += 1
      return undefined
    }
    return new Promise((resolve, reject) => {
      const admit = () => {
        clearTimeout(timer)
        resolve()
      }
      const timer = setTimeout(
        () => {
          this.#waiting.delete(admit)
          reject(new Failure('deadline', 'DEADLINE', 'no connection was free before the deadline', false))
        },
        Math.max(0, deadlineAt - performance.now()),
      )
      this.#waiting.add(admit)
    })
  }

  leave(): void {
    const [next] = this.#waiting
    if (next) {
      // the place goes straight to the next one
      this.#waiting.delete(next)
      next()
    } else {
      this.#inside -= 1
    }
  }
}
