import { expect, test } from 'vitest'
import { storable } from '../../src/contract/json.ts'

test('what a database cannot hold is replaced, everywhere in a value, and nothing else is touched', () => {
  expect(storable({ 'k\0': ['a\0b', '😀', '\ud83d', { x: '\udc00y', n: 1, none: null }], ok: true })).toEqual(
    {
      'k\u2400': ['a\u2400b', '😀', '\ufffd', { x: '\ufffdy', n: 1, none: null }],
      ok: true,
    },
  )
  // a cut may go through a character
  expect(storable('a😀'.slice(0, 2))).toBe('a\ufffd')
})
