import { randomUUID } from 'node:crypto'
import { hasProc, listProcesses, type ProcEntry, readEnvironment, readProcess } from './proc.ts'

/** The variable that every process of a session inherits. */
export const MARKER_NAME = 'SWARM_SESSION_MARKER'

export const newMarker = (): string => randomUUID()

/** A process that was found to belong to a session. */
export interface MarkedProcess extends ProcEntry {
  /** False: its own environment does not hold the marker, but that of a process above it does. */
  readonly marked: boolean
}

/**
 * Processes that carry the marker in their environment, and all below them. Undefined where it cannot be told (no /proc).
 * Not found: zombies, this process, processes of other users whose environment may not be read, and a process that was started
 * with an empty environment and whose parent has gone.
 */
export function findMarked(marker: string): readonly MarkedProcess[] | undefined {
  if (!hasProc()) return undefined
  const entries = listProcesses().filter(({ pid }) => pid !== process.pid)
  const wanted = `${MARKER_NAME}=${marker}`
  const marked = new Set(
    entries.filter(({ pid }) => readEnvironment(pid).includes(wanted)).map(({ pid }) => pid),
  )
  const all = withDescendants(entries, marked)
  return entries
    .filter(({ pid }) => all.has(pid))
    .map((entry) => ({ ...entry, marked: marked.has(entry.pid) }))
}

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
