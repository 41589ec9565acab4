import { createHash } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { hasProc, readProcess } from './proc.ts'

let machine: string | undefined

/** Names this machine as long as it runs, and within it the space of process numbers: numbers of another space mean other processes. */
function thisMachine(): string {
  machine ??= createHash('sha256')
    .update(tell(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8')))
    .update(tell(() => readlinkSync('/proc/self/ns/pid')))
    .digest('hex')
    .slice(0, 12)
  return machine
}

function tell(read: () => string): string {
  try {
    return read()
  } catch {
    return ''
  }
}

/** Names this process for good: `<machine>.<pid>.<start>`. Its number alone may belong to another one later. */
export function thisProcess(): string {
  return `${thisMachine()}.${process.pid}.${readProcess(process.pid)?.start ?? 0}`
}

/**
 * Whether a process that `thisProcess` named still runs. `elsewhere`: it cannot be told from here, as it ran on another machine, before a
 * restart of this one, in another space of process numbers, or there is no /proc.
 */
export function standingOfProcess(name: string): 'runs' | 'gone' | 'elsewhere' {
  const [where, pid, start] = name.split('.')
  if (!hasProc() || where !== thisMachine() || !pid || !start) return 'elsewhere'
  return readProcess(Number(pid))?.start === Number(start) ? 'runs' : 'gone'
}
