import { expect, test } from 'vitest'
import { decide } from '../../src/core/decide.ts'
import { DEFAULT_RULES } from '../../src/core/rules.ts'
import { World } from './world.ts'

const world = () =>
  new World({ beads: [], agents: ['implementer'], hosts: [], target: null, waves: 'rolling' })

test('a continuous run is not over when nothing is left, takes in what comes, and ends when it is told to', () => {
  const facts = world().snapshot()
  const run = { ...facts.run, continuous: true }
  expect(decide(facts, DEFAULT_RULES).actions).toMatchObject([{ kind: 'complete' }])
  expect(decide({ ...facts, run }, DEFAULT_RULES).actions).toEqual([])
  const counts = { ...facts.counts, free: 2 }
  expect(decide({ ...facts, run, counts }, DEFAULT_RULES).actions).toEqual([
    { kind: 'adopt', reason: '2 beads have come' },
  ])
  expect(decide({ ...facts, counts }, DEFAULT_RULES).actions).toMatchObject([{ kind: 'complete' }])
  expect(decide({ ...facts, run: { ...run, status: 'paused' }, counts }, DEFAULT_RULES).actions).toEqual([])
  expect(decide({ ...facts, run: { ...run, status: 'stopping' } }, DEFAULT_RULES).actions).toMatchObject([
    { kind: 'stopped' },
  ])
  expect(
    decide({ ...facts, run: { ...run, target: 1 }, counts: { ...counts, landed: 1 } }, DEFAULT_RULES).actions,
  ).toMatchObject([{ kind: 'complete' }])
})
