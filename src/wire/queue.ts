/** Values on their way from a producer that can be held back to one consumer. */
export interface BoundedQueue<T> {
  /** Adds a value. Past the bound it is still taken: what was read must be answered. */
  push(value: T, bytes: number): void
  /** No value comes after this. */
  close(): void
  /** The next value, as soon as there is one; `undefined` when the queue is closed and empty. */
  next(): Promise<T | undefined>
  /** The next value when it is already there. */
  shift(): T | undefined
  /** True while the producer should wait. */
  readonly full: boolean
}

export interface QueueLimits {
  readonly count: number
  readonly bytes: number
  /** Called when the queue was full and has room again, at half of its bounds. */
  readonly onRoom: () => void
}

/** Makes a queue that says when its producer should wait. */
export function createQueue<T>(limits: QueueLimits): BoundedQueue<T> {
  let items: { value: T; bytes: number }[] = []
  let first = 0
  let bytes = 0
  let closed = false
  let full = false
  let waiting: (() => void) | undefined

  function wake(): void {
    const resolve = waiting
    waiting = undefined
    resolve?.()
  }

  function shift(): T | undefined {
    const item = items[first]
    if (!item) return undefined
    first += 1
    bytes -= item.bytes
    if (first === items.length || first > limits.count) {
      items = items.slice(first)
      first = 0
    }
    if (full && (items.length - first) * 2 <= limits.count && bytes * 2 <= limits.bytes) {
      full = false
      limits.onRoom()
    }
    return item.value
  }

  return {
    push(value, size) {
      items.push({ value, bytes: size })
      bytes += size
      if (items.length - first >= limits.count || bytes >= limits.bytes) full = true
      wake()
    },
    close() {
      closed = true
      wake()
    },
    async next() {
      while (first === items.length && !closed) {
        await new Promise<void>((resolve) => {
          waiting = resolve
        })
      }
      return shift()
    },
    shift,
    get full() {
      return full
    },
  }
}
