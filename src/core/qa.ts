import { type Judgement, judge, type StuckRules } from './liveness.ts'

/** A session that is over and has turns that nobody has checked. */
export interface EndedFacts {
  readonly session_id: string
  readonly bead_id: string
  readonly stage: string
  readonly reason: string
  readonly evidence: string | null
  readonly workspace: string | null
  readonly head_after: string | null
  /** Of the commit that it has left; null where work is in no repository. */
  readonly tree: string | null
  /** The bead has had no session after it. */
  readonly latest: boolean
  readonly bead_status: string | null
  /** Its stage has a gate. */
  readonly gate_due: boolean
  /** What gates said in its attempt, as swarm itself has run them. */
  readonly gates: readonly { readonly tree: string | null; readonly exit_code: number }[]
  /** The number of its last turn. */
  readonly last: number
  /** Those that were not checked. */
  readonly iterations: readonly { readonly number: number; readonly status: string }[]
}

/** A session that runs, as its row tells of it. Times are Unix milliseconds. */
export interface OpenFacts {
  readonly session_id: string
  readonly status: string
  readonly wanted: string | null
  readonly started_ms: number | null
  readonly output_ms: number | null
  readonly tool_ms: number | null
  readonly open_tool: string | null
  readonly heartbeat_ms: number | null
  readonly deadline_ms: number | null
}

/** What a check of one turn found. */
export interface Checked {
  readonly session_id: string
  readonly iteration: number
  readonly result: 'passed' | 'failed'
  readonly findings: readonly string[]
  readonly recommendations: readonly string[]
}

/**
 * Holds the turns of a session that is over against the facts. A turn before the last passes when it came to its end; the last one answers for
 * the session: it ended well, nothing is left uncommitted (`dirty`), and where a gate is due, it has passed on the very tree that was left.
 */
export function checkEnded(facts: EndedFacts, dirty: boolean): readonly Checked[] {
  return facts.iterations.map(({ number, status }) => {
    const own = status === 'running' ? ['it still runs, although its session is over'] : []
    const cut = number === facts.last ? [] : status === 'failed' ? ['the turn did not come to its end'] : []
    const found = number === facts.last ? ofSession(facts, dirty) : []
    const findings = [...own, ...cut, ...found.map(({ finding }) => finding)]
    return {
      session_id: facts.session_id,
      iteration: number,
      result: findings.length === 0 ? 'passed' : 'failed',
      findings,
      recommendations: found.flatMap(({ advice }) => advice ?? []),
    }
  })
}

interface Finding {
  readonly finding: string
  readonly advice?: string
}

function ofSession(facts: EndedFacts, dirty: boolean): Finding[] {
  const { reason, evidence, session_id, bead_id, stage, tree, gate_due, gates } = facts
  if (reason !== 'completed') {
    const why = evidence ? `${reason}: ${evidence}` : reason
    return [{ finding: `the session ended: ${why}`, ...adviceFor(facts) }]
  }
  const found: Finding[] = []
  if (dirty)
    found.push({
      finding: 'files of its worktree are not committed',
      advice: `look at ${facts.workspace}: commit what belongs to ${bead_id}, remove the rest`,
    })
  if (!gate_due || tree === null) return found
  const own = gates.filter((gate) => gate.tree === tree)
  if (own.length === 0)
    found.push({
      finding:
        gates.length === 0 ? `no gate has run on tree ${tree}` : `gates ran on another tree than ${tree}`,
      advice: `have ${stage} of ${bead_id} done again (reopen); ${session_id} shows what was done`,
    })
  else if (own.some(({ exit_code }) => exit_code !== 0))
    found.push({ finding: `a gate has failed on tree ${tree}, and the session counts as completed` })
  return found
}

function adviceFor({ reason, session_id, bead_id, bead_status }: EndedFacts): { advice?: string } {
  if (bead_status === 'blocked')
    return { advice: `a person has to look at ${bead_id} (explain, then reopen or cancel)` }
  if (reason === 'crashed' || reason.startsWith('stuck:'))
    return { advice: `read the end of its log (logs ${session_id})` }
  if (reason.startsWith('not_started:')) return { advice: 'see what is missing on its host (ps, doctor)' }
  return {}
}

/** The host looks every second and speaks to a session first: an audit ends only what it should have ended so much earlier. */
const LATER_MS = 60_000
/** A host that was heard within this measures its sessions itself. */
const HEARD_MS = 15_000

/** Holds a running session against the rules of liveness, as far as its row tells. */
export function auditOpen(facts: OpenFacts, now: number, rules: StuckRules): Judgement {
  const { status, started_ms, output_ms, tool_ms, open_tool, heartbeat_ms, deadline_ms, wanted } = facts
  if (started_ms === null || wanted !== null) return { state: 'working' }
  const later = (ms: number) => ms + rules.steer_ms + LATER_MS
  return judge(
    {
      now,
      started: started_ms,
      lastOutput: output_ms ?? started_ms,
      lastTool: tool_ms ?? started_ms,
      openTool: open_tool === null ? undefined : { name: open_tool, since: tool_ms ?? started_ms },
      lastBusy: heartbeat_ms !== null && now - heartbeat_ms < HEARD_MS ? now : Number.NEGATIVE_INFINITY,
      asking: status === 'asking',
      limitedUntil: status === 'held' ? Number.POSITIVE_INFINITY : undefined,
      done: status === 'ending' || status === 'ended',
      actions: [],
      turnsWithoutChange: 0,
      steered: undefined,
      // whoever could speak to it has had the time
      canSteer: false,
      extendedUntil: deadline_ms ?? undefined,
    },
    {
      ...rules,
      no_tool_ms: later(rules.no_tool_ms),
      no_output_ms: later(rules.no_output_ms),
      open_tool_ms: later(rules.open_tool_ms),
    },
  )
}
