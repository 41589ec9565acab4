import { expect, test } from 'vitest'
import { createRate } from '../../../src/surface/http/rate.ts'

test('a token has so many requests a second, and others have theirs', () => {
  let now = 0
  const rate = createRate(2, () => now)
  expect([rate.take('a'), rate.take('a'), rate.take('a'), rate.take('@127.0.0.1')]).toEqual([
    true,
    true,
    false,
    true,
  ])
  now = 500
  expect([rate.take('a'), rate.take('a')]).toEqual([true, false])
  now = 10_000
  expect([rate.take('a'), rate.take('a'), rate.take('a')]).toEqual([true, true, false])
})

test('made-up tokens do not fill the memory', () => {
  const rate = createRate(1, () => 0)
  for (let n = 0; n < 50_000; n += 1) rate.take(`t${n}`)
  expect(rate.take('last')).toBe(true)
})
