import type { Readable } from 'node:stream'
import { createLineSplitter, type Line } from './lines.ts'
import { type BoundedQueue, createQueue } from './queue.ts'

/** The lines of a stream, read ahead as far as the bounds allow. */
export interface LineSource extends Pick<BoundedQueue<Line>, 'next' | 'shift'> {
  /** Reads no more; what was read can still be taken. */
  stop(): void
}

export interface SourceOptions {
  readonly maxLineBytes: number
  readonly maxQueuedLines: number
  readonly maxQueuedBytes: number
  /** Called once when the stream has ended, before its last lines are taken. Not after `stop`. */
  readonly onEnd: () => void
}

/**
 * Reads lines from a stream of bytes and pauses it while too many wait. At most one chunk goes beyond the bounds.
 * A stream that fails has ended.
 */
export function createSource(input: Readable, options: SourceOptions): LineSource {
  const splitter = createLineSplitter(options.maxLineBytes)
  const queue = createQueue<Line>({
    count: options.maxQueuedLines,
    bytes: options.maxQueuedBytes,
    onRoom: () => input.resume(),
  })
  let open = true

  function add(lines: readonly Line[]): void {
    for (const line of lines) queue.push(line, 'text' in line ? line.bytes : 0)
  }

  function onData(chunk: Uint8Array): void {
    add(splitter.push(chunk))
    if (queue.full) input.pause()
  }

  function onEnd(): void {
    if (!open) return
    open = false
    add(splitter.end())
    options.onEnd()
    queue.close()
  }

  input.on('data', onData)
  input.once('end', onEnd)
  input.once('close', onEnd)
  input.on('error', onEnd)

  return {
    next: queue.next,
    shift: queue.shift,
    stop() {
      open = false
      input.off('data', onData)
      input.pause()
      queue.close()
    },
  }
}
