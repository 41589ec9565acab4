import { describe, expect, test } from 'vitest'
import { closest, plain, ranked } from '../../src/repair/nearest.ts'

const VERBS = [
  'claim-next',
  'complete-stage',
  'start-stage',
  'send',
  'show',
  'state',
  'status',
  'lock',
  'unlock',
  'inbox',
]

describe('closest', () => {
  test.each([
    ['claim-nxt', 'claim-next'],
    ['claim_next', 'claim-next'],
    ['claimNext', 'claim-next'],
    ['CLAIM NEXT', 'claim-next'],
    ['claim', 'claim-next'],
    ['complet-stage', 'complete-stage'],
    ['ibnox', 'inbox'],
    ['shwo', 'show'],
    ['stauts', 'status'],
    ['sned', 'send'],
    ['statu', 'status'],
    ['stat', 'state'],
  ])('%s is %s', (word, meant) => {
    expect(closest(word, VERBS)).toBe(meant)
  })

  test.each(['xyzzy', 'frobnicate', '', '   ', 'x', 'zz'])('%j is nothing', (word) => {
    expect(closest(word, VERBS)).toBeUndefined()
  })

  test('a swap of two neighbours is one slip: it beats another name two edits away', () => {
    expect(closest('abdc', ['abxy', 'abcd'])).toBe('abcd')
  })

  test('a very long word costs no time', () => {
    const started = performance.now()
    expect(closest('x'.repeat(1_000_000), VERBS)).toBeUndefined()
    expect(performance.now() - started).toBeLessThan(500)
  })
})

test('ranked gives the nearest first and no more than asked for', () => {
  expect(ranked('lock', VERBS, 3)).toEqual(['lock', 'unlock'])
  expect(ranked('stage', ['stages', 'stag', 'start'], 2)).toEqual(['stages', 'stag'])
})

test('plain makes spellings equal', () => {
  expect(['agentId', 'agent_id', 'Agent-ID', ' agent id '].map(plain)).toEqual(Array(4).fill('agent-id'))
})
