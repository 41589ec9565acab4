import { readFileSync } from 'node:fs'

/** Milliseconds of a tick of /proc. */
const TICK_MS = 10

/**
 * The CPU time, in ms, that a Postgres server has used since it started, with all of its processes, those that have ended too. Unlike a
 * rate it says what something costs on a machine that is busy with other things. Null where there is no /proc.
 */
export function serverCpuMs(postmaster: number): number | null {
  try {
    const children = readFileSync(`/proc/${postmaster}/task/${postmaster}/children`, 'utf8')
    const ticks = [postmaster, ...children.trim().split(' ').map(Number)].map((pid) => ticksOf(pid))
    return ticks.reduce((sum, own) => sum + own, 0) * TICK_MS
  } catch {
    return null
  }
}

/** Of a process and of those of its children that it has reaped; 0 when it has ended meanwhile. */
function ticksOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // utime, stime, cutime and cstime: the fields 14 to 17, of which two stand before the name's end
    return stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 15)
      .reduce((sum, field) => sum + Number(field), 0)
  } catch {
    return 0
  }
}
