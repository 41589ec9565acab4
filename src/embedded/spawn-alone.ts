import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { devNull } from 'node:os'
import type { ServerUser } from './powers.ts'

const FIRST_AFTER_STDIO = 3
const O_CLOEXEC = 0o2000000

export interface Alone {
  readonly env: Readonly<Record<string, string>>
  /** What it gets as descriptors 0, 1, 2 and so on; nothing else of ours. */
  readonly files: readonly (number | 'ignore')[]
  readonly user: ServerUser | null
}

/**
 * Starts a program that outlives this process: in a session of its own, so that Ctrl-C in the caller's terminal does not reach it, away
 * from the caller's directory, and without the descriptors that this process was started with. A lock or a pipe of whoever runs swarm
 * would otherwise be held as long as the server runs.
 */
export function spawnAlone(
  command: string,
  args: readonly string[],
  { env, files, user }: Alone,
): ChildProcess {
  const nothing = openSync(devNull, 'r+')
  const stdio = [...files]
  for (const fd of inherited()) {
    while (stdio.length <= fd) stdio.push('ignore')
    // beyond the first three, `ignore` leaves what is there
    if (stdio[fd] === 'ignore') stdio[fd] = nothing
  }
  try {
    const child = spawn(command, args, { cwd: '/', detached: true, env, stdio, ...user })
    child.unref()
    return child
  } finally {
    closeSync(nothing)
  }
}

/** Open descriptors that a program started by this one would get. Node's own are closed there; on macOS all are. */
function inherited(): number[] {
  if (process.platform !== 'linux') return []
  return readdirSync('/proc/self/fd')
    .map(Number)
    .filter((fd) => fd >= FIRST_AFTER_STDIO && isPassedOn(fd))
}

function isPassedOn(fd: number): boolean {
  try {
    const flags = /^flags:\s*([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1]
    return flags !== undefined && (Number.parseInt(flags, 8) & O_CLOEXEC) === 0
  } catch {
    // closed meanwhile
    return false
  }
}
