import { spawnSync } from 'node:child_process'
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'

/** Where a process id means something: the same id elsewhere is another process. */
export interface Whereabouts {
  /** Host, or container: they have host names of their own. */
  readonly machine: string
  /** Changes at every boot of the kernel; containers on one kernel share it. */
  readonly boot_id: string
  /** Processes of another pid namespace cannot be seen from here. Empty where there are none. */
  readonly pid_ns: string
}

/** Where this process runs. */
export function whereabouts(): Whereabouts {
  return {
    machine: `${hostname()}/${readText('/etc/machine-id')}`,
    boot_id: readText('/proc/sys/kernel/random/boot_id') || darwinBootId(),
    pid_ns: readLink('/proc/self/ns/pid'),
  }
}

/** True when process ids noted there mean the same processes here. */
export function isSamePlace(there: Whereabouts, here: Whereabouts): boolean {
  return there.boot_id === here.boot_id && there.pid_ns === here.pid_ns
}

function darwinBootId(): string {
  if (process.platform !== 'darwin') return ''
  const result = spawnSync('sysctl', ['-n', 'kern.bootsessionuuid'], { encoding: 'utf8', timeout: 5_000 })
  return result.status === 0 ? result.stdout.trim() : ''
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return ''
  }
}

function readLink(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}
