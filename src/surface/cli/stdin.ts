import { MAX_LINE_BYTES } from '../../wire/lines.ts'

/** Reads stdin as text, at most once and at most 1 MiB of it: beyond that the text is cut, and so no longer JSON. */
export function readStdin(): () => Promise<string> {
  let text: Promise<string> | undefined
  return () => {
    text ??= readAll()
    return text
  }
}

async function readAll(): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of process.stdin) {
    chunks.push(chunk)
    size += chunk.length
    if (size > MAX_LINE_BYTES) break
  }
  return Buffer.concat(chunks).subarray(0, MAX_LINE_BYTES).toString('utf8').trim()
}
