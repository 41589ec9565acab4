import fc from 'fast-check'
import { expect, test } from 'vitest'
import { beadIdOf, branchOf, pathName } from '../../src/workspaces/names.ts'

test('ordinary ids stay as they are', () => {
  expect(branchOf('api-12_x')).toBe('swarm/api-12_x')
})

test('a name is one component of a path and of a ref, whatever the id', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, maxLength: 300, unit: 'binary' }), (id) => {
      const name = pathName(id)
      expect(name).toMatch(/^[A-Za-z0-9_=][A-Za-z0-9_=-]*$/)
      expect(name.length).toBeLessThanOrEqual(200)
    }),
  )
})

test('a name that was shortened tells no other id', () => {
  const name = pathName(`long${'.x'.repeat(60)}`)
  expect(name).toHaveLength(200)
  expect(beadIdOf(name)).toBeUndefined()
  expect(pathName(name)).not.toBe(name)
})

test('two ids never share a name', () => {
  fc.assert(
    fc.property(
      fc.string({ minLength: 1, maxLength: 30 }),
      fc.string({ minLength: 1, maxLength: 30 }),
      (a, b) => {
        expect(pathName(a) === pathName(b)).toBe(a === b)
      },
    ),
  )
})

test('a name tells its id, unless it was shortened or made by somebody else', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, maxLength: 300 }), (id) => {
      const name = pathName(id)
      expect([id, undefined]).toContain(beadIdOf(name))
      if (name.length < 200) expect(beadIdOf(name)).toBe(id)
    }),
  )
  for (const name of ['-x', 'a.b', 'a=zz=', '', 'a=110000='])
    expect([name, name === '' ? '' : undefined]).toEqual([name, beadIdOf(name)])
})
