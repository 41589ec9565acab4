import { describe, expect, test } from 'vitest'
import { budgetActions, overReserve } from '../../src/core/budget.ts'
import { decide } from '../../src/core/decide.ts'
import { DEFAULT_RULES, type Rules } from '../../src/core/rules.ts'
import type { SessionFacts, Snapshot } from '../../src/core/snapshot.ts'
import { World } from './world.ts'

const session = (wanted: string | null = null): SessionFacts => ({
  session_id: 's1',
  run_id: 'run-1',
  host_id: 'h0',
  agent_id: 1,
  role: 'implementer',
  adapter: 'demo',
  account: 'demo/default',
  bead_id: 'b0',
  stage: 'implement',
  status: 'running',
  reason: null,
  wanted,
  queued_ms: 0,
  started_ms: 0,
  ended_ms: null,
  deadline_ms: null,
})
const world = new World({
  beads: [
    { priority: 'p1', blockers: [] },
    { priority: 'p1', blockers: [] },
  ],
  agents: ['implementer', 'implementer'],
  hosts: [{ capacity: 9, adapters: ['demo'] }],
  target: null,
  waves: 'rolling',
})
const snapshot = (more: Partial<Snapshot>): Snapshot => ({
  ...world.snapshot(),
  sessions: [session()],
  ...more,
})
const rules = (budgets: Rules['budgets']): Rules => ({
  ...DEFAULT_RULES,
  roles: { implementer: { adapter: 'demo', accounts: ['default'] } },
  budgets,
})
const spent = (run_usd: number) => ({ run_usd, run_tokens: 0, day_usd: run_usd, day_tokens: 0 })
const told = (facts: Snapshot, budgets: Rules['budgets']) =>
  budgetActions(facts, rules(budgets)).map((one) =>
    one.kind === 'warn' ? one.event : one.kind === 'end_session' ? one.wanted : one.kind,
  )

describe('a budget', () => {
  test.each([
    [7.9, []],
    [8, ['budget_warning']],
    [10, ['budget_exceeded', 'pause', 'budget']],
    [12, ['budget_exceeded', 'pause', 'budget_now']],
  ])('of a run of 10 USD with %s used', (used, actions) => {
    expect(told(snapshot({ spent: spent(used) }), { run_usd: 10 })).toEqual(actions)
  })

  test('told to end at the turn, a session is ended at once past 120 percent, and told nothing twice', () => {
    const at = (used: number, wanted: string) =>
      told(snapshot({ spent: spent(used), sessions: [session(wanted)] }), { run_usd: 10 })
    expect(at(10, 'budget')).toEqual(['budget_exceeded', 'pause'])
    expect(at(12, 'budget')).toEqual(['budget_exceeded', 'pause', 'budget_now'])
    expect(at(12, 'turn')).toEqual(['budget_exceeded', 'pause', 'budget_now'])
    expect(at(12, 'killed')).toEqual(['budget_exceeded', 'pause'])
  })

  test('of a bead, in money or wall time, warns and ends its session; the run goes on', () => {
    const bead = (usd: number, ms: number) => snapshot({ bead_spent: { b0: { usd, tokens: 0, ms } } })
    expect(told(bead(0.8, 0), { bead_usd: 1 })).toEqual(['budget_warning'])
    expect(told(bead(1, 0), { bead_usd: 1 })).toEqual(['budget_exceeded', 'budget'])
    expect(told(bead(0, 60_000), { bead_ms: 60_000 })).toEqual(['budget_exceeded', 'budget'])
  })

  test('of wall time pauses the run', () => {
    const facts = snapshot({})
    const now_ms = facts.run.started_ms + 100_000
    expect(told({ ...facts, now_ms }, { run_ms: 100_000 })).toEqual(['budget_exceeded', 'pause', 'budget'])
  })

  test('of an account ends its sessions and gives it nothing more', () => {
    const facts = snapshot({ account_spent: { 'demo/default': { usd: 5, tokens: 0 } } })
    expect(told(facts, { account_usd: 5 })).toEqual(['budget_exceeded', 'budget'])
    expect(decide(facts, rules({ account_usd: 5 })).waiting).toMatchObject([
      { why: 'budget', detail: expect.stringContaining('today') },
      { why: 'budget' },
    ])
  })

  test('is reserved for what runs: what would pass it does not begin, unless nothing runs', () => {
    const typical = { usd: 2, tokens: 0 }
    const facts = (used: number, usd: number) =>
      snapshot({ spent: spent(used), reserved: { usd, tokens: 0 }, typical })
    expect(overReserve(facts(5, 2), rules({ run_usd: 10 }), 0)).toBeUndefined()
    expect(overReserve(facts(5, 2), rules({ run_usd: 10 }), 1)).toContain('run_usd')
    expect(overReserve(facts(7, 2), rules({ run_usd: 10 }), 0)).toContain('run_usd')
    expect(overReserve({ ...facts(9, 0), sessions: [] }, rules({ run_usd: 10 }), 0)).toBeUndefined()
    const { actions } = decide({ ...facts(0, 0), sessions: [] }, rules({ run_usd: 10 }))
    expect(actions.filter(({ kind }) => kind === 'assign')).toMatchObject([
      { reserve_usd: 2 },
      { reserve_usd: 2 },
    ])
  })
})
