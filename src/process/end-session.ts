import { forgetGroup, groupGone, signalGroup } from './group.ts'
import { findMarked, type MarkedProcess, signalFound } from './marker.ts'
import { readProcess } from './proc.ts'
import { within } from './within.ts'

export interface EndSessionOptions {
  /** The session's first process, which leads a group of its own. */
  readonly pid: number
  readonly marker: string
  /** Resolves when the first process has ended. */
  readonly exited: Promise<unknown>
  /** Asks the program by its own protocol to stop. Without it SIGTERM comes first. */
  readonly interrupt?: (() => void | Promise<void>) | undefined
  /** Ms the program has to end after the interrupt, 5,000 unless said. */
  readonly interruptMs?: number
  /** Ms between SIGTERM and SIGKILL, 3,000 unless said. */
  readonly graceMs?: number
  /** Ms for the kernel to end what was killed, and for new children to be found, 3,000 unless said. */
  readonly killMs?: number
}

export type EndStep = 'interrupt' | 'SIGTERM' | 'SIGKILL' | 'sweep'

/** A process that could not be ended. */
export interface LeftProcess {
  readonly pid: number
  readonly name: string
  /** The error of kill (`EPERM`), or `alive` when it was killed and still runs. */
  readonly why: string
}

export interface SessionEnding {
  /** What was needed, in order; empty when everything had ended already. */
  readonly steps: readonly EndStep[]
  /** Processes outside the group that were found by their marker and ended. */
  readonly swept: readonly { readonly pid: number; readonly name: string }[]
  /** Nothing of the session runs when this is empty and `canSweep` is true. */
  readonly left: readonly LeftProcess[]
  /** False where processes outside the group cannot be found (no /proc): then nobody can say that none is left. */
  readonly canSweep: boolean
}

const INTERRUPT_MS = 5_000
const GRACE_MS = 3_000
const KILL_MS = 3_000
const PAUSE_MS = 20
/** What is left may clean up for so long. */
const POLITE_MS = 500
const STOP_ROUNDS = 10

/**
 * Ends a session with everything it has started: the program's own interrupt, SIGTERM to its group, SIGKILL, then all that carry
 * the marker wherever they went. Takes at most interruptMs + graceMs + 2 × killMs. Never throws for what it cannot end: it says so.
 */
export async function endSession(options: EndSessionOptions): Promise<SessionEnding> {
  const { pid, marker, exited, interrupt } = options
  const { interruptMs = INTERRUPT_MS, graceMs = GRACE_MS, killMs = KILL_MS } = options
  const steps: EndStep[] = []
  const belongings = new Belongings(marker)
  belongings.look()
  let gone = await within(exited, 0)
  if (!gone && interrupt) {
    steps.push('interrupt')
    gone = await within(Promise.all([Promise.resolve(interrupt()).catch(() => {}), exited]), interruptMs)
  }
  // after its leader has been waited for, the number of a group may belong to somebody else
  const isOurs = () => belongings.look()?.some(({ group }) => group === pid) ?? true
  if (!gone || isOurs()) {
    steps.push('SIGTERM')
    signalGroup(pid, 'SIGTERM')
    if (!(await groupGone(pid, graceMs))) {
      steps.push('SIGKILL')
      signalGroup(pid, 'SIGKILL')
      await groupGone(pid, killMs)
    }
  }
  forgetGroup(pid)
  const { swept, left, canSweep } = await sweep(belongings, killMs)
  if (swept.length > 0 || left.length > 0) steps.push('sweep')
  return { steps, swept, left, canSweep }
}

/**
 * Ends everything that carries a marker, where nobody knows the session's first process any more: SIGTERM, then SIGKILL, at most `ms`
 * in all, 3,000 unless said. Never throws for what it cannot end: it says so.
 */
export function endMarked(
  marker: string,
  ms = KILL_MS,
): Promise<Pick<SessionEnding, 'swept' | 'left' | 'canSweep'>> {
  return sweep(new Belongings(marker), ms)
}

/**
 * What belongs to a session, remembered from look to look: a process whose parent has ended meanwhile is not lost, even when its own
 * environment is empty.
 */
class Belongings {
  readonly seen = new Map<string, MarkedProcess>()
  readonly #marker: string

  constructor(marker: string) {
    this.#marker = marker
  }

  /** Everything of the session that runs now; undefined where it cannot be told. */
  look(): readonly MarkedProcess[] | undefined {
    const found = findMarked(this.#marker)
    if (!found) return undefined
    const now = new Set(found.map(keyOf))
    const orphans = [...this.seen.values()].filter(
      (one) => !now.has(keyOf(one)) && readProcess(one.pid)?.start === one.start,
    )
    for (const one of found) this.seen.set(keyOf(one), one)
    return [...found, ...orphans]
  }
}

const keyOf = ({ pid, start }: MarkedProcess) => `${pid}:${start}`

/**
 * Ends what is left of a session: SIGTERM, a moment later SIGKILL, again until nothing is found, at most `ms`. Before they are
 * killed all are stopped, so that none can start another between being found and being killed.
 */
async function sweep(
  belongings: Belongings,
  ms: number,
): Promise<Pick<SessionEnding, 'swept' | 'left' | 'canSweep'>> {
  const end = performance.now() + ms
  let found = belongings.look()
  if (!found) return { swept: [], left: [], canSweep: false }
  const swept = new Map<string, MarkedProcess>()
  let refused: ReadonlyMap<number, string> = new Map()
  const note = (some: readonly MarkedProcess[]) => {
    for (const one of some) swept.set(keyOf(one), one)
  }
  note(found)
  signalFound(found, 'SIGTERM')
  const politeUntil = performance.now() + Math.min(POLITE_MS, ms / 4)
  while (found.length > 0 && performance.now() < politeUntil) {
    await pause()
    found = belongings.look() ?? []
  }
  while (found.length > 0 && performance.now() < end) {
    found = stopAll(belongings, found)
    note(found)
    refused = new Map(signalFound(found, 'SIGKILL').map(({ pid, why }) => [pid, why]))
    await pause()
    found = belongings.look() ?? []
    if (found.length > 0 && found.every(({ pid }) => refused.has(pid))) break
  }
  for (const one of found) swept.delete(keyOf(one))
  return {
    swept: [...swept.values()].map(({ pid, name }) => ({ pid, name })),
    left: found.map(({ pid, name }) => ({ pid, name, why: refused.get(pid) ?? 'alive' })),
    canSweep: true,
  }
}

/** Stops all, and what they started before they were stopped; answers all that were found. */
function stopAll(belongings: Belongings, first: readonly MarkedProcess[]): readonly MarkedProcess[] {
  let found = first
  for (let known = 0, round = 0; found.length > known && round < STOP_ROUNDS; round++) {
    known = found.length
    signalFound(found, 'SIGSTOP')
    found = belongings.look() ?? []
  }
  return found
}

const pause = () => new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
