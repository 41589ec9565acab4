import { exitCodeOfReply, type Reply, toEnvelope } from '../../contract/envelope.ts'
import { encodeReply } from '../../wire/encode.ts'
import { createWriter } from '../../wire/writer.ts'
import type { Format } from './program.ts'
import { renderShell } from './render.ts'

/** Writes replies to stdout in the format asked for. */
export interface Printer {
  /**
   * Writes a reply and returns its exit code. `text` is what a person gets instead of it: on a terminal, or with
   * `--format table`.
   */
  print(reply: Reply, text?: string): Promise<number>
  /** Resolves when the reader takes more, or has gone. */
  ready(): Promise<void>
  /** From now on `ready` does not wait: the process is to end, whether what it has written is read or not. */
  hurry(): void
}

const HURRY_MS = 1_000

/** `onClosed` is called when the reader of stdout has gone. */
export function createPrinter(format: Format, onClosed: () => void = () => {}): Printer {
  const { stdout } = process
  const writer = createWriter(stdout, onClosed)
  return {
    ready: writer.ready,
    hurry: () => writer.hurry(HURRY_MS),
    async print(reply, text) {
      const encoded = encodeReply(reply, undefined, renderShell)
      if (text !== undefined && (format === 'table' || stdout.isTTY)) writer.write(`${text}\n`)
      else writer.write(format === 'table' ? await asTable(encoded.reply) : encoded.text)
      return exitCodeOfReply(encoded.reply)
    },
  }
}

async function asTable(reply: Reply): Promise<string> {
  const { formatEnvelope } = await import('./table.ts')
  const { stdout, env } = process
  const width = stdout.columns ?? (Number(env.COLUMNS) || Number.POSITIVE_INFINITY)
  const colour = stdout.isTTY === true && stdout.hasColors()
  return `${formatEnvelope(toEnvelope(reply, renderShell), { width, colour })}\n`
}
