import { describe, expect, it } from 'vitest'
import type { Facts } from '../../src/contract/run-rows.ts'
import { estimateOf } from '../../src/core/estimate.ts'

const minute = (n: number) => new Date(Date.UTC(2026, 0, 2, 10, n)).toISOString()
const run = { run_id: 'r', status: 'running', waves: 'rolling', landed: 10, started_at: minute(0) } as const
const facts = (of: Partial<Facts>): Facts =>
  ({
    as_of: minute(20),
    run,
    beads: { completed: 10, pending: 20, cancelled: 7 },
    finished: [
      { at: minute(4), count: 4 },
      { at: minute(15), count: 6 },
    ],
    ...of,
  }) as Facts

describe('the estimate of a run', () => {
  it('goes on at the pace of late', () => {
    // ten in twenty minutes, twenty are left
    expect(estimateOf(facts({}))).toBe(minute(60))
    expect(estimateOf(facts({ run: { ...run, target: 15 } }))).toBe(minute(30))
  })
  it('forgets what was long ago', () => {
    const slow = facts({
      as_of: minute(100),
      finished: [
        { at: minute(4), count: 90 },
        { at: minute(90), count: 10 },
      ],
    })
    expect(estimateOf(slow)).toBe(minute(160))
  })
  it('is not given while little has landed, the run stands still, or all has landed', () => {
    expect(estimateOf(facts({ finished: [{ at: minute(4), count: 2 }] }))).toBeUndefined()
    expect(estimateOf(facts({ run: { ...run, status: 'paused' } }))).toBeUndefined()
    expect(estimateOf(facts({ beads: { completed: 10 } }))).toBeUndefined()
    const { run: _run, ...none } = facts({})
    expect(estimateOf(none)).toBeUndefined()
  })
})
