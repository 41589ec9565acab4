import type { Overview } from '../contract/run-rows.ts'
import type { Action } from './actions.ts'
import { openSessions } from './admit.ts'
import type { Rules } from './rules.ts'
import type { ReadyBead, Snapshot } from './snapshot.ts'
import { budgetOf } from './translate.ts'

export const WARN = 0.8
/** Past this, a session does not even finish its turn. */
const HARD = 1.2

type Kind = 'run_usd' | 'run_tokens' | 'day_usd' | 'day_tokens'
const KINDS: readonly Kind[] = ['run_usd', 'run_tokens', 'day_usd', 'day_tokens']

/** The budgets that are set, and what of each is used. */
export function budgetsOf(
  { spent, spent_today }: Pick<Overview, 'spent' | 'spent_today'>,
  budgets: Rules['budgets'],
): Overview['budgets'] {
  const used: Readonly<Record<Kind, number>> = {
    run_usd: spent.usd,
    run_tokens: spent.tokens,
    day_usd: spent_today.usd,
    day_tokens: spent_today.tokens,
  }
  return KINDS.flatMap((kind) => {
    const limit = budgets[kind]
    return limit === undefined ? [] : [{ kind, used: used[kind], limit }]
  })
}

/** A warning at 80% of a budget; at 100% the run pauses and its sessions end at the turn's boundary, past 120% at once. */
export function budgetActions(snapshot: Snapshot, rules: Rules): Action[] {
  const { budgets } = rules
  const { run, spent, bead_spent } = snapshot
  const actions: Action[] = []
  const open = openSessions(snapshot).filter((one) => one.run_id === run.run_id)
  for (const kind of KINDS) {
    const limit = budgets[kind]
    if (limit === undefined) continue
    const used = spent[kind] / limit
    if (used >= WARN)
      actions.push(
        warning(run.run_id, kind, used >= 1 ? 'budget_exceeded' : 'budget_warning', spent[kind], limit),
      )
    if (used < 1) continue
    const reason = `${kind} is used up: ${round(spent[kind])} of ${limit}`
    if (run.status === 'running' && !actions.some((one) => one.kind === 'pause'))
      actions.push({ kind: 'pause', reason })
    for (const one of open) {
      const wanted = used >= HARD ? 'budget_now' : 'budget'
      if (one.wanted === null || (wanted === 'budget_now' && one.wanted === 'budget'))
        actions.push({ kind: 'end_session', session_id: one.session_id, wanted, reason })
    }
  }
  for (const one of open) {
    const own = bead_spent[one.bead_id]
    const { usd = Number.POSITIVE_INFINITY, tokens = Number.POSITIVE_INFINITY } = budgetOf(
      one.bead ?? undefined,
      rules,
    )
    const used = Math.max((own?.usd ?? 0) / usd, (own?.tokens ?? 0) / tokens)
    if (used < 1) continue
    const wanted = used >= HARD ? 'budget_now' : 'budget'
    if (one.wanted === null || (wanted === 'budget_now' && one.wanted === 'budget'))
      actions.push({
        kind: 'end_session',
        session_id: one.session_id,
        wanted,
        reason: `bead ${one.bead_id} has used up its budget`,
      })
  }
  return actions
}

function warning(run: string, kind: Kind, event: string, used: number, limit: number): Action {
  return {
    kind: 'warn',
    event,
    key: `${run}/${kind}/${event}`,
    detail: { kind, used: round(used), limit },
    reason: `${round(used)} of ${limit} ${kind} are used`,
  }
}

/** Why a bead may not go on; undefined when it may. */
export function overBudget(bead: ReadyBead, { bead_spent }: Snapshot, rules: Rules): string | undefined {
  const own = bead_spent[bead.bead_id]
  if (!own) return undefined
  const { usd, tokens } = budgetOf(bead, rules)
  if (usd !== undefined && own.usd >= usd) return `it has used ${round(own.usd)} of ${usd} USD`
  if (tokens !== undefined && own.tokens >= tokens) return `it has used ${own.tokens} of ${tokens} tokens`
  return undefined
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}
