import { describe, expect, it } from 'vitest'
import type { Envelope } from '../../src/contract/envelope.ts'
import type { Json } from '../../src/contract/json.ts'
import { formatEnvelope } from '../../src/surface/cli/table.ts'
import { cut, displayWidth, oneLine } from '../../src/terminal/width.ts'

const show = (d: Json, width = Number.POSITIVE_INFINITY, colour = false) =>
  formatEnvelope({ ok: true, t: 1, ms: 1, d }, { width, colour }).split('\n')

describe('a table', () => {
  it('aligns rows: text to the left, numbers to the right, absent as blank', () => {
    expect(
      show([
        { id: 'a', n: 5, note: null },
        { id: 'bcd', n: 10, labels: ['x', 'y'], note: null },
      ]),
    ).toEqual(['id    n  labels', 'a     5', 'bcd  10  x, y'])
  })

  it('writes plain fields first, then each list of rows under its name', () => {
    expect(show({ rows: [{ a: 1 }], cursor: 'x:1', total: 1, none: [], meta: { k: [1] } })).toEqual([
      'cursor  x:1',
      'total   1',
      'none',
      'meta    {"k":[1]}',
      '',
      'rows',
      'a',
      '1',
    ])
  })

  it.each([
    [[], '(none)'],
    [{}, '(nothing)'],
    [['a', 'b'], 'a\nb'],
    ['text', 'text'],
    [5, '5'],
    [null, ''],
  ])('writes %j', (d, text) => expect(show(d).join('\n')).toBe(text))

  it.each([20, 40, 79])('fits %i columns by narrowing the widest', (width) => {
    const lines = show([{ id: 'b-1', title: 'x'.repeat(200), body: 'y'.repeat(100) }], width)
    expect(Math.max(...lines.map(displayWidth))).toBeLessThanOrEqual(Math.max(width, 8 + 8 + 3 + 4))
    expect(lines[1]).toContain('b-1')
    expect(lines[1]).toContain('…')
  })

  it('keeps everything when there is no terminal', () => {
    expect(show([{ title: 'x'.repeat(500) }])[1]).toHaveLength(500)
  })

  it('shows errors with what to do next', () => {
    const envelope: Envelope = {
      ok: false,
      t: 1,
      ms: 1,
      err: { code: 'NOTFOUND', msg: 'no agent 9', ctx: { field: 'agent_id', got: 9 } },
      fix: 'swarm register --count 9',
    }
    expect(formatEnvelope(envelope, { width: 80, colour: false }).split('\n')).toEqual([
      'NOTFOUND  no agent 9',
      '  field  agent_id',
      '  got    9',
      'try  swarm register --count 9',
    ])
  })

  it('has no colours unless asked, and obeys no control character of the data', () => {
    const evil = 'a\u001b[31mred\u0007\nnext\u202e'
    expect(show([{ t: evil }]).join('|')).toBe('t|a\\x1b[31mred\\x07↵ next\\u202e')
    expect(show({ t: 'x' }, 80, true)[0]).toContain('\u001b[2m')
  })
})

describe('widths', () => {
  it('count what a terminal shows', () => {
    expect([
      displayWidth('abc'),
      displayWidth('日本'),
      displayWidth('é'),
      displayWidth('e\u0301'),
      displayWidth('😀'),
    ]).toEqual([3, 4, 1, 1, 2])
  })

  it('are kept when text is cut', () => {
    expect([cut('abcdef', 4), cut('日本語', 4), cut('abc', 3)]).toEqual(['abc…', '日…', 'abc'])
  })

  it('show C1 controls and marks of direction instead of obeying them', () =>
    expect(oneLine('a\u009b31mb\u202ec\u2066d\u200fe')).toBe('a\\x9b31mb\\u202ec\\u2066d\\u200fe'))
  it('leave one line', () => expect(oneLine('a\r\nb\tc\u0000')).toBe('a↵ b c\\x00'))
})
