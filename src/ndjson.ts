import { createReadStream, createWriteStream } from 'node:fs'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { parse, stringify } from 'ndjson'
import type { Json, JsonObject } from './contract/json.ts'
import { changedInteger } from './wire/integers.ts'
import { createLineSplitter, type Line } from './wire/lines.ts'
import { readLoosely } from './wire/loose.ts'

/** A line of a file: its value, or why it has none. Lines count from 1. */
export type FileLine =
  | { readonly line: number; readonly value: Json; readonly error?: undefined }
  | { readonly line: number; readonly error: string; readonly value?: undefined }

export interface ReadLinesOptions {
  /** Longest line in bytes; 32 MiB unless said. */
  readonly maxLineBytes?: number
}

const MAX_FILE_LINE_BYTES = 33_554_432

/**
 * Reads JSON lines from a file or a stream that may be trusted to be of reasonable size: imports, fixtures, what a
 * swarm process writes. Blank lines are passed over; a bad line is reported with its number and reading goes on. A
 * file that cannot be opened throws what the file system said.
 *
 * ndjson parses each line, one at a time: fed a whole stream it loses the line numbers, a line `null` ends it, a
 * bad line stalls a pipe, and it holds a long line in memory whatever its length.
 */
export async function* readLines(
  source: string | Readable,
  options: ReadLinesOptions = {},
): AsyncGenerator<FileLine, void, undefined> {
  const stream = typeof source === 'string' ? createReadStream(source) : source
  const splitter = createLineSplitter(options.maxLineBytes ?? MAX_FILE_LINE_BYTES)
  const read = createParser()
  for await (const chunk of stream) {
    for (const line of splitter.push(Buffer.from(chunk))) yield read(line)
  }
  for (const line of splitter.end()) yield read(line)
}

/** Writes objects as JSON lines to a file, or to a stream that is left open. Resolves when all are written. */
export async function writeLines(
  target: string | Writable,
  values: Iterable<JsonObject> | AsyncIterable<JsonObject>,
): Promise<void> {
  const source = Readable.from(values)
  if (typeof target === 'string') await pipeline(source, stringify(), createWriteStream(target))
  else await pipeline(source, stringify(), target, { end: false })
}

function createParser(): (line: Line) => FileLine {
  const parser = parse()
  let failed = false
  parser.on('error', () => {
    failed = true
  })
  return (line) => {
    const { number } = line
    if ('problem' in line) return { line: number, error: describe(line) }
    if (line.text.trim() === 'null') return { line: number, value: null }
    failed = false
    parser.write(`${line.text}\n`)
    // safe: the transform is synchronous, so what it made of the line is there, and it came from JSON.parse
    const value = parser.read() as Json
    if (!failed) {
      const changed = changedInteger(line.text, value)
      return changed ? { line: number, error: changed.message } : { line: number, value }
    }
    const { at, wrong } = readLoosely(line.text)
    return { line: number, error: `not JSON at character ${at + 1}: ${wrong}` }
  }
}

function describe({ problem, bytes }: Extract<Line, { problem: unknown }>): string {
  return problem.kind === 'too-long'
    ? `too long: ${bytes} bytes, at most ${problem.limit} are read`
    : `not UTF-8 at byte ${problem.at + 1}`
}
