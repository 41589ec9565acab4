import { expect, test } from 'vitest'
import { arrange } from '../../src/backlog/arrange.ts'
import type { ImportBead, ImportLink } from '../../src/backlog/types.ts'
import { seeded, seedOfRun } from '../support/random.ts'

const bead = (bead_id: string): ImportBead => ({
  bead_id,
  title: bead_id,
  description: '',
  priority: 'p2',
  status: 'pending',
  bead_type: 'task',
  labels: [],
  metadata: {},
})
const link = (
  bead_id: string,
  other_id: string,
  line: number,
  kind = 'blocks',
): ImportLink & { line: number } => ({
  bead_id,
  other_id,
  kind,
  line,
})

test('each bead stands after those that it waits for, and no sooner than it must', () => {
  const beads = ['a', 'b', 'c', 'd', 'e'].map(bead)
  const { parts, problems } = arrange({ beads, links: [link('a', 'd', 1), link('b', 'e', 2, 'related')] }, 2)
  expect(problems).toEqual([])
  expect(parts.map((part) => part.beads.map(({ bead_id }) => bead_id))).toEqual([
    ['a', 'd'],
    ['b', 'c'],
    ['e'],
  ])
  expect(parts.map((part) => part.links.length)).toEqual([1, 1, 0])
})

test('of every cycle the link that stands last is left out', () => {
  const links = [
    link('a', 'b', 1),
    link('b', 'c', 2),
    link('c', 'a', 3),
    link('c', 'd', 4),
    link('d', 'c', 5),
  ]
  const { parts, problems } = arrange({ beads: ['c', 'a', 'b', 'd'].map(bead), links }, 10)
  expect(problems.map(({ line }) => line).sort()).toEqual([3, 5])
  expect(parts[0]?.links.map(({ line }) => line).sort()).toEqual([1, 2, 4])
})

test('whatever the links are, parts wait only for parts before them, and nothing else is left out', () => {
  const seed = seedOfRun('arrange')
  const random = seeded(seed)
  for (let round = 0; round < 200; round++) {
    const names = Array.from({ length: 2 + Math.floor(random() * 12) }, (_, at) => `b${at}`)
    const some = () => names[Math.floor(random() * names.length)] ?? 'b0'
    const links = Array.from({ length: Math.floor(random() * 30) }, (_, at) => link(some(), some(), at))
    const { parts, problems } = arrange({ beads: names.map(bead), links }, 3)
    const seen = new Set<string>()
    const kept = parts.flatMap((part) => part.links)
    expect(kept.length + problems.length, `seed ${seed}`).toBe(links.length)
    for (const part of parts) {
      for (const { bead_id } of part.beads) seen.add(bead_id)
      for (const { bead_id } of part.beads)
        for (const { other_id } of kept.filter((each) => each.bead_id === bead_id))
          expect(seen.has(other_id), `seed ${seed}: ${bead_id} waits for ${other_id}`).toBe(true)
    }
  }
})

test('a chain of 50,000 beads is one walk, without a deep stack', () => {
  const beads = Array.from({ length: 50_000 }, (_, at) => bead(`b${at}`))
  const links = beads.slice(1).map((_, at) => link(`b${at}`, `b${at + 1}`, at))
  const { parts, problems } = arrange({ beads, links: [...links, link('b49999', 'b0', 50_000)] }, 1_000)
  expect(problems).toHaveLength(1)
  expect(parts).toHaveLength(50)
  expect(parts[0]?.beads[0]?.bead_id).toBe('b49000')
})
