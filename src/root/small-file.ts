import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'

/**
 * The text of a file that somebody else may have put in its place, or why it cannot be used, in words that follow its name. Nothing but a regular
 * file is read, opening it waits for nobody, and no more than `most` bytes are held. `follow`: also through a link. `code` is that of open(2).
 */
export function readSmall(
  file: string,
  most: number,
  { follow }: { readonly follow: boolean },
): { readonly text: string } | { readonly problem: string; readonly code?: string } {
  const { O_RDONLY, O_NONBLOCK, O_NOFOLLOW } = constants
  let fd: number
  try {
    fd = openSync(file, O_RDONLY | O_NONBLOCK | (follow ? 0 : O_NOFOLLOW))
  } catch (error) {
    const code = codeOf(error)
    return {
      problem: code === 'ELOOP' ? 'is a symbolic link' : `cannot be read (${code})`,
      code,
    }
  }
  try {
    if (!fstatSync(fd).isFile()) return { problem: 'is no regular file' }
    const chunks: Buffer[] = []
    let length = 0
    for (;;) {
      const chunk = Buffer.alloc(Math.min(65_536, most + 1 - length))
      const count = readSync(fd, chunk, 0, chunk.length, null)
      if (count === 0) break
      chunks.push(chunk.subarray(0, count))
      length += count
      if (length > most) return { problem: `has more than ${most} bytes` }
    }
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks)) }
  } catch (error) {
    return { problem: error instanceof TypeError ? 'is not UTF-8' : `cannot be read (${codeOf(error)})` }
  } finally {
    closeSync(fd)
  }
}

export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'fault'
}
