import { randomBytes } from 'node:crypto'
import { fstatSync, lstatSync, readSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { openOwn } from './own-file.ts'
import type { ServerPaths } from './paths.ts'
import { POINTER_FILE } from './pointer.ts'
import { readText } from './read-text.ts'

/** Name of the file under `.swarm/` by which a keeper tells that it lives, also to other machines. */
export const KEEPER_FILE = 'postgres.keeper'

/** What a keeper may still do: keep, leave it to another keeper, or end what has lost its `.swarm/`. */
export type Keeping = 'ours' | 'taken' | 'homeless'

/* The file holds the token of the latest keeper, then one letter, written anew at every sign of life. */
const TOKEN_LENGTH = 32
const ALIVE = '.'
const OVER = 'x'

/** Makes a new keeper the one that counts; earlier ones see it and leave. The open file is for the keeper to inherit. */
export function takeKeeping(paths: ServerPaths): { readonly fd: number; readonly token: string } {
  const fd = openOwn(paths, join(paths.swarmDir, KEEPER_FILE), { mode: 0o600 })
  const token = randomBytes(TOKEN_LENGTH / 2).toString('hex')
  writeSync(fd, `${token}${ALIVE}`, 0)
  return { fd, token }
}

/** How it stands with the keeper that has this token. */
export function keepingOf(fd: number, token: string): Keeping {
  if (fstatSync(fd).nlink === 0) return 'homeless'
  const buffer = Buffer.alloc(TOKEN_LENGTH)
  readSync(fd, buffer, 0, TOKEN_LENGTH, 0)
  return buffer.toString('latin1') === token ? 'ours' : 'taken'
}

/** A sign of life; or, with `isOver`, the last one, which says that the server has ended. */
export function giveSign(fd: number, isOver = false): void {
  writeSync(fd, isOver ? OVER : ALIVE, TOKEN_LENGTH)
}

/** Milliseconds since somebody said that the server lives: its keeper, or whoever wrote the pointer. */
export function silenceOf(swarmDir: string): number {
  const signs = [statSync(join(swarmDir, POINTER_FILE)).mtimeMs, lastSign(join(swarmDir, KEEPER_FILE))]
  return Date.now() - Math.max(...signs)
}

function lastSign(file: string): number {
  try {
    return readText(file, TOKEN_LENGTH + 1)?.endsWith(ALIVE) ? lstatSync(file).mtimeMs : 0
  } catch {
    return 0
  }
}
