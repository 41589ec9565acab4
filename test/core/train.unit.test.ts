import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  firstWindow,
  nextWindow,
  planTrain,
  TESTS_PER_TREE,
  type TrainEntry,
  type TrainState,
} from '../../src/core/train.ts'

const entry = (id: number, more: Partial<TrainEntry> = {}): TrainEntry => ({
  id,
  bead_id: `b${id}`,
  candidate: `c${id}`,
  status: 'queued',
  base: null,
  head: null,
  tree: null,
  tries: 0,
  ...more,
})
const state = (entries: readonly TrainEntry[], more: Partial<TrainState> = {}): TrainState => ({
  entries,
  target: 'T',
  targetTree: 'tT',
  window: 4,
  busy: new Set(),
  verdicts: new Map(),
  ...more,
})
const built = (id: number, base: string, more: Partial<TrainEntry> = {}) =>
  entry(id, { status: 'testing', base, head: `h${id}`, tree: `t${id}`, ...more })
const kinds = (of: TrainState) =>
  planTrain(of).map((one) => ('entry' in one ? `${one.kind} ${one.entry.id}` : one.kind))

describe('the train', () => {
  test('builds each on the one before, and tests them side by side', () => {
    expect(planTrain(state([entry(1)]))).toMatchObject([{ kind: 'build', onto: 'T', speculative: false }])
    expect(planTrain(state([built(1, 'T'), entry(2)]))).toMatchObject([
      { kind: 'test' },
      { kind: 'build', onto: 'h1', speculative: true },
    ])
  })

  test('lands only the first, and only when its tree was green on the branch as it is', () => {
    const verdicts = new Map([
      ['t1', 'green'],
      ['t2', 'green'],
    ] as const)
    expect(
      kinds(state([built(1, 'T', { status: 'green' }), built(2, 'h1', { status: 'green' })], { verdicts })),
    ).toEqual(['land 1'])
    expect(kinds(state([built(1, 'old', { status: 'green' })], { verdicts }))).toEqual(['requeue 1'])
  })

  test('says that a commit has landed which its killed leader did not tell of, on the base that it was tested on', () => {
    const landed = built(1, 'before', { status: 'green', head: 'T' })
    expect(kinds(state([landed, built(2, 'T', { status: 'testing' })]))).toEqual(['land 1'])
    // what was not tested to the end is built again
    expect(kinds(state([{ ...landed, status: 'testing' }]))).toEqual(['requeue 1'])
  })

  test('tests a red tree once more, then asks whether its base is green', () => {
    const verdicts = new Map<string, 'green' | 'red'>([['t1', 'red']])
    expect(kinds(state([built(1, 'T', { tries: 1 })], { verdicts }))).toEqual(['test 1'])
    expect(kinds(state([built(1, 'T', { tries: TESTS_PER_TREE })], { verdicts }))).toEqual(['test_base'])
    expect(
      kinds(state([built(1, 'T', { tries: 2 })], { verdicts: new Map([...verdicts, ['tT', 'red']]) })),
    ).toEqual(['pause'])
    expect(
      kinds(state([built(1, 'T', { tries: 2 })], { verdicts: new Map([...verdicts, ['tT', 'green']]) })),
    ).toEqual(['eject 1'])
  })

  test('does not blame an entry whose predecessor is not green yet', () => {
    const verdicts = new Map<string, 'green' | 'red'>([['t2', 'red']])
    expect(
      kinds(state([built(1, 'T'), built(2, 'h1', { tries: 2 })], { verdicts, busy: new Set([1]) })),
    ).toEqual([])
  })

  test('grows by one with every landing and halves with every ejection, and is never wider than it may be', () => {
    expect([firstWindow(8), firstWindow(1)]).toEqual([2, 1])
    expect(nextWindow(2, 'landed', 8)).toBe(3)
    expect(nextWindow(8, 'landed', 8)).toBe(8)
    expect(nextWindow(7, 'ejected', 8)).toBe(3)
    expect(nextWindow(1, 'ejected', 8)).toBe(1)
  })
})

test('everything good lands, everything bad is ejected, and no tree lands that was not green, whatever the tests say', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('good', 'bad', 'flaky'), { minLength: 1, maxLength: 12 }),
      fc.infiniteStream(fc.nat(99)),
      (kindsOf, dice) => {
        const roll = () => dice.next().value ?? 0
        let entries = kindsOf.map((_, at) => entry(at + 1))
        let target = 'T'
        let targetTree = 'tT'
        let window = 2
        const verdicts = new Map<string, 'green' | 'red'>()
        const landed: number[] = []
        const ejected: number[] = []
        const set = (id: number, more: Partial<TrainEntry>) => {
          entries = entries.map((one) => (one.id === id ? { ...one, ...more } : one))
        }
        /** A tree is bad when a bad change is in it. */
        const isBad = (tree: string) =>
          tree.split('+').some((part) => kindsOf[Number(part.slice(1)) - 1] === 'bad')
        for (let step = 0; step < 2_000 && entries.length > 0; step++) {
          const actions = planTrain({ entries, target, targetTree, window, busy: new Set(), verdicts })
          expect(actions.length, 'the train stands still').toBeGreaterThan(0)
          for (const one of actions) {
            if (one.kind === 'pause') throw new Error('the target branch is not red')
            if (one.kind === 'test_base') verdicts.set(targetTree, isBad(targetTree) ? 'red' : 'green')
            else if (one.kind === 'build') {
              const on =
                one.onto === target ? targetTree : (entries.find(({ head }) => head === one.onto)?.tree ?? '')
              set(one.entry.id, {
                status: 'testing',
                base: one.onto,
                head: `${one.onto}>${one.entry.id}`,
                tree: `${on}+c${one.entry.id}`,
                tries: 0,
              })
            } else if (one.kind === 'requeue')
              set(one.entry.id, { status: 'queued', base: null, head: null, tree: null })
            else if (one.kind === 'mark_green') set(one.entry.id, { status: 'green' })
            else if (one.kind === 'test') {
              const tree = one.entry.tree ?? ''
              const flake = kindsOf[one.entry.id - 1] === 'flaky' && one.entry.tries === 0 && roll() < 50
              const verdict = isBad(tree) || flake ? 'red' : 'green'
              verdicts.set(tree, verdict)
              set(one.entry.id, { tries: one.entry.tries + (verdict === 'red' ? 1 : 0) })
            } else if (one.kind === 'land') {
              expect(verdicts.get(one.entry.tree ?? '')).toBe('green')
              expect(one.entry.base).toBe(target)
              target = one.entry.head ?? ''
              targetTree = one.entry.tree ?? ''
              landed.push(one.entry.id)
              entries = entries.filter(({ id }) => id !== one.entry.id)
              window = nextWindow(window, 'landed', 8)
              break
            } else if (one.kind === 'eject') {
              ejected.push(one.entry.id)
              entries = entries.filter(({ id }) => id !== one.entry.id)
              window = nextWindow(window, 'ejected', 8)
              break
            }
          }
        }
        expect(entries).toEqual([])
        expect(ejected).toEqual(kindsOf.flatMap((kind, at) => (kind === 'bad' ? [at + 1] : [])))
        expect(landed).toEqual(kindsOf.flatMap((kind, at) => (kind === 'bad' ? [] : [at + 1])))
      },
    ),
    { numRuns: 500 },
  )
})
