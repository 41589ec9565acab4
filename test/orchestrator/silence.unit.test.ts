import { describe, expect, test } from 'vitest'
import { fromStream, healthy, STUCK, stuck, type WayToBeStuck } from '../../bench/courses.ts'
import { MINUTE, play } from '../../bench/sessions.ts'
import { written } from '../../bench/streams-of-agents.ts'
import { seeded, seedOfRun } from '../support/random.ts'

const seed = seedOfRun('silence')
const random = seeded(seed)

describe('of simulated sessions', () => {
  test('none is ended that has a silent tool at work, whatever clocks, people and quotas do meanwhile', () => {
    const fates = Array.from({ length: 150 }, () => play(healthy(random)))
    expect(fates.filter(({ ended, steered }) => ended || steered)).toEqual([])
  })

  test('none is ended that goes on when it is spoken to', () => {
    const { steered, ended } = play(stuck(random, 'the model is silent', true))
    expect({ steered: steered?.rule, ended }).toEqual({ steered: 'no_tool', ended: undefined })
  })

  test.each(Object.keys(STUCK) as WayToBeStuck[])('one is ended when %s', (way) => {
    const course = stuck(random, way, false)
    const { ended } = play(course)
    expect((ended?.at ?? 0) - course.since).toBeGreaterThan(0)
    expect((ended?.at ?? Number.POSITIVE_INFINITY) - course.since).toBeLessThan(36 * MINUTE)
  })

  test.each(written())('none is ended whose tool is silent and works: $name', ({ lines, tellsTools }) => {
    for (const kind of ['cpu', 'io', 'bursts', 'children'] as const)
      expect(play(fromStream(random, lines, tellsTools, kind))).toEqual({
        steered: undefined,
        ended: undefined,
      })
  })
})
