/** One line of input, or why it cannot be read. Lines count from 1, blank ones included. */
export type Line =
  | { readonly number: number; readonly bytes: number; readonly text: string }
  | { readonly number: number; readonly bytes: number; readonly problem: LineProblem }

export type LineProblem =
  | { readonly kind: 'too-long'; readonly limit: number }
  /** `at` is the offset of the first byte that cannot be, from 0. */
  | { readonly kind: 'not-utf8'; readonly at: number }

export interface LineSplitter {
  /** Takes the next bytes and returns the lines that they complete. Blank lines are passed over. */
  push(chunk: Uint8Array): Line[]
  /** Returns the last line when it had no newline. */
  end(): Line[]
}

/** 1 MiB, the longest line unless configured. */
export const MAX_LINE_BYTES = 1_048_576

const NEWLINE = 0x0a
const RETURN = 0x0d
const BOM = [0xef, 0xbb, 0xbf]

/**
 * Cuts bytes into lines. Accepts one byte order mark at the start, `\r\n`, and a last line without newline. A line
 * longer than `maxBytes` is reported once, at its newline; its bytes are counted, not kept.
 */
export function createLineSplitter(maxBytes: number = MAX_LINE_BYTES): LineSplitter {
  const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  let parts: Uint8Array[] = []
  let length = 0
  let number = 0

  function take(part: Uint8Array): void {
    length += part.length
    // two bytes more than allowed: a line of exactly `maxBytes` may still be followed by \r
    if (length > maxBytes + 1) parts = []
    else if (part.length > 0) parts.push(part)
  }

  function finish(lines: Line[]): void {
    number += 1
    const kept = parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts)
    const whole = length <= maxBytes + 1
    const content = whole ? trimEnds(kept, number === 1) : kept
    const bytes = whole ? content.length : length
    parts = []
    length = 0
    if (bytes > maxBytes) {
      lines.push({ number, bytes, problem: { kind: 'too-long', limit: maxBytes } })
      return
    }
    if (isBlank(content)) return
    try {
      lines.push({ number, bytes, text: utf8.decode(content) })
    } catch {
      lines.push({ number, bytes, problem: { kind: 'not-utf8', at: firstBadByte(content) } })
    }
  }

  return {
    push(chunk) {
      const lines: Line[] = []
      let start = 0
      for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, start)) {
        take(chunk.subarray(start, at))
        finish(lines)
        start = at + 1
      }
      take(chunk.subarray(start))
      return lines
    },
    end() {
      const lines: Line[] = []
      if (length > 0) finish(lines)
      return lines
    },
  }
}

function trimEnds(line: Uint8Array, first: boolean): Uint8Array {
  const start = first && BOM.every((byte, at) => line[at] === byte) ? BOM.length : 0
  return line.subarray(start, line.at(-1) === RETURN ? -1 : undefined)
}

function isBlank(line: Uint8Array): boolean {
  return line.every((byte) => byte === 0x20 || byte === 0x09 || byte === RETURN)
}

/** A prefix is good when it decodes as the beginning of something; the longest good one ends at the bad byte. */
function firstBadByte(line: Uint8Array): number {
  let good = 0
  let bad = line.length
  while (bad - good > 1) {
    const middle = (good + bad) >> 1
    if (isPrefixOfUtf8(line.subarray(0, middle))) good = middle
    else bad = middle
  }
  return good
}

function isPrefixOfUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: true })
    return true
  } catch {
    return false
  }
}
