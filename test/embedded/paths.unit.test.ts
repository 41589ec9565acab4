import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { pathsOf } from '../../src/embedded/paths.ts'

const scratch = mkdtempSync(join(tmpdir(), 'swarm-paths-'))
afterEach(() => rmSync(scratch, { recursive: true, force: true }))

test('.swarm is made in a directory, and a directory that was deleted is not brought back', () => {
  const root = join(scratch, 'gone')
  expect(pathsOf(join(scratch, '.swarm'), true)?.swarmDir).toContain('.swarm')
  expect(pathsOf(join(scratch, '.swarm'), true)?.swarmDir).toContain('.swarm')
  expect(() => pathsOf(join(root, '.swarm'), true)).toThrow(/gone is not there any more/)
  expect(existsSync(root)).toBe(false)
})
