import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { countChangedFiles, diffOf, forkOf } from '../../src/workspaces/diff.ts'
import { commitOf } from '../../src/workspaces/repository.ts'
import { type ScratchRepository, scratchRepository } from '../support/git.ts'

let scratch: ScratchRepository
let gitDir: string
let base: string
beforeEach(() => {
  scratch = scratchRepository({ remote: true })
  gitDir = join(scratch.root, '.git')
  base = scratch.git(['rev-parse', 'HEAD'])
})
afterEach(() => scratch.remove())

describe('what a commit changes', () => {
  test('is told by file and as a patch', async () => {
    scratch.commit('a.txt', 'one\n')
    const commit = scratch.commit('b.txt', 'two\nthree\n')
    expect(await diffOf(gitDir, base, commit, 10_000)).toMatchObject({
      files: [
        { path: 'a.txt', added: 1, removed: 0 },
        { path: 'b.txt', added: 2, removed: 0 },
      ],
      more_files: false,
      patch: expect.stringContaining('+three'),
      cut: false,
    })
    expect(await countChangedFiles(gitDir, base, commit)).toBe(2)
    expect(await countChangedFiles(gitDir, commit, commit)).toBe(0)
  })

  test('is bounded: a long patch ends at a line, a large file is no text', async () => {
    scratch.commit('long.txt', 'a line of the file\n'.repeat(2_000))
    const commit = scratch.commit('wide.txt', 'w'.repeat(600_000))
    const diff = await diffOf(gitDir, base, commit, 2_048)
    expect(diff.cut).toBe(true)
    expect(diff.patch.length).toBeLessThanOrEqual(2_048)
    expect(diff.patch.endsWith('+a line of the file\n')).toBe(true)
    expect(diff.files).toContainEqual({ path: 'wide.txt' })
  })

  test('starts no program that the repository names', async () => {
    const marks = join(scratch.root, '..', 'marks')
    mkdirSync(marks)
    const touch = (name: string) => `touch ${join(marks, name)}; cat`
    for (const [key, value] of [
      ['diff.external', touch('external')],
      ['diff.evil.command', touch('command')],
      ['diff.evil.textconv', touch('textconv')],
      ['filter.evil.clean', touch('clean')],
      ['filter.evil.smudge', touch('smudge')],
      ['filter.evil.process', touch('process')],
      ['core.fsmonitor', touch('fsmonitor')],
      ['core.pager', touch('pager')],
      ['alias.diff-tree', `!${touch('alias')}`],
    ])
      scratch.git(['config', key ?? '', value ?? ''])
    // committing itself would start the filters
    writeFileSync(join(gitDir, 'info', 'attributes'), '*.txt diff=evil\n')
    const commit = scratch.commit('a.txt', 'one\n')
    rmSync(marks, { recursive: true, force: true })
    mkdirSync(marks)
    writeFileSync(join(gitDir, 'info', 'attributes'), '*.txt diff=evil filter=evil\n')
    const { patch } = await diffOf(gitDir, base, commit, 10_000)
    expect(patch).toContain('+one')
    const names = [
      'external',
      'command',
      'textconv',
      'clean',
      'smudge',
      'process',
      'fsmonitor',
      'pager',
      'alias',
    ]
    expect(names.filter((name) => existsSync(join(marks, name)))).toEqual([])
  })

  test('is that of the commits themselves, whatever refs/replace says', async () => {
    const commit = scratch.commit('a.txt', 'bad\n')
    scratch.git(['checkout', '--quiet', '--detach', base])
    const other = scratch.commit('a.txt', 'harmless\n')
    scratch.git(['replace', commit, other])
    const { patch } = await diffOf(gitDir, base, commit, 10_000)
    expect(patch).toContain('+bad')
  })

  test('fetches nothing that is missing', async () => {
    const mark = join(scratch.root, '..', 'fetched')
    const commit = scratch.commit('a.txt', 'one\n')
    scratch.git(['config', 'extensions.partialClone', 'evil'])
    scratch.git(['config', 'remote.evil.url', `file://${scratch.remote}`])
    scratch.git(['config', 'remote.evil.uploadpack', `touch ${mark}; git-upload-pack`])
    scratch.git(['config', 'remote.evil.promisor', 'true'])
    scratch.git(['config', 'protocol.file.allow', 'always'])
    const blob = scratch.git(['rev-parse', `${commit}:a.txt`])
    rmSync(join(gitDir, 'objects', blob.slice(0, 2), blob.slice(2)))
    await expect(diffOf(gitDir, base, commit, 10_000)).rejects.toThrow('git diff-tree failed')
    expect(await commitOf(gitDir, 'f'.repeat(40), true)).toBeUndefined()
    expect(existsSync(mark)).toBe(false)
  })

  test('shows characters that would hide others by their numbers', async () => {
    const commit = scratch.commit('a.txt', 'if (admin\u202e) {\r\u001b[2K}\n')
    const { patch } = await diffOf(gitDir, base, commit, 10_000)
    expect(patch).toContain('+if (admin<U+202E>) {<U+000D>}')
  })
})

test('two lines of work went apart at one commit, or nowhere', async () => {
  const one = scratch.commit('a.txt', 'one\n')
  scratch.git(['checkout', '--quiet', '--detach', base])
  const other = scratch.commit('b.txt', 'two\n')
  expect(await forkOf(gitDir, one, other)).toBe(base)
  scratch.git(['checkout', '--quiet', '--orphan', 'alone'])
  expect(await forkOf(gitDir, one, scratch.commit('c.txt', 'three\n'))).toBeUndefined()
})
