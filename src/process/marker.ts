import { randomUUID } from 'node:crypto'
import { hasProc, listProcesses, type ProcEntry, readEnvironment, readProcess } from './proc.ts'
import { thisProcess } from './who.ts'

/** The variable that every process of a session inherits. */
export const MARKER_NAME = 'SWARM_SESSION_MARKER'

/** A new one. It begins with the name of the process that makes it, so that it can be told later whether that one still runs. */
export const newMarker = (): string => `${thisProcess()}/${randomUUID()}`

/** The process that made a marker, as `standingOfProcess` takes it. */
export const makerOf = (marker: string): string => marker.slice(0, Math.max(0, marker.lastIndexOf('/')))

/** A process that was found to belong to a session. */
export interface MarkedProcess extends ProcEntry {
  /** False: its own environment does not hold the marker, but that of a process above it does. */
  readonly marked: boolean
}

/** All processes but this one at one moment, and which of them carry which marker. */
interface Scan {
  readonly at: number
  readonly entries: readonly ProcEntry[]
  readonly marked: ReadonlyMap<string, ReadonlySet<number>>
}

let last: Scan | undefined

/** Looks at all processes, or takes a look that is at most `maxAgeMs` old: each costs a few ms, and many sessions ask. */
function scan(maxAgeMs: number): Scan {
  const at = performance.now()
  if (last && at - last.at <= maxAgeMs) return last
  const prefix = `${MARKER_NAME}=`
  const entries = listProcesses().filter(({ pid }) => pid !== process.pid)
  const marked = new Map<string, Set<number>>()
  for (const { pid } of entries)
    for (const entry of readEnvironment(pid)) {
      if (!entry.startsWith(prefix)) continue
      const marker = entry.slice(prefix.length)
      marked.set(marker, (marked.get(marker) ?? new Set()).add(pid))
    }
  last = { at, entries, marked }
  return last
}

/**
 * Processes that carry the marker in their environment, and all below them, as they are now or were at most `maxAgeMs` ago. Undefined
 * where it cannot be told (no /proc). Not found: zombies, this process, processes of other users whose environment may not be read, and a
 * process that was started with an empty environment and whose parent has gone.
 */
export function findMarked(marker: string, maxAgeMs = 0): readonly MarkedProcess[] | undefined {
  if (!hasProc()) return undefined
  const { entries, marked: all } = scan(maxAgeMs)
  const marked = all.get(marker) ?? new Set<number>()
  const found = withDescendants(entries, marked)
  return entries
    .filter(({ pid }) => found.has(pid))
    .map((entry) => ({ ...entry, marked: marked.has(entry.pid) }))
}

/** Every marker that a process on this machine carries, as far as its environment may be read; empty where there is no /proc. */
export const markersInUse = (): readonly string[] => (hasProc() ? [...scan(0).marked.keys()] : [])

/** The given processes and all that descend from them. Pure. */
export function withDescendants(
  entries: readonly Pick<ProcEntry, 'pid' | 'parent'>[],
  roots: ReadonlySet<number>,
): ReadonlySet<number> {
  const children = new Map<number, number[]>()
  for (const { pid, parent } of entries) children.set(parent, [...(children.get(parent) ?? []), pid])
  const found = new Set(roots)
  // a set is walked in the order of insertion, also what is added meanwhile
  for (const pid of found) for (const child of children.get(pid) ?? []) found.add(child)
  return found
}

/** Signals each of the processes that is still the one that was found; answers those that may not be signalled. */
export function signalFound(
  found: readonly ProcEntry[],
  signal: NodeJS.Signals,
): readonly { readonly pid: number; readonly why: string }[] {
  return found.flatMap(({ pid, start }) => {
    if (readProcess(pid)?.start !== start) return []
    try {
      process.kill(pid, signal)
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
      if (code !== 'ESRCH') return [{ pid, why: code }]
    }
    return []
  })
}
