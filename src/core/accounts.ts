import type { Why } from './actions.ts'
import { overAccount } from './budget.ts'
import type { RoleRule, Rules } from './rules.ts'
import type { SessionFacts, Snapshot } from './snapshot.ts'
import { FINAL, share, sinceResumed } from './supervise.ts'

/** After a quota's reset, sessions come back spread over this long. */
const RESUME_SPREAD_MS = 30_000

/** Why nothing may start for an account; `until_ms`: when it is looked at again. */
interface Held {
  readonly why: Extract<Why, 'quota' | 'login' | 'no_adapter' | 'budget'>
  readonly detail: string
  readonly until_ms: number
}

/** The first of a role's accounts for which something may start now; else why not, of the one that is free soonest. `running`: by account. */
export function chooseAccount(
  rule: RoleRule,
  snapshot: Snapshot,
  rules: Rules,
  running: (account: string) => number,
): string | { readonly why: Why; readonly detail: string } {
  const held: Held[] = []
  for (const label of rule.accounts) {
    const account = `${rule.adapter}/${label}`
    const why = holdOf(account, snapshot, rules, running(account))
    if (!why) return account
    held.push(why)
  }
  const [first] = held.sort((a, b) => a.until_ms - b.until_ms)
  return first ?? { why: 'no_adapter', detail: `no account of ${rule.adapter} is named` }
}

function holdOf(account: string, snapshot: Snapshot, rules: Rules, running: number): Held | undefined {
  const dear = overAccount(account, snapshot, rules)
  if (dear) return { why: 'budget', detail: dear, until_ms: Number.POSITIVE_INFINITY }
  return (
    refusedHold(account, snapshot, rules) ??
    quotaHold(account, snapshot, rules) ??
    overloadHold(account, snapshot, rules, running)
  )
}

function ofAccount(account: string, { sessions }: Snapshot): readonly SessionFacts[] {
  return sessions.filter((one) => one.account === account)
}

/** What trying again does not mend (not logged in, no credit, wrongly configured) holds for all that use the account. */
function refusedHold(account: string, snapshot: Snapshot, { supervision }: Rules): Held | undefined {
  const [last] = ofAccount(account, snapshot)
    .filter((one) => one.ended_ms !== null && sinceResumed(one, snapshot))
    .sort((a, b) => (b.ended_ms ?? 0) - (a.ended_ms ?? 0))
  const until = (last?.ended_ms ?? 0) + supervision.period_ms
  if (!last?.reason || !FINAL.includes(last.reason) || until <= snapshot.now_ms) return undefined
  if (last.reason === 'not_started:not_logged_in')
    return {
      why: 'login',
      detail: `${account} is not logged in, or its key is not taken: nothing is tried before ${new Date(until).toISOString()}`,
      until_ms: until,
    }
  const why = last.reason.slice('not_started:'.length).replaceAll('_', ' ')
  return {
    why: 'no_adapter',
    detail: `${account}: ${why}, as session ${last.session_id} was told`,
    until_ms: until,
  }
}

/** Used up: until it is reset and a little longer; where nobody has said until when, for `quota_unknown_ms` after it was told. */
function quotaHold(account: string, { quotas, now_ms: now }: Snapshot, rules: Rules): Held | undefined {
  const until = Math.max(
    0,
    ...quotas
      .filter((one) => one.account === account && one.kind === 'limit')
      .map(({ until_ms, seen_ms }) =>
        until_ms !== null && until_ms > seen_ms
          ? until_ms + RESUME_SPREAD_MS * share(account)
          : seen_ms + (rules.quota_unknown_ms ?? 300_000),
      ),
  )
  return until > now
    ? {
        why: 'quota',
        detail: `${account} has no quota until ${new Date(until).toISOString()}`,
        until_ms: until,
      }
    : undefined
}

/**
 * Overloaded lately: additive increase, multiplicative decrease. Half of the sessions that ran when it was last told, at least one, and one more
 * for every `overload_step_ms` since. After sessions that ended by it, nothing starts for 10 s, doubled for each in a row up to 5 minutes. Made of
 * facts alone, so that many messages about one overload halve once.
 */
function overloadHold(account: string, snapshot: Snapshot, rules: Rules, running: number): Held | undefined {
  const { quotas, now_ms: now } = snapshot
  const seen = Math.max(
    0,
    ...quotas
      .filter((one) => one.account === account && one.kind === 'overload')
      .map(({ seen_ms }) => seen_ms),
  )
  if (seen === 0 || now - seen >= rules.overload_ms) return undefined
  const own = ofAccount(account, snapshot)
  const ended = own
    .filter(({ ended_ms }) => ended_ms !== null)
    .sort((a, b) => (b.ended_ms ?? 0) - (a.ended_ms ?? 0))
  const good = ended.findIndex(({ reason }) => reason !== 'quota')
  const streak = good === -1 ? ended.length : good
  const rest = streak === 0 ? 0 : Math.min(300_000, 10_000 * 2 ** (streak - 1)) * (1 + 0.25 * share(account))
  if (seen + rest > now)
    return {
      why: 'quota',
      detail: `${account} is overloaded: tried again at ${new Date(seen + rest).toISOString()}`,
      until_ms: seen + rest,
    }
  const then = own.filter(
    (one) => one.queued_ms <= seen && (one.ended_ms === null || one.ended_ms >= seen),
  ).length
  const step = rules.overload_step_ms ?? 30_000
  const limit = Math.max(1, Math.floor(then / 2)) + Math.floor((now - seen) / step)
  return running >= limit
    ? { why: 'quota', detail: `${account} was overloaded: ${limit} at once for now`, until_ms: now + step }
    : undefined
}
