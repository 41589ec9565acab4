import type { ResultEvent } from '../agents/events.ts'
import type { JsonObject } from '../contract/json.ts'
import type { WorkspaceFacts } from '../workspaces/workspace.ts'
import { verdictIn } from './prompt.ts'

/** What becomes of a session and of its bead. */
export interface Outcome {
  /** From the closed list of reasons. */
  readonly reason: string
  /** As complete-stage takes it: the attempt counts. */
  readonly complete?: {
    readonly outcome: 'passed' | 'failed' | 'error'
    readonly feedback?: string
    readonly evidence?: readonly JsonObject[]
  }
  /** Otherwise the bead goes back, and no attempt is charged. */
  readonly release?: string
  /** Swarm itself ran the gate. */
  readonly verified?: boolean
  /** The commit that the stage has made. */
  readonly commit?: string
  readonly facts: JsonObject
}

export interface EndFacts {
  readonly stage: string
  readonly result: ResultEvent | undefined
  readonly stop: { readonly reason: string; readonly rule?: string; readonly evidence: string } | undefined
  readonly before: WorkspaceFacts | undefined
  readonly after: WorkspaceFacts | undefined
  readonly hasGate: boolean
  /** The workspace has commits that the target branch does not have. */
  readonly hasWork: boolean
}

/**
 * What the program's result, or our stopping it, means. Done is not believed: an implementer must have committed something and left nothing
 * uncommitted; who only checks must say so, unless a gate decides. Quotas, orders to stop and a lost service charge no attempt.
 */
export function outcomeOf(end: EndFacts): Outcome {
  const { result, stop } = end
  if (stop) {
    const facts = { evidence: stop.evidence, ...(stop.rule === undefined ? {} : { rule: stop.rule }) }
    return stop.reason.startsWith('stuck:')
      ? {
          reason: stop.reason,
          complete: { outcome: 'error', feedback: `the session was ended: ${stop.evidence}` },
          facts,
        }
      : { reason: stop.reason, release: stop.evidence, facts }
  }
  if (!result) return crashed('the program ended without a result')
  const evidence = result.detail.slice(0, 2_000)
  switch (result.reason) {
    case 'completed':
      return result.ok ? done(end, result) : failed(evidence)
    case 'quota':
      return { reason: 'quota', release: evidence, facts: { evidence } }
    case 'overloaded':
      return { reason: 'quota', release: evidence, facts: { evidence, rule: 'overloaded' } }
    case 'budget':
      return { reason: 'budget', release: evidence, facts: { evidence } }
    case 'auth':
    case 'billing':
      return { reason: 'not_started:not_logged_in', release: evidence, facts: { evidence } }
    case 'configuration':
      return { reason: 'not_started:configuration', release: evidence, facts: { evidence } }
    case 'interrupted':
      return { reason: 'shutdown', release: evidence, facts: { evidence } }
    case 'crashed':
      return crashed(evidence)
    case 'failed':
    case 'max_turns':
    case 'prompt_too_long':
      return failed(evidence)
  }
}

function done({ stage, before, after, hasGate, hasWork }: EndFacts, result: ResultEvent): Outcome {
  if (after?.dirty)
    return failed('the work was not committed: everything must be committed on the branch of the worktree')
  if (before && stage === 'implement' && !hasWork)
    return failed(
      `it was reported as done without a commit${result.denied?.length ? `; denied: ${result.denied.join(', ')}` : ''}`,
    )
  const said = verdictIn(result.detail)
  if (said && !said.passed) return failed(said.why === '' ? result.detail.slice(0, 2_000) : said.why)
  if (!said && !hasGate && before && stage !== 'implement')
    return failed(
      'nothing was said about whether it passed: the last line must be `VERDICT: passed` or `VERDICT: failed: why`',
    )
  return { reason: 'completed', complete: { outcome: 'passed' }, facts: {} }
}

function failed(why: string): Outcome {
  return { reason: 'failed', complete: { outcome: 'failed', feedback: why }, facts: { evidence: why } }
}

function crashed(why: string): Outcome {
  return { reason: 'crashed', complete: { outcome: 'error', feedback: why }, facts: { evidence: why } }
}
