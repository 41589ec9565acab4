import type { Overview } from '../contract/run-rows.ts'
import type { Action } from './actions.ts'
import { openSessions } from './admit.ts'
import type { Rules } from './rules.ts'
import type { ReadyBead, SessionFacts, Snapshot } from './snapshot.ts'
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

/** Something that is used, how much of it may be, and by which sessions. */
interface Meter {
  /** Like `run_usd`, or `account_usd of claude/team`. */
  readonly name: string
  readonly kind: string
  readonly used: number
  readonly limit: number | undefined
  readonly sessions: readonly SessionFacts[]
  /** The whole run stands still when it is used up. */
  readonly ofRun: boolean
}

/**
 * A warning at 80% of a budget; at 100% the sessions that use it end at the turn's boundary, past 120% at once. When it is one of the whole run,
 * the run pauses; what waits for a bead or an account waits for these alone.
 */
export function budgetActions(snapshot: Snapshot, rules: Rules): Action[] {
  const { run } = snapshot
  const actions: Action[] = []
  const ending = new Map<string, 'budget' | 'budget_now'>()
  for (const { name, kind, used, limit, sessions, ofRun } of metersOf(snapshot, rules)) {
    if (limit === undefined || used < limit * WARN) continue
    const share = used / limit
    actions.push(
      warning(run.run_id, name, kind, share >= 1 ? 'budget_exceeded' : 'budget_warning', used, limit),
    )
    if (share < 1) continue
    const reason = `${name} is used up: ${round(used)} of ${limit}`
    if (ofRun && run.status === 'running' && !actions.some((one) => one.kind === 'pause'))
      actions.push({ kind: 'pause', reason })
    const wanted = share >= HARD ? 'budget_now' : 'budget'
    for (const one of sessions) {
      const told = ending.get(one.session_id) ?? one.wanted
      if (!isSooner(wanted, told)) continue
      ending.set(one.session_id, wanted)
      actions.push({ kind: 'end_session', session_id: one.session_id, wanted, reason })
    }
  }
  return actions
}

/** What was told before counts, unless this ends it sooner. */
function isSooner(wanted: 'budget' | 'budget_now', told: string | null): boolean {
  return told === null || (wanted === 'budget_now' && (told === 'budget' || told === 'turn'))
}

function metersOf(snapshot: Snapshot, rules: Rules): readonly Meter[] {
  const { run, spent, bead_spent, now_ms: now } = snapshot
  const { budgets } = rules
  const open = openSessions(snapshot).filter((one) => one.run_id === run.run_id)
  const beads = open.flatMap((one): Meter[] => {
    const own = bead_spent[one.bead_id]
    const { usd, tokens } = budgetOf(one.bead ?? undefined, rules)
    const of = { sessions: [one], ofRun: false }
    return [
      { ...of, name: `bead_usd of ${one.bead_id}`, kind: 'bead_usd', used: own?.usd ?? 0, limit: usd },
      {
        ...of,
        name: `bead_tokens of ${one.bead_id}`,
        kind: 'bead_tokens',
        used: own?.tokens ?? 0,
        limit: tokens,
      },
      {
        ...of,
        name: `bead_ms of ${one.bead_id}`,
        kind: 'bead_ms',
        used: own?.ms ?? 0,
        limit: budgets.bead_ms,
      },
    ]
  })
  const accounts = Object.entries(snapshot.account_spent ?? {}).flatMap(
    ([account, { usd, tokens }]): Meter[] => {
      const of = { sessions: open.filter((one) => one.account === account), ofRun: false }
      return [
        {
          ...of,
          name: `account_usd of ${account}`,
          kind: 'account_usd',
          used: usd,
          limit: budgets.account_usd,
        },
        {
          ...of,
          name: `account_tokens of ${account}`,
          kind: 'account_tokens',
          used: tokens,
          limit: budgets.account_tokens,
        },
      ]
    },
  )
  const run_ms = now - run.started_ms
  return [
    ...KINDS.map((kind) => ({
      name: kind,
      kind,
      used: spent[kind],
      limit: budgets[kind],
      sessions: open,
      ofRun: true,
    })),
    { name: 'run_ms', kind: 'run_ms', used: run_ms, limit: budgets.run_ms, sessions: open, ofRun: true },
    ...accounts,
    ...beads,
  ]
}

function warning(
  run: string,
  name: string,
  kind: string,
  event: string,
  used: number,
  limit: number,
): Action {
  return {
    kind: 'warn',
    event,
    key: `${run}/${name}/${event}`,
    detail: { kind, used: round(used), limit },
    reason: `${round(used)} of ${limit} ${name} are used`,
  }
}

/** Why an account may not be used any more today; undefined when it may. */
export function overAccount(account: string, snapshot: Snapshot, { budgets }: Rules): string | undefined {
  const own = snapshot.account_spent?.[account]
  if (own && budgets.account_usd !== undefined && own.usd >= budgets.account_usd)
    return `${account} has used ${round(own.usd)} of ${budgets.account_usd} USD today`
  if (own && budgets.account_tokens !== undefined && own.tokens >= budgets.account_tokens)
    return `${account} has used ${own.tokens} of ${budgets.account_tokens} tokens today`
  return undefined
}

/** What a session of the run has used so far on average: reserved for each that begins. */
export function reserveOf({ typical }: Snapshot): { readonly usd: number; readonly tokens: number } {
  return { usd: typical?.usd ?? 0, tokens: Math.round(typical?.tokens ?? 0) }
}

/**
 * Why one more session would probably take the run past a budget; undefined when it would not, or when nothing runs: the rest may be used.
 * `taken`: how many begin at this look already.
 */
export function overReserve(snapshot: Snapshot, { budgets }: Rules, taken: number): string | undefined {
  if (taken === 0 && openSessions(snapshot).length === 0) return undefined
  const { usd, tokens } = reserveOf(snapshot)
  for (const kind of KINDS) {
    const limit = budgets[kind]
    if (limit === undefined) continue
    const [one, reserved] = kind.endsWith('_usd')
      ? [usd, snapshot.reserved?.usd ?? 0]
      : [tokens, snapshot.reserved?.tokens ?? 0]
    if (one > 0 && snapshot.spent[kind] + reserved + one * (taken + 1) > limit)
      return `the rest of ${kind} is reserved for what runs`
  }
  return undefined
}

/** Why a bead may not go on; undefined when it may. */
export function overBudget(bead: ReadyBead, { bead_spent }: Snapshot, rules: Rules): string | undefined {
  const own = bead_spent[bead.bead_id]
  if (!own) return undefined
  const { usd, tokens } = budgetOf(bead, rules)
  if (usd !== undefined && own.usd >= usd) return `it has used ${round(own.usd)} of ${usd} USD`
  const { bead_ms } = rules.budgets
  if (bead_ms !== undefined && (own.ms ?? 0) >= bead_ms)
    return `its sessions have taken ${Math.round((own.ms ?? 0) / 1_000)} of ${Math.round(bead_ms / 1_000)} s`
  if (tokens !== undefined && own.tokens >= tokens) return `it has used ${own.tokens} of ${tokens} tokens`
  return undefined
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}
