import { readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs'
import { sep } from 'node:path'

/** One process as /proc tells it, without its environment. */
export interface ProcEntry {
  readonly pid: number
  readonly parent: number
  readonly group: number
  /** Ticks since boot when it started: with `pid` it names one process for good. */
  readonly start: number
  /** CPU used by it and by the children it has waited for, in ticks of 10 ms. */
  readonly cpuTicks: number
  /** The name of its program, at most 15 characters. */
  readonly name: string
}

/** True where /proc tells about processes. */
export const hasProc = (): boolean => process.platform === 'linux'

/** Every process but zombies, of all users. Empty where there is no /proc. */
export function listProcesses(): readonly ProcEntry[] {
  if (!hasProc()) return []
  return readdirSync('/proc').flatMap((name) => {
    const entry = /^\d+$/.test(name) ? readProcess(Number(name)) : undefined
    return entry ? [entry] : []
  })
}

/** One process; undefined when it has gone or is a zombie. */
export function readProcess(pid: number): ProcEntry | undefined {
  const stat = readProcFile(pid, 'stat')
  if (stat === undefined) return undefined
  // the name stands in brackets and may hold blanks and brackets
  const open = stat.indexOf('(')
  const close = stat.lastIndexOf(')')
  const fields = stat.slice(close + 2).split(' ')
  if (fields[0] === 'Z' || fields[0] === 'X') return undefined
  const at = (index: number) => Number(fields[index] ?? 0)
  return {
    pid,
    parent: at(1),
    group: at(2),
    start: at(19),
    cpuTicks: at(11) + at(12) + at(13) + at(14),
    name: stat.slice(open + 1, close),
  }
}

/** Processes that are in a directory or below it, as far as that may be asked; empty where there is no /proc. */
export function processesWithin(dir: string): readonly ProcEntry[] {
  const top = realOr(dir)
  return listProcesses().filter(({ pid }) => {
    try {
      const cwd = readlinkSync(`/proc/${pid}/cwd`)
      return cwd === top || cwd.startsWith(top + sep)
    } catch {
      return false
    }
  })
}

function realOr(dir: string): string {
  try {
    return realpathSync(dir)
  } catch {
    return dir
  }
}

/** Bytes a process has read and written, pipes and terminals included; 0 when it may not be asked. */
export function readIoBytes(pid: number): number {
  const io = readProcFile(pid, 'io') ?? ''
  const count = (name: string) => Number(new RegExp(`^${name}: (\\d+)`, 'm').exec(io)?.[1] ?? 0)
  return count('rchar') + count('wchar')
}

/** The environment a process was started with, as `NAME=value` entries; empty when it may not be read. */
export function readEnvironment(pid: number): readonly string[] {
  return readProcFile(pid, 'environ')?.split('\0') ?? []
}

/** The process has gone meanwhile or belongs to somebody else: both mean that there is nothing to read. */
function readProcFile(pid: number, name: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8')
  } catch {
    return undefined
  }
}
