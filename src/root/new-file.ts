import { randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  copyFileSync,
  linkSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'

/** A name beside a file that nobody can foresee, and so nobody can have put a link there. */
export function draftBeside(file: string): string {
  return `${file}.${randomBytes(8).toString('hex')}.part`
}

/**
 * Puts a finished draft in its place. With `force` it replaces what is there, a link itself and never what it points to; without, a
 * file or link that is there already throws EEXIST, whenever it came.
 */
export function place(draft: string, file: string, force: boolean): void {
  if (force) {
    renameSync(draft, file)
    return
  }
  try {
    linkSync(draft, file)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error) || error.code === 'EEXIST') throw error
    // some file systems have no hard links
    copyFileSync(draft, file, constants.COPYFILE_EXCL)
  }
  rmSync(draft)
}

/** Writes a whole file, never through a link. See `place` for `force`. */
export function writeNewFile(file: string, text: string, force: boolean): void {
  const draft = draftBeside(file)
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants
  const descriptor = openSync(draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW)
  try {
    writeFileSync(descriptor, text)
    place(draft, file, force)
  } catch (error) {
    rmSync(draft, { force: true })
    throw error
  } finally {
    closeSync(descriptor)
  }
}
