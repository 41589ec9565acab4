import { findMarked } from './marker.ts'
import { readIoBytes } from './proc.ts'

/** What one process had used when it was looked at. */
export interface ProcessUse {
  readonly pid: number
  /** Ticks since boot when it started. */
  readonly start: number
  readonly cpuTicks: number
  readonly ioBytes: number
}

/** What all processes of a session had used at one moment. */
export interface LivenessSample {
  /** Milliseconds of a clock that never goes back. */
  readonly atMs: number
  readonly processes: readonly ProcessUse[]
}

export interface LivenessDelta {
  readonly ms: number
  /**
   * CPU used in between, in ms, in steps of 10. A child that was waited for adds all it ever used, so it is an upper bound when
   * processes have ended, and never too low while their parent runs.
   */
  readonly cpuMs: number
  /** Bytes read and written in between, pipes included. */
  readonly ioBytes: number
  readonly processes: number
  readonly started: number
  readonly ended: number
}

/** Sessions that are measured within so many ms share one look at all processes. */
const SHARED_MS = 400

/** USER_HZ, which Linux fixes at 100 for everybody who reads /proc. */
const TICK_MS = 10

/** Measures all processes that carry the marker; undefined where there is no /proc. */
export function sampleLiveness(marker: string, atMs = performance.now()): LivenessSample | undefined {
  const found = findMarked(marker, SHARED_MS)
  if (!found) return undefined
  return {
    atMs,
    processes: found.map(({ pid, start, cpuTicks }) => ({ pid, start, cpuTicks, ioBytes: readIoBytes(pid) })),
  }
}

/** What was used between two samples. A process that was not there before counts with all it has used. Pure. */
export function livenessDelta(before: LivenessSample, after: LivenessSample): LivenessDelta {
  const key = ({ pid, start }: ProcessUse) => `${pid}:${start}`
  const known = new Map(before.processes.map((one) => [key(one), one]))
  let ticks = 0
  let ioBytes = 0
  let started = 0
  for (const one of after.processes) {
    const earlier = known.get(key(one))
    if (!earlier) started++
    ticks += Math.max(0, one.cpuTicks - (earlier?.cpuTicks ?? 0))
    ioBytes += Math.max(0, one.ioBytes - (earlier?.ioBytes ?? 0))
  }
  const stayed = after.processes.length - started
  return {
    ms: after.atMs - before.atMs,
    cpuMs: ticks * TICK_MS,
    ioBytes,
    processes: after.processes.length,
    started,
    ended: before.processes.length - stayed,
  }
}
