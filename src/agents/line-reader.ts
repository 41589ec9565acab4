import { StringDecoder } from 'node:string_decoder'

/** Longest line that is read whole: the longest that a program was seen to write was 50 MB. */
export const MAX_LINE_BYTES = 64 * 1024 * 1024
/** Of a longer line so much is kept. */
const HEAD_CHARS = 4_096

export type Line =
  | { readonly text: string; readonly bytes: number; readonly whole: true }
  /** Longer than allowed: `text` is its beginning. */
  | { readonly text: string; readonly bytes: number; readonly whole: false }

export interface LineReader {
  push(chunk: Buffer): readonly Line[]
  /** What came after the last newline. */
  end(): readonly Line[]
}

/**
 * Cuts a stream of bytes into lines without their ends (LF or CRLF); blank lines are left out. Bytes are decoded as they come and then
 * let go, so that a long line is in memory once; of a line that is too long only the beginning is.
 */
export function createLineReader(maxBytes = MAX_LINE_BYTES): LineReader {
  let decoder = new StringDecoder('utf8')
  let text = ''
  let bytes = 0
  const add = (part: Buffer) => {
    const wasWhole = bytes <= maxBytes
    bytes += part.length
    if (bytes <= maxBytes) text += decoder.write(part)
    else if (wasWhole) text = Buffer.from((text + decoder.write(part)).slice(0, HEAD_CHARS)).toString()
  }
  const take = (): readonly Line[] => {
    const whole = bytes <= maxBytes
    const raw = whole ? text + decoder.end() : text
    const line = { text: raw.endsWith('\r') ? raw.slice(0, -1) : raw, bytes, whole }
    decoder = new StringDecoder('utf8')
    text = ''
    bytes = 0
    return line.text.trim() === '' ? [] : [line]
  }
  return {
    push(chunk) {
      const lines: Line[] = []
      let from = 0
      for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, from)) {
        add(chunk.subarray(from, at))
        lines.push(...take())
        from = at + 1
      }
      if (from < chunk.length) add(chunk.subarray(from))
      return lines
    },
    end: () => (bytes > 0 ? take() : []),
  }
}
