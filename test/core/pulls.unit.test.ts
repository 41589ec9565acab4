import { describe, expect, test } from 'vitest'
import {
  addressOf,
  fillWords,
  nextPoll,
  type PullEntry,
  type PullState,
  planPulls,
  pullBody,
  pullTitle,
  readStanding,
} from '../../src/core/pulls.ts'

const entry = (id: number, more: Partial<PullEntry> = {}): PullEntry => ({
  id,
  bead_id: `b${id}`,
  candidate: `c${id}`,
  status: 'queued',
  base: null,
  head: null,
  tree: null,
  tries: 0,
  pr_url: null,
  ...more,
})
const built = (id: number, more: Partial<PullEntry> = {}) =>
  entry(id, { status: 'testing', base: 'T', head: `h${id}`, tree: `t${id}`, ...more })
const state = (entries: readonly PullEntry[], more: Partial<PullState> = {}): PullState => ({
  entries,
  target: 'T',
  targetTree: 'tT',
  window: 2,
  busy: new Set(),
  verdicts: new Map(),
  due: new Set(),
  unproven: false,
  ...more,
})
const kinds = (of: PullState) =>
  planPulls(of).map((one) => ('entry' in one ? `${one.kind} ${one.entry.id}` : one.kind))

describe('beads that land by pull requests', () => {
  test('each stand on the target branch, as many at once as may be tested', () => {
    expect(planPulls(state([entry(1), entry(2), entry(3)]))).toMatchObject([
      { kind: 'build', onto: 'T', speculative: false, entry: { id: 1 } },
      { kind: 'build', onto: 'T', speculative: false, entry: { id: 2 } },
    ])
    expect(kinds(state([built(1), built(2), entry(3)], { busy: new Set([1]) }))).toEqual(['test 2'])
  })

  test('wait for others when they are green, any number of them, and are asked for when it is time', () => {
    const green = [1, 2, 3].map((id) => built(id, { status: 'green', pr_url: `u${id}` }))
    expect(kinds(state([...green, entry(4)], { due: new Set([2]) }))).toEqual(['attend 2', 'build 4'])
    expect(kinds(state([built(1, { status: 'green' })], { due: new Set([1]) }))).toEqual(['attend 1'])
  })

  test('are built again when the branch has moved, but asked for first: that may be their own merge', () => {
    const moved = built(1, { status: 'green', base: 'old', pr_url: 'u1' })
    expect(kinds(state([moved], { due: new Set([1]) }))).toEqual(['attend 1'])
    expect(kinds(state([moved]))).toEqual(['requeue 1'])
    // sent back to the queue it may still be merged as it was
    expect(kinds(state([entry(1, { pr_url: 'u1' })], { due: new Set([1]) }))).toEqual(['attend 1'])
  })

  test('are blamed only on a green base; a branch that is red after a merge stops everything', () => {
    const red = built(1, { tries: 2 })
    const verdicts = (base?: 'green' | 'red') =>
      new Map<string, 'green' | 'red'>([['t1', 'red'], ...(base ? [['tT', base] as const] : [])])
    expect(kinds(state([red], { verdicts: verdicts() }))).toEqual(['test_base'])
    expect(kinds(state([red], { verdicts: verdicts('green') }))).toEqual(['eject 1'])
    expect(kinds(state([red], { verdicts: verdicts('red') }))).toEqual(['pause'])
    expect(kinds(state([entry(1)], { unproven: true }))).toEqual(['test_base'])
    expect(kinds(state([entry(1)], { unproven: true, verdicts: verdicts('red') }))).toEqual(['pause'])
    expect(kinds(state([entry(1)], { unproven: true, verdicts: verdicts('green') }))).toEqual(['build 1'])
  })
})

describe('what a forge says', () => {
  const [A, B] = ['a'.repeat(40), 'b'.repeat(40)]
  const one = (state: string, more: object = {}) => ({ state, url: 'https://f/1', headRefOid: A, ...more })
  const read = (value: unknown, head: string | null = A, url: string | null = null) =>
    readStanding(typeof value === 'string' ? value : JSON.stringify(value), head, url)

  test('is a word, an object or a list', () => {
    expect(read(' merged\n')).toEqual({ state: 'merged' })
    expect(read(one('OPEN'))).toEqual({ state: 'open', url: 'https://f/1', head: A })
    expect(read([one('MERGED', { mergeCommit: { oid: B } })])).toMatchObject({
      state: 'merged',
      mergeCommit: B,
    })
    expect(read([])).toEqual({ state: 'none' })
  })

  test('is about this commit or this address, and an open one before all others', () => {
    const old = one('CLOSED', { headRefOid: B, url: 'https://f/0' })
    expect(read([old])).toEqual({ state: 'none' })
    expect(read([old], A, 'https://f/0')).toMatchObject({ state: 'closed' })
    expect(read([old, one('MERGED'), one('OPEN', { url: 'https://f/2' })])).toMatchObject({
      state: 'open',
      url: 'https://f/2',
    })
  })

  test('of a fork that calls its branch the same counts for nothing', () => {
    expect(read([one('OPEN', { isCrossRepository: true })])).toEqual({ state: 'none' })
  })

  test.each(['', 'perhaps', '{', '[{"state":"odd"}]', '[1]', '{}', 'null'])(
    'that is %j is no answer',
    (said) => {
      expect(read(said)).toBeUndefined()
    },
  )

  test('as an address is its last line, in one word', () => {
    expect(addressOf('Creating…\nhttps://f/1\n')).toBe('https://f/1')
    for (const said of ['', 'two words', 'https://f/\u001b[31m', `https://${'x'.repeat(600)}`])
      expect(addressOf(said)).toBeUndefined()
  })
})

describe('what a forge is told', () => {
  test('stays one word, whatever it is, and is not looked at again', () => {
    expect(
      fillWords(['x', '--title={title}', '{other}{head}'], { title: '{head} $(rm) "\'; --web', head: 'h' }),
    ).toEqual(['x', '--title={head} $(rm) "\'; --web', '{other}h'])
  })

  test('of a bead is one line, and a block that mentions nobody', () => {
    expect(pullTitle('b1', ' two\nlines\u0000\u202e ')).toBe('two lines')
    expect(pullTitle('b1', '\n')).toBe('b1')
    const body = pullBody({
      beadId: 'b`1',
      description: 'closes #1\n````\n@everybody',
      head: 'h',
      tree: 't',
      gates: ['npm test'],
    })
    expect(body).toContain('`````text\ncloses #1\n````\n@everybody\n`````\n')
    expect(body).toContain("Bead `b'1`")
    expect(body).toContain('commit h, tree t: npm test')
  })

  test('is asked for less often while nothing changes', () => {
    expect([0, 1, 2, 3, 4, 50].map((times) => nextPoll(100, times))).toEqual([
      100, 200, 400, 800, 1_000, 1_000,
    ])
  })
})
