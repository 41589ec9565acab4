import { readFileSync } from 'node:fs'

/** Milliseconds of a tick of /proc. */
const TICK_MS = 10

/**
 * The CPU time, in ms, that a Postgres server has used since it started, with all of its processes, those that have ended too. Unlike a
 * rate it says what something costs on a machine that is busy with other things. Null where there is no /proc.
 */
export function serverCpuMs(postmaster: number): number | null {
  for (let tries = 0; tries < 1_000; tries++) {
    try {
      const children = readFileSync(`/proc/${postmaster}/task/${postmaster}/children`, 'utf8')
      const processes = [postmaster, ...children.trim().split(' ').map(Number)]
      return processes.reduce((sum, pid) => sum + ticksOf(pid), 0) * TICK_MS
    } catch {
      // a process of the list has ended meanwhile: its time is the postmaster's by now
    }
  }
  return null
}

/** The CPU time, in ms, of a process alone, its children left out. Throws when it has ended. */
export function ownCpuMs(pid: number): number {
  return fieldsOf(pid, 2) * TICK_MS
}

/** Of a process and of those of its children that it has reaped. Throws when it has ended. */
function ticksOf(pid: number): number {
  return fieldsOf(pid, 4)
}

/** The sum of the first of utime, stime, cutime and cstime: the fields 14 to 17, of which two stand before the name's end. */
function fieldsOf(pid: number, count: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 11 + count)
    .reduce((sum, field) => sum + Number(field), 0)
}
