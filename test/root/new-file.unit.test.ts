import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { appendOnce } from '../../src/root/agents-md.ts'
import { writeNewFile } from '../../src/root/new-file.ts'

const directory = mkdtempSync(join(tmpdir(), 'swarm-files-'))
afterAll(() => rmSync(directory, { recursive: true }))

test('a file is not written over without force, and never through a link', () => {
  const [victim, link] = [join(directory, 'victim'), join(directory, 'link')]
  writeFileSync(victim, 'mine')
  symlinkSync(victim, link)
  expect(() => writeNewFile(victim, 'x', false)).toThrow(/EEXIST/)
  expect(() => writeNewFile(link, 'x', false)).toThrow(/EEXIST/)
  writeNewFile(link, 'x', true)
  expect([readFileSync(victim, 'utf8'), readFileSync(link, 'utf8')]).toEqual(['mine', 'x'])
})

test('AGENTS.md that is a link is refused, and what it points to is left alone', () => {
  const victim = join(directory, 'elsewhere')
  writeFileSync(victim, 'mine')
  symlinkSync(victim, join(directory, 'AGENTS.md'))
  expect(() => appendOnce(directory, 'text')).toThrow(/is a link/)
  expect(readFileSync(victim, 'utf8')).toBe('mine')
  rmSync(join(directory, 'AGENTS.md'))
  expect([appendOnce(directory, 'text'), appendOnce(directory, 'text')]).toEqual(['added', 'unchanged'])
})
