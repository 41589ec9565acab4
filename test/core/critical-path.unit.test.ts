import { describe, expect, it } from 'vitest'
import { criticalPath } from '../../src/core/critical-path.ts'

const ids = ['a', 'b', 'c', 'd', 'e', 'x']
// a → b → d → e, a → c → e, and x alone
const links = [
  ['a', 'b'],
  ['b', 'd'],
  ['d', 'e'],
  ['a', 'c'],
  ['c', 'e'],
] as const

describe('the critical path', () => {
  it('is the longest chain', () => {
    expect(criticalPath(ids, links)).toEqual(['a', 'b', 'd', 'e'])
  })
  it('leads through the bead that is chosen', () => {
    expect(criticalPath(ids, links, 'c')).toEqual(['a', 'c', 'e'])
    expect(criticalPath(ids, links, 'x')).toEqual(['x'])
    expect(criticalPath(ids, links, 'gone')).toEqual([])
  })
  it('passes over circles and beads that are not there', () => {
    const odd = [...links, ['e', 'd'], ['x', 'x'], ['gone', 'a'], ['__proto__', 'a']] as const
    expect(criticalPath(ids, odd)).toEqual(['a', 'b'])
    expect(criticalPath([], odd)).toEqual([])
  })
  it('takes a backlog of 5,000 in a chain', () => {
    const many = Array.from({ length: 5_000 }, (_, at) => `b-${at}`)
    const chain = many.slice(1).map((id, at) => [many[at] ?? '', id] as const)
    expect(criticalPath(many, chain, 'b-2500')).toHaveLength(5_000)
  })
})
