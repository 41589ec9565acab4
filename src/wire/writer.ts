import type { Writable } from 'node:stream'
import { harmless, isTerminal } from './terminal.ts'

/** Writes lines and says when the reader has fallen behind. */
export interface LineWriter {
  /** Hands text to the stream. After the reader has gone it does nothing. */
  write(text: string): void
  /** Resolves when the stream takes more, or when the reader has gone. */
  ready(): Promise<void>
  /** Resolves when everything written has been taken, or the reader has gone, or the patience is over. */
  flush(): Promise<void>
  /** From now on `ready` does not wait, and `flush` gives up after `patienceMs`, as if the reader had gone. */
  hurry(patienceMs: number): void
  /** True when the stream failed: nobody reads any more. */
  readonly closed: boolean
  /** True when a flush gave up: the stream still holds text that nobody takes. */
  readonly abandoned: boolean
  /** The failure that closed it, unless the reader has just gone. */
  readonly error: Error | undefined
}

/** What a stream reports when its reader has gone; the usual end of a pipe, not a fault. */
const GONE = new Set(['EPIPE', 'ECONNRESET', 'ERR_STREAM_DESTROYED', 'ERR_STREAM_WRITE_AFTER_END'])

/** Wraps a stream. `onClosed` is called once when its reader has gone. A terminal is given nothing that it would obey. */
export function createWriter(output: Writable, onClosed: () => void): LineWriter {
  const shown = isTerminal(output) ? harmless : (text: string) => text
  let closed = false
  let error: Error | undefined
  let blocked = false
  let pending = 0
  let waiters: { until: () => boolean; resolve: () => void }[] = []
  let patience: number | undefined
  let flushing = false
  let abandoned = false
  let timer: NodeJS.Timeout | undefined

  function settle(): void {
    const open = waiters
    waiters = []
    for (const waiter of open) {
      if (closed || waiter.until()) waiter.resolve()
      else waiters.push(waiter)
    }
  }

  function fail(cause?: NodeJS.ErrnoException): void {
    if (closed) return
    closed = true
    if (cause && !GONE.has(cause.code ?? '')) error = cause
    clearTimeout(timer)
    settle()
    onClosed()
  }

  function giveUpLater(): void {
    if (!flushing || patience === undefined || closed) return
    timer ??= setTimeout(() => {
      abandoned = true
      fail()
    }, patience)
  }

  output.on('error', fail)
  output.on('close', () => fail())
  output.on('drain', () => {
    blocked = false
    settle()
  })

  function wait(until: () => boolean): Promise<void> {
    if (closed || until()) return Promise.resolve()
    return new Promise((resolve) => waiters.push({ until, resolve }))
  }

  return {
    write(text) {
      if (closed) return
      pending += 1
      blocked = !output.write(shown(text), () => {
        pending -= 1
        settle()
      })
    },
    ready: () => wait(() => !blocked || patience !== undefined),
    async flush() {
      flushing = true
      giveUpLater()
      await wait(() => pending === 0)
      clearTimeout(timer)
    },
    hurry(patienceMs) {
      patience = patienceMs
      giveUpLater()
      settle()
    },
    get closed() {
      return closed
    },
    get abandoned() {
      return abandoned
    },
    get error() {
      return error
    },
  }
}
