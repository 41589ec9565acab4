import { readdirSync, readFileSync } from 'node:fs'

/** Groups that this process started and that may still live. */
const alive = new Set<number>()
let watchingExit = false

/** Remembers a group, so that it is ended when this process exits without having ended it. */
export function rememberGroup(pgid: number): void {
  alive.add(pgid)
  if (watchingExit) return
  watchingExit = true
  process.on('exit', () => {
    for (const group of alive) signalGroup(group, 'SIGKILL')
  })
}

/** The group has ended by itself. */
export function forgetGroup(pgid: number): void {
  alive.delete(pgid)
}

/** Sends a signal to every process of a group; false when none is left. */
export function signalGroup(pgid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(-pgid, signal)
    return true
  } catch {
    return false
  }
}

/**
 * True while a process of the group runs. Zombies do not count: where nothing reaps orphans (a container without an
 * init) they would stay for ever.
 */
function groupRuns(pgid: number): boolean {
  try {
    process.kill(-pgid, 0)
  } catch {
    return false
  }
  return process.platform !== 'linux' || linuxGroupRuns(pgid)
}

function linuxGroupRuns(pgid: number): boolean {
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const [state, , group] = statOf(name)
    if (group === String(pgid) && state !== 'Z' && state !== 'X') return true
  }
  return false
}

/** State, parent and group of a process: the fields after the command name, which may hold blanks and brackets. */
function statOf(pid: string): readonly string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ', 3)
  } catch {
    return []
  }
}

/** How long to wait for a group to be gone after SIGKILL: longer only when the kernel holds a process back. */
const KILLED_MS = 2_000

/**
 * Ends a group: SIGTERM, after `graceMs` SIGKILL, and resolves when no process of it runs. False when some still runs two
 * seconds after SIGKILL.
 */
export async function endGroup(pgid: number, graceMs: number): Promise<boolean> {
  if (signalGroup(pgid, 'SIGTERM') && !(await groupGone(pgid, graceMs))) {
    signalGroup(pgid, 'SIGKILL')
    if (!(await groupGone(pgid, KILLED_MS))) return false
  }
  forgetGroup(pgid)
  return true
}

/** Waits for a group to end by itself; false when some of it still runs after `ms`. */
export async function groupGone(pgid: number, ms: number): Promise<boolean> {
  const end = performance.now() + ms
  for (let pause = 2; groupRuns(pgid); pause = Math.min(pause * 2, 50)) {
    const left = end - performance.now()
    if (left <= 0) return false
    await new Promise((resolve) => setTimeout(resolve, Math.min(pause, left)))
  }
  return true
}
