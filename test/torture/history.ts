import type { Envelope } from '../../src/contract/envelope.ts'

/** One request of an agent, as its client saw it. Times are Unix milliseconds of the database's clock. */
export interface Operation {
  readonly cmd: 'claim-next' | 'heartbeat' | 'complete-stage' | 'release'
  readonly worker: string
  readonly agent: number
  /** Operation key. */
  readonly key: string
  /** Before it was sent. */
  readonly from: number
  /** The claim under which it was sent; absent for a claim. */
  readonly claim?: ClaimMade
  readonly outcome?: 'passed' | 'failed'
  /** When it was answered, and how; undefined when the process died first. */
  to?: number
  answer?: Envelope
}

/** A claim as its holder knows it. */
export interface ClaimMade {
  readonly bead: string
  readonly fence: number
  readonly stage: string
  readonly attempt: number
  readonly leaseMs: number
}

/** A row of stage_history that has an outcome. */
export interface DoneRow {
  readonly bead: string
  readonly stage: string
  readonly attempt: number
  readonly fence: number
  readonly agent: number
  readonly status: string
}

/** Operations that were answered and did what they asked for. */
function accepted(history: readonly Operation[]): (Operation & { readonly to: number })[] {
  return history.flatMap((one) => (one.answer?.ok && one.to !== undefined ? [{ ...one, to: one.to }] : []))
}

/**
 * Two agents that both had reason to believe that a bead was theirs, at one moment of the database's clock. A holder believes it
 * from the answer to its claim until it gives the bead away, until another process of the same agent asks for it and gets it, or
 * until a lease after it last asked for one.
 */
export function doubleHolders(history: readonly Operation[]): string[] {
  const beliefs = new Map<string, Belief>()
  for (const one of [...history].sort((a, b) => a.from - b.from)) {
    const made = one.cmd === 'claim-next' ? claimOf(one) : one.claim
    if (!made) continue
    const key = `${made.bead} ${made.fence} ${one.agent}`
    const { agent, from, to = Number.POSITIVE_INFINITY, answer } = one
    const isDone = answer?.ok === true
    // answered from its key, it says nothing about now
    const until = isDone && !answer.replayed ? from + made.leaseMs : 0
    const belief = beliefs.get(key)
    if (!belief && one.cmd === 'claim-next')
      beliefs.set(key, { agent, bead: made.bead, fence: made.fence, asked: from, from: to, until })
    else if (belief && !belief.over) {
      const isRefused = answer?.ok === false
      const isGiven = one.cmd === 'release' || (one.cmd === 'complete-stage' && !isKept(one))
      belief.over = isRefused || !answer || isGiven
      // whoever is refused believed it until then; what was sent to give it away may have done so at once
      if (belief.over) belief.until = Math.min(belief.until, isRefused ? to : from)
      else belief.until = Math.max(belief.until, until)
    }
  }
  return [...groupByBead([...beliefs.values()])].flatMap(([bead, all]) => {
    for (const belief of all) {
      const own = all.filter(({ agent, fence }) => agent === belief.agent && fence > belief.fence)
      belief.until = Math.min(belief.until, ...own.map(({ asked }) => asked))
    }
    const ordered = all.filter(({ from, until }) => from < until).sort((a, b) => a.from - b.from)
    return ordered.flatMap((belief, at) =>
      ordered
        .slice(at + 1)
        // clocks are read in whole milliseconds
        .filter((other) => other.agent !== belief.agent && other.from + 1 < belief.until)
        .map((other) => `${bead}: ${JSON.stringify(belief)} and ${JSON.stringify(other)}`),
    )
  })
}

interface Belief {
  readonly agent: number
  readonly bead: string
  readonly fence: number
  readonly asked: number
  readonly from: number
  until: number
  /** It was given away, or may have been, or the answer was a refusal. */
  over?: boolean
}

/** Writes that were accepted under a fence after a claim with a higher one had been answered. */
export function oldFences(history: readonly Operation[]): string[] {
  const claims = accepted(history).flatMap((one) => {
    const made = one.cmd === 'claim-next' ? claimOf(one) : undefined
    return made ? [{ ...made, to: one.to }] : []
  })
  const byBead = groupByBead(claims)
  return accepted(history).flatMap((one) => {
    const { claim, answer } = one
    // answered from its key, it was done before
    if (!claim || (answer?.ok && answer.replayed)) return []
    const newer = byBead.get(claim.bead)?.find(({ fence, to }) => fence > claim.fence && to < one.from)
    return newer
      ? [`${one.cmd} of ${claim.bead} under ${claim.fence} by ${one.worker}, after ${newer.fence}`]
      : []
  })
}

/** Acknowledged completions that are not in the database, or are there more than once; and rows that nobody asked for. */
export function lostWrites(history: readonly Operation[], rows: readonly DoneRow[]): string[] {
  const keyOf = (row: DoneRow) =>
    JSON.stringify([row.bead, row.stage, row.attempt, row.fence, row.agent, row.status])
  const found = new Map<string, number>()
  for (const row of rows) found.set(keyOf(row), (found.get(keyOf(row)) ?? 0) + 1)
  const possible = new Set<string>()
  const problems: string[] = []
  for (const { cmd, agent, claim, outcome, answer } of history) {
    if (cmd !== 'complete-stage' || !claim || !outcome) continue
    const { bead, stage, attempt, fence } = claim
    const key = keyOf({ bead, stage, attempt, fence, agent, status: outcome })
    const isRefused = answer?.ok === false && answer.err.ctx?.outcome !== 'unknown'
    if (!isRefused) possible.add(key)
    if (answer?.ok && found.get(key) !== 1)
      problems.push(`acknowledged, ${found.get(key) ?? 0} times there: ${key}`)
  }
  return [
    ...problems,
    ...[...found.keys()].filter((key) => !possible.has(key)).map((key) => `nobody asked for ${key}`),
  ]
}

/** What a claim was answered; undefined when it was nothing. */
export function claimOf({ answer }: Operation): ClaimMade | undefined {
  const d = answer?.ok ? answer.d : undefined
  if (typeof d !== 'object' || d === null || !('bead' in d) || typeof d.bead !== 'object' || d.bead === null)
    return undefined
  const { bead, fence, stage, attempt, lease_ms } = d
  if (!('bead_id' in bead)) return undefined
  return {
    bead: String(bead.bead_id),
    fence: Number(fence),
    stage: String(stage),
    attempt: Number(attempt),
    leaseMs: Number(lease_ms),
  }
}

function isKept({ answer }: Operation): boolean {
  const d = answer?.ok ? answer.d : undefined
  return typeof d === 'object' && d !== null && 'kept' in d && d.kept === true
}

function groupByBead<T extends { readonly bead: string }>(all: readonly T[]): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const one of all) groups.set(one.bead, [...(groups.get(one.bead) ?? []), one])
  return groups
}
