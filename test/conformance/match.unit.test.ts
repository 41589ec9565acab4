import { expect, test } from 'vitest'
import type { Json } from '../../src/contract/json.ts'
import { differences } from './match.ts'

test.each<[Json, Json]>([
  [{ a: 1 }, { a: 1, b: 2 }],
  ['$int', 3],
  ['$string', ''],
  ['$time', '2026-01-02T03:04:05.678Z'],
  ['$any', null],
  [
    [{ a: '$int' }, 'x'],
    [{ a: 1, b: 2 }, 'x'],
  ],
  ['$other', '$other'],
  [null, null],
])('%j matches %j', (expected, actual) => {
  expect(differences(expected, actual)).toEqual([])
})

test.each<[Json, Json | undefined]>([
  [{ a: 1 }, { a: 2 }],
  [{ a: 1 }, {}],
  [{ a: null }, {}],
  ['$int', 1.5],
  ['$int', '1'],
  ['$string', 1],
  ['$time', '2026-01-02 03:04'],
  ['$any', undefined],
  [[], [1]],
  [[1], []],
  [[1], { 0: 1 }],
  [{}, null],
  [{}, []],
])('%j does not match %j', (expected, actual) => {
  expect(differences(expected, actual)).toHaveLength(1)
})
