import type { Readable, Writable } from 'node:stream'

/** A pipe that is copied to a stream as it comes. */
export interface Echo {
  /** From now on nothing waits for the stream's reader: the rest of the pipe is wanted. */
  hurry(): void
}

/** Copies what comes from a pipe. A reader that is slow slows the writer of the pipe; one that has gone is forgotten. */
export function echo(from: Readable, to: Writable): Echo {
  let hurried = false
  const resume = () => {
    for (const event of ['drain', 'error', 'close']) to.off(event, resume)
    from.resume()
  }
  from.on('data', (chunk: Buffer) => {
    if (!to.writable || to.write(chunk) || hurried) return
    from.pause()
    for (const event of ['drain', 'error', 'close']) to.on(event, resume)
  })
  return {
    hurry() {
      hurried = true
      resume()
    },
  }
}
