import { accessSync, constants, existsSync, realpathSync, statSync } from 'node:fs'
import { delimiter, dirname, isAbsolute, join, relative, resolve } from 'node:path'
import { SwarmError } from '../contract/errors.ts'
import type { Environment } from './environment.ts'
import type { Argv } from './spawn.ts'

/** Where a gate is run, and by whom. */
export interface GatePlace {
  /** The directory that holds `.swarm/`. */
  readonly root: string
  /** The directory that the gate runs in; with the working tree around it, it is where agents write. */
  readonly cwd: string
  /** `PATH` as the operator has it: see `operatorPath`. */
  readonly path: string
}

/** A gate as it is started. */
export interface ResolvedGate {
  /** The words, the first one an absolute path. */
  readonly argv: Argv
  /** The `PATH` for whatever the gate itself starts. */
  readonly path: string
}

/** `SWARM_GATE_PATH`, else the PATH that swarm was started with. */
export function operatorPath(env: Environment): string {
  return env.SWARM_GATE_PATH || env.PATH || ''
}

/**
 * Finds the program of a gate outside of what agents write: a name is looked up in the absolute directories of the PATH that do not lie
 * in the root or the working tree, and must not lead back there by a link; a word with a slash is taken from the root, wherever the gate
 * runs. DEPENDENCY when there is no such program.
 */
export function resolveGate([word = '', ...args]: Argv, { root, cwd, path }: GatePlace): ResolvedGate {
  const workspaces = [root, cwd, workingTree(cwd)].map(realOr).filter((dir) => dir !== '/')
  const isOutside = (file: string) => !workspaces.some((dir) => contains(dir, realOr(file)))
  const entries = path.split(delimiter).filter((entry) => entry !== '')
  const kept = entries.filter((entry) => isAbsolute(entry) && isOutside(entry))
  const file = word.includes('/')
    ? [resolve(root, word)].find(isExecutable)
    : kept.map((dir) => join(dir, word)).find((one) => isExecutable(one) && isOutside(one))
  if (word === '' || file === undefined) throw notFound(word, root, entries.length - kept.length)
  return { argv: [file, ...args], path: kept.join(delimiter) }
}

function notFound(word: string, root: string, left_out: number): SwarmError {
  const message = word.includes('/')
    ? `the gate’s program ${word} is not there below ${root}, or may not be executed`
    : `the gate’s program ${word} is not on the operator’s PATH outside of the workspace; name it by a path from the root, or set SWARM_GATE_PATH`
  return new SwarmError('DEPENDENCY', message, { ctx: { binary: word, left_out }, retryable: false })
}

/** The top of the git working tree that a directory is in, else the directory. */
function workingTree(start: string): string {
  for (let dir = start; ; dir = dirname(dir)) {
    if (existsSync(join(dir, '.git'))) return dir
    if (dir === dirname(dir)) return start
  }
}

/** The path without links; as it is when nothing is there. */
function realOr(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return resolve(path)
  }
}

function contains(dir: string, path: string): boolean {
  const way = relative(dir, path)
  return way !== '..' && !way.startsWith('../') && !isAbsolute(way)
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return statSync(file).isFile()
  } catch {
    return false
  }
}
