import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { SwarmError } from '../../contract/errors.ts'

/** The text of a file of the user's own; undefined when there is none. INVALID for a link, for anything but a file, and in a linked folder. */
export function readOwn(path: string): string | undefined {
  refuseLink(dirname(path))
  refuseLink(path)
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw bad(path, codeOf(error))
  }
  try {
    if (!fstatSync(fd).isFile()) throw bad(path, 'it is no file')
    return readFileSync(fd, 'utf8')
  } finally {
    closeSync(fd)
  }
}

/** Puts a file in place whole, with the permissions of the one before. */
export function writeOwn(path: string, text: string): void {
  const folder = dirname(path)
  const fresh = `${path}.${process.pid}.new`
  try {
    mkdirSync(folder, { recursive: true })
    writeFileSync(fresh, text, { flag: 'wx', mode: modeOf(path) })
    renameSync(fresh, path)
  } catch (error) {
    try {
      unlinkSync(fresh)
    } catch {
      // it was not made
    }
    throw bad(path, codeOf(error))
  }
}

function modeOf(path: string): number {
  return lstatSync(path, { throwIfNoEntry: false })?.mode ?? 0o644
}

function refuseLink(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink()) throw bad(path, 'it is a link')
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'it cannot be used'
}

function bad(path: string, why: string): SwarmError {
  return new SwarmError('INVALID', `${path}: ${why}`, {
    area: 'configuration',
    ctx: { kind: 'Custom', field: 'path', path },
  })
}
