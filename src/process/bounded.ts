/** Output that may have been longer than was kept. */
export interface BoundedText {
  /** What was kept: the beginning and the end, with a line between them that says how much is missing. */
  readonly text: string
  /** Bytes that were produced. */
  readonly bytes: number
  /** Bytes that were not kept; 0 when `text` is everything. */
  readonly cutBytes: number
}

export interface BoundedCollector {
  add(chunk: Buffer): void
  /** Bytes that were produced so far. */
  bytes(): number
  result(): BoundedText
}

/**
 * Collects at most `maxBytes` of a stream: a quarter from its beginning, the rest from its end, where failures are
 * told. Characters are never split, and null bytes become U+2400, since no database text can hold them.
 */
export function collectBounded(maxBytes: number): BoundedCollector {
  const headLimit = Math.floor(maxBytes / 4)
  const tailLimit = maxBytes - headLimit
  const head: Buffer[] = []
  const tail: Buffer[] = []
  let headBytes = 0
  let tailBytes = 0
  let bytes = 0
  return {
    add(chunk) {
      bytes += chunk.length
      const toHead = Math.min(chunk.length, headLimit - headBytes)
      if (toHead > 0) {
        head.push(chunk.subarray(0, toHead))
        headBytes += toHead
      }
      if (toHead === chunk.length) return
      tail.push(chunk.subarray(toHead))
      tailBytes += chunk.length - toHead
      for (let first = tail[0]; first && tailBytes - first.length >= tailLimit; first = tail[0]) {
        tail.shift()
        tailBytes -= first.length
      }
    },
    bytes: () => bytes,
    result() {
      const kept = Buffer.concat(tail)
      const end = kept.length > tailLimit ? kept.subarray(kept.length - tailLimit) : kept
      const start = Buffer.concat(head)
      if (bytes === start.length + end.length) {
        return { text: decode(Buffer.concat([start, end])), bytes, cutBytes: 0 }
      }
      const from = withoutSplitEnd(start)
      const to = withoutSplitStart(end)
      const cutBytes = bytes - from.length - to.length
      return { text: `${decode(from)}\n[... ${cutBytes} bytes cut ...]\n${decode(to)}`, bytes, cutBytes }
    },
  }
}

/** The last lines of a text, at most `maxChars` characters, beginning at a line's start when there is one. */
export function tailOf(text: string, maxChars: number): string {
  const trimmed = text.trimEnd()
  if (trimmed.length <= maxChars) return trimmed
  const tail = trimmed.slice(-maxChars).replace(/^[\uDC00-\uDFFF]/, '')
  const line = tail.indexOf('\n')
  return line >= 0 && line < maxChars / 2 ? tail.slice(line + 1) : tail
}

function decode(bytes: Buffer): string {
  return bytes.toString('utf8').replaceAll('\0', '\u2400')
}

const isContinuation = (byte: number | undefined) =>
  byte !== undefined && (byte & 0b1100_0000) === 0b1000_0000

/** A UTF-8 character has at most three continuation bytes; more of them are not UTF-8 and stay. */
function withoutSplitStart(bytes: Buffer): Buffer {
  let at = 0
  while (at < 3 && isContinuation(bytes[at])) at++
  return bytes.subarray(at)
}

function withoutSplitEnd(bytes: Buffer): Buffer {
  let lead = bytes.length - 1
  while (lead >= 0 && lead > bytes.length - 4 && isContinuation(bytes[lead])) lead--
  const first = bytes[lead]
  if (first === undefined || first < 0b1100_0000) return bytes
  const length = first >= 0b1111_0000 ? 4 : first >= 0b1110_0000 ? 3 : 2
  return bytes.length - lead < length ? bytes.subarray(0, lead) : bytes
}
