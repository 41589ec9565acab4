import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'

/**
 * The text of a small file that somebody else may have written: a link, a pipe or a device is not opened, and no more than `longest`
 * bytes are read. Null when it is no regular file or is longer. Throws what open(2) throws (ENOENT, EACCES, ELOOP for a link).
 */
export function readText(path: string, longest: number): string | null {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const stat = fstatSync(fd)
    if (!stat.isFile() || stat.size > longest) return null
    const buffer = Buffer.alloc(longest)
    let length = 0
    for (;;) {
      const count = readSync(fd, buffer, length, longest - length, length)
      if (count === 0) return buffer.toString('utf8', 0, length)
      length += count
    }
  } finally {
    closeSync(fd)
  }
}
