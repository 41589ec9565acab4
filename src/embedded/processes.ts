import { spawnSync } from 'node:child_process'
import { lstatSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { basename } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { errnoOf, failure } from './failure.ts'

/** The processes of one data directory that can be seen from here. */
export interface ServerProcesses {
  /** Postmasters that live. More than one would be a disaster. */
  readonly postmasters: readonly number[]
  /** Backends whose postmaster is dead. They still read and write the directory. */
  readonly orphans: readonly number[]
}

interface Process {
  readonly pid: number
  readonly ppid: number
  readonly uid: number
  /** Arguments joined with spaces; Postgres writes what a child does in its place. */
  readonly title: string
  /** A Postgres of any directory. */
  readonly isPostgres: boolean
  /** Device and inode of the working directory; null when it may not be read. */
  readonly cwd: string | null
}

/**
 * The Postgres processes of `dataDir`. A process belongs to it when that is its working directory; where this cannot be read (a
 * container's root without CAP_SYS_PTRACE, macOS), when it runs as the directory's owner under our `cluster` name.
 */
export function serverProcesses(dataDir: string, cluster: string | null): ServerProcesses {
  const stat = statSync(dataDir, { throwIfNoEntry: false })
  if (!stat) return { postmasters: [], orphans: [] }
  const here = `${stat.dev}:${stat.ino}`
  const ours = listProcesses().filter((entry) => {
    if (!entry.isPostgres) return false
    if (entry.cwd !== null) return entry.cwd === here
    return cluster !== null && entry.uid === stat.uid && namesCluster(entry.title, cluster)
  })
  // a child that was forked a moment ago still carries its postmaster's title
  const untitled = ours.filter((entry) => !isChild(entry.title))
  const postmasters = untitled
    .filter((entry) => !untitled.some((other) => other.pid === entry.ppid))
    .map((entry) => entry.pid)
  const children = ours.filter((entry) => isChild(entry.title))
  return {
    postmasters,
    orphans: children.filter((child) => !postmasters.includes(child.ppid)).map((child) => child.pid),
  }
}

/** True when `pid` is a process that has not ended; a zombie has. */
export function isAlive(pid: number): boolean {
  return isTaken(pid) && statusOf(pid)?.state !== 'Z'
}

/** True when `pid` names a process, or one that has ended and nobody has asked how: in a container that may last for ever. */
export function isTaken(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    return errnoOf(error) === 'EPERM'
  }
  return true
}

/** Sends a signal; a process that is gone is fine. Throws DEPENDENCY when it belongs to somebody else. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if (errnoOf(error) === 'ESRCH') return
    throw failure(
      `the embedded Postgres (process ${pid}) runs as another user; stop it as that user or as root`,
      {
        pid,
      },
    )
  }
}

/** Resolves to true once `isOver` holds, looking every 20 ms; to false after `timeoutMs`. */
export async function waitUntil(isOver: () => boolean, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs
  while (!isOver()) {
    if (performance.now() > deadline) return false
    await delay(20)
  }
  return true
}

/** Ends backends that outlived their postmaster: asked first, forced after a second. Retried for 15 s, then DEPENDENCY. */
export function endOrphans(dataDir: string, cluster: string | null): Promise<number> {
  return endAll(dataDir, () => serverProcesses(dataDir, cluster).orphans)
}

/** Ends what a killed starter left at work on `draft`, in the same way. */
export function endMakers(draft: string): Promise<number> {
  return endAll(draft, () => makersOf(draft))
}

/** The processes that make a cluster in `draft`: `initdb` and what it has started. */
export function makersOf(draft: string): readonly number[] {
  const stat = lstatSync(draft, { throwIfNoEntry: false })
  if (!stat) return []
  const here = `${stat.dev}:${stat.ino}`
  return listProcesses()
    .filter(({ uid, title, isPostgres, cwd }) => {
      if (uid !== stat.uid) return false
      if (title.includes(`/initdb -D ${draft} `)) return true
      return isPostgres && (cwd === here || title.includes(` -D ${draft} `))
    })
    .map(({ pid }) => pid)
}

async function endAll(dir: string, find: () => readonly number[]): Promise<number> {
  const started = performance.now()
  const ended = new Set<number>()
  for (;;) {
    const left = find()
    if (left.length === 0) return ended.size
    const spent = performance.now() - started
    if (spent > 15_000) {
      throw failure('processes of a dead Postgres still hold its data directory', {
        data_dir: dir,
        pids: left,
      })
    }
    for (const pid of left) {
      ended.add(pid)
      signal(pid, spent < 1_000 ? 'SIGQUIT' : 'SIGKILL')
    }
    await waitUntil(() => !left.some(isAlive), 1_000)
  }
}

/** The command line of a process with spaces for the null bytes; '' when it is gone. */
export function titleOf(pid: number): string {
  return listProcesses(pid)[0]?.title ?? ''
}

function isChild(title: string): boolean {
  return title.startsWith('postgres: ')
}

function namesCluster(title: string, cluster: string): boolean {
  return title.startsWith(`postgres: ${cluster}: `) || title.includes(` cluster_name=${cluster} `)
}

function listProcesses(only?: number): Process[] {
  if (process.platform !== 'linux') return listByPs(only)
  const pids = only === undefined ? readdirSync('/proc').filter((name) => /^\d+$/.test(name)) : [String(only)]
  return pids.flatMap((name) => {
    const pid = Number(name)
    const line = read(`/proc/${name}/cmdline`)
    const status = line === '' ? null : statusOf(pid)
    if (!status || status.state === 'Z') return []
    const isPostgres = isChild(line) || basename(line.split('\0', 1)[0] ?? '') === 'postgres'
    return [{ pid, ...status, title: line.replaceAll('\0', ' '), isPostgres, cwd: cwdOf(pid) }]
  })
}

function listByPs(only?: number): Process[] {
  const which = only === undefined ? ['-ax'] : ['-p', String(only)]
  const result = spawnSync('ps', [...which, '-ww', '-o', 'pid=,ppid=,uid=,state=,command='], {
    encoding: 'utf8',
    timeout: 5_000,
    maxBuffer: 16 * 1024 * 1024,
  })
  return (result.stdout ?? '').split('\n').flatMap((line) => {
    const [, pid, ppid, uid, state, title] = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line) ?? []
    if (title === undefined || state?.startsWith('Z')) return []
    const isPostgres = isChild(title) || title.includes(' cluster_name=')
    return [
      { pid: Number(pid), ppid: Number(ppid), uid: Number(uid), title: `${title} `, isPostgres, cwd: null },
    ]
  })
}

function statusOf(
  pid: number,
): { readonly state: string; readonly ppid: number; readonly uid: number } | null {
  const text = read(`/proc/${pid}/status`)
  const field = (name: string) => new RegExp(`^${name}:\\s+(\\S+)`, 'm').exec(text)?.[1]
  const state = field('State')
  return state === undefined ? null : { state, ppid: Number(field('PPid')), uid: Number(field('Uid')) }
}

function cwdOf(pid: number): string | null {
  try {
    const stat = statSync(`/proc/${pid}/cwd`)
    return `${stat.dev}:${stat.ino}`
  } catch {
    return null
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
