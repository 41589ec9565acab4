import type { DemoFault, DemoFaultName, DemoScript } from '../../contract/demo-script.ts'

/** What the demo agent is told about its work by the environment. */
export interface DemoWork {
  readonly bead: string
  readonly stage: string | undefined
  readonly attempt: number
  /** It goes on with an earlier session: what stopped that one is over. */
  readonly resumed: boolean
}

/** Faults that an earlier session has had and that its continuation has not again. */
const ONCE: readonly DemoFaultName[] = ['quota', 'overload', 'question']

/** The faults of a script that concern this work. Pure: the same seed and work give the same faults. */
export function faultsFor(script: DemoScript, work: DemoWork): ReadonlyMap<DemoFaultName, DemoFault> {
  const { seed = 0, faults = [] } = script
  const chosen = faults.filter((fault, index) => {
    const { beads, stages, attempts, chance } = fault
    if (work.resumed && ONCE.includes(fault.fault)) return false
    if (beads && !beads.includes(work.bead)) return false
    if (stages && !stages.includes(work.stage ?? '')) return false
    if (attempts && !attempts.includes(work.attempt)) return false
    const { bead, stage, attempt } = work
    return chance === undefined || fraction(`${seed}:${index}:${bead}:${stage}:${attempt}`) < chance
  })
  return new Map(chosen.map((fault) => [fault.fault, fault]))
}

/** A number from 0 to below 1 that depends on the text alone (FNV-1a, mixed once more, as close texts give close hashes). */
function fraction(text: string): number {
  let hash = 0x811c9dc5
  for (const char of text) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  hash = Math.imul(hash ^ (hash >>> 12), 0x297a2d39)
  return ((hash ^ (hash >>> 15)) >>> 0) / 4_294_967_296
}
