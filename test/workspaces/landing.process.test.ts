import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { newMarker } from '../../src/process/index.ts'
import { type Checkout, makeCheckout } from '../../src/workspaces/checkout.ts'
import {
  fastForward,
  fetchTarget,
  holds,
  push,
  pushBranch,
  rebaseCandidate,
  refusedPush,
  removeBranch,
  wasPushed,
} from '../../src/workspaces/landing.ts'
import { openRepository, type Repository } from '../../src/workspaces/repository.ts'
import { ensureWorkspace } from '../../src/workspaces/workspace.ts'
import { type ScratchRepository, scratchRepository } from '../support/git.ts'

let scratch: ScratchRepository
let repository: Repository
let main: string
let place: Checkout
beforeEach(async () => {
  scratch = scratchRepository({ remote: true })
  repository = await openRepository(scratch.root, 'main')
  main = scratch.git(['rev-parse', 'main'])
  place = await makeCheckout(repository, main)
})
afterEach(() => scratch.remove())

async function candidate(id: string, file: string, text: string): Promise<string> {
  const { path } = await ensureWorkspace(repository, id)
  return scratch.commit(file, text, path)
}

describe('a candidate', () => {
  test('is put on top of what lands before it', async () => {
    const [a, b] = [await candidate('a', 'a.txt', 'a'), await candidate('b', 'b.txt', 'b')]
    const first = await rebaseCandidate(place.path, a, main)
    expect(first).toMatchObject({ kind: 'rebased', head: a })
    const second = await rebaseCandidate(place.path, b, a)
    expect(second.kind).toBe('rebased')
    if (second.kind !== 'rebased') return
    const files = scratch.git(['ls-tree', '--name-only', second.head]).split('\n')
    expect(files).toEqual(expect.arrayContaining(['a.txt', 'b.txt']))
    expect(scratch.git(['rev-parse', `${second.head}^{tree}`])).toBe(second.tree)
  })

  test('that conflicts is told with its evidence, and no side is kept', async () => {
    const [a, b] = [await candidate('a', 'same.txt', 'one\n'), await candidate('b', 'same.txt', 'two\n')]
    const result = await rebaseCandidate(place.path, b, a)
    expect(result).toMatchObject({ kind: 'conflict', evidence: expect.stringContaining('same.txt') })
    // the checkout is free for the next one
    expect(await rebaseCandidate(place.path, a, main)).toMatchObject({ kind: 'rebased', head: a })
  })

  test('that has landed already is empty', async () => {
    const a = await candidate('a', 'a.txt', 'a')
    expect(await rebaseCandidate(place.path, a, a)).toEqual({ kind: 'empty' })
    expect(await rebaseCandidate(place.path, main, a)).toEqual({ kind: 'empty' })
  })
})

describe('the target branch', () => {
  test('moves to the tested commit, with its files where it is checked out, and twice is once', async () => {
    const a = await candidate('a', 'a.txt', 'a')
    expect(await fastForward(repository, main, a)).toBe('landed')
    expect(await fastForward(repository, main, a)).toBe('landed')
    expect(scratch.git(['rev-parse', 'main'])).toBe(a)
    expect(readFileSync(join(scratch.root, 'a.txt'), 'utf8')).toBe('a')
    expect(scratch.git(['status', '--porcelain'])).toBe('')
  })

  test('that has moved since the test is left alone', async () => {
    const a = await candidate('a', 'a.txt', 'a')
    const later = scratch.commit('later.txt', 'by a person')
    expect(await fastForward(repository, main, a)).toBe('moved')
    expect(scratch.git(['rev-parse', 'main'])).toBe(later)
  })

  test('whose files a person has changed is left alone', async () => {
    const a = await candidate('a', 'README.md', 'changed by the bead\n')
    writeFileSync(join(scratch.root, 'README.md'), 'changed by a person\n')
    expect(await fastForward(repository, main, a)).toBe('dirty')
    expect(readFileSync(join(scratch.root, 'README.md'), 'utf8')).toBe('changed by a person\n')
  })

  test('moves when a program that holds the lock of the index for a moment has ended', async () => {
    const a = await candidate('a', 'a.txt', 'a')
    const lock = join(scratch.root, '.git', 'index.lock')
    writeFileSync(lock, '')
    const moving = fastForward(repository, main, a)
    setTimeout(() => rmSync(lock), 300)
    expect(await moving).toBe('landed')
    expect(scratch.git(['status', '--porcelain'])).toBe('')
  })

  test('moves to its end when the git command that moved it was killed half-way', async () => {
    writeFileSync(join(scratch.root, 'gone.txt'), 'to be removed\n')
    writeFileSync(join(scratch.root, 'kept.txt'), 'as it was\n')
    scratch.git(['add', '--all'])
    const from = scratch.commit('README.md', 'before\n')
    const { path } = await ensureWorkspace(repository, 'a')
    scratch.git(['rm', '--quiet', 'gone.txt'], path)
    writeFileSync(join(path, 'a "quoted"\tname'), 'odd\n')
    writeFileSync(join(path, 'README.md'), 'after\n')
    writeFileSync(join(path, 'kept.txt'), 'changed by the bead\n')
    scratch.git(['add', '--all'], path)
    const to = scratch.commit('new.txt', 'new\n', path)
    // one is written, one removed, one made, one not yet touched; nothing of the command runs any more
    const dir = join(scratch.root, '.git')
    writeFileSync(join(dir, 'swarm-moving'), newMarker())
    writeFileSync(join(dir, 'index.lock'), 'half of an index')
    writeFileSync(join(scratch.root, 'README.md'), 'after\n')
    for (const [name, text] of [
      ['new.txt', 'new\n'],
      ['a "quoted"\tname', 'odd\n'],
    ] as const)
      writeFileSync(join(scratch.root, name), text)
    rmSync(join(scratch.root, 'gone.txt'))
    expect(await fastForward(repository, from, to)).toBe('landed')
    expect(scratch.git(['status', '--porcelain'])).toBe('')
    expect(readFileSync(join(scratch.root, 'kept.txt'), 'utf8')).toBe('changed by the bead\n')
    expect(readdirSync(dir).filter((name) => /swarm|lock/.test(name))).toEqual([])
  })

  test('is left alone after a killed command, too, where a person has changed a file', async () => {
    const a = await candidate('a', 'README.md', 'changed by the bead\n')
    writeFileSync(join(scratch.root, '.git', 'swarm-moving'), newMarker())
    writeFileSync(join(scratch.root, 'README.md'), 'changed by a person\n')
    expect(await fastForward(repository, main, a)).toBe('dirty')
    expect(readFileSync(join(scratch.root, 'README.md'), 'utf8')).toBe('changed by a person\n')
  })

  test('moves where nobody has it checked out', async () => {
    scratch.git(['checkout', '--quiet', '-b', 'elsewhere'])
    const a = await candidate('a', 'a.txt', 'a')
    expect(await fastForward(repository, main, a)).toBe('landed')
    expect(scratch.git(['rev-parse', 'main'])).toBe(a)
  })
})

describe('the remote', () => {
  test('gets the tested commit', async () => {
    const a = await candidate('a', 'a.txt', 'a')
    expect(await push(repository, 'origin', a)).toEqual({ kind: 'pushed' })
    expect(await fetchTarget(repository, 'origin')).toBe(a)
  })

  test('has it when a push of a leader that was killed has ended first', async () => {
    const a = await candidate('a', 'a.txt', 'a')
    scratch.git(['push', '--quiet', 'origin', `${a}:refs/heads/other`])
    const hook = join(scratch.remote ?? '', 'hooks', 'pre-receive')
    // as that push does, between this one's look at the branch and its write
    writeFileSync(hook, `#!/bin/sh\nenv -u GIT_QUARANTINE_PATH git update-ref refs/heads/main ${a}\n`, {
      mode: 0o755,
    })
    expect(await push(repository, 'origin', a)).toEqual({ kind: 'pushed' })
    expect(scratch.git(['rev-parse', 'main'], scratch.remote)).toBe(a)
  })

  test('that has moved is never overwritten', async () => {
    const a = await candidate('a', 'a.txt', 'a')
    const later = scratch.commit('later.txt', 'pushed by somebody')
    scratch.git(['push', '--quiet', 'origin', 'main'])
    expect(await push(repository, 'origin', a)).toEqual({ kind: 'moved' })
    expect(await fetchTarget(repository, 'origin')).toBe(later)
  })

  test('that refuses says why', async () => {
    const a = await candidate('a', 'a.txt', 'a')
    writeFileSync(
      join(scratch.remote ?? '', 'hooks', 'pre-receive'),
      '#!/bin/sh\necho no landing on fridays\nexit 1\n',
      {
        mode: 0o755,
      },
    )
    expect(await push(repository, 'origin', a)).toMatchObject({
      kind: 'refused',
      output: expect.stringContaining('no landing on fridays'),
    })
  })
})

describe('the branch of a bead on the remote', () => {
  const there = () =>
    scratch.git(['for-each-ref', '--format=%(objectname)', 'refs/heads/swarm/'], scratch.remote)

  test('is pushed once, replaced by what is tested next, and removed in the end', async () => {
    const a = await candidate('a.b', 'a.txt', 'a')
    expect(await pushBranch(repository, 'origin', 'a.b', a, a)).toEqual({ kind: 'pushed' })
    expect(await pushBranch(repository, 'origin', 'a.b', a, a)).toEqual({ kind: 'there' })
    const other = scratch.git(['commit-tree', `${main}^{tree}`, '-p', main, '-m', 'put on something else'])
    expect(await pushBranch(repository, 'origin', 'a.b', other, a)).toEqual({ kind: 'pushed' })
    expect(there()).toBe(other)
    expect(await wasPushed(repository, 'a.b', a)).toBe(true)
    await removeBranch(repository, 'origin', 'a.b')
    expect(there()).toBe('')
    expect(await wasPushed(repository, 'a.b', a)).toBe(false)
  })

  test('that an agent has pushed by itself is replaced, as its commits are in the candidate', async () => {
    const before = await candidate('a', 'a.txt', 'a')
    scratch.git(['push', '--quiet', 'origin', `${before}:refs/heads/swarm/a`])
    const a = await candidate('a', 'b.txt', 'b')
    const tested = scratch.git(['commit-tree', `${a}^{tree}`, '-p', main, '-m', 'put on something else'])
    expect(await pushBranch(repository, 'origin', 'a', tested, a)).toEqual({ kind: 'pushed' })
    expect(there()).toBe(tested)
  })

  test('on which somebody else has pushed stays as it is', async () => {
    const a = await candidate('a', 'a.txt', 'a')
    await pushBranch(repository, 'origin', 'a', a, a)
    const theirs = scratch.git(['commit-tree', `${a}^{tree}`, '-p', a, '-m', 'theirs'])
    scratch.git(['push', '--quiet', 'origin', `${theirs}:refs/heads/swarm/a`])
    expect(await pushBranch(repository, 'origin', 'a', main, a)).toEqual({ kind: 'foreign', commit: theirs })
    await removeBranch(repository, 'origin', 'a')
    expect(there()).toBe(theirs)
  })

  test('that the remote does not take says why, before a run as far as it can be told', async () => {
    expect(await refusedPush(repository, 'origin')).toBeUndefined()
    expect(await refusedPush(repository, '/nowhere')).toContain('/nowhere')
    writeFileSync(join(scratch.remote ?? '', 'hooks', 'pre-receive'), '#!/bin/sh\necho closed\nexit 1\n', {
      mode: 0o755,
    })
    const a = await candidate('a', 'a.txt', 'a')
    expect(await pushBranch(repository, 'origin', 'a', a, a)).toMatchObject({
      kind: 'refused',
      output: expect.stringContaining('closed'),
    })
    expect(there()).toBe('')
  })
})

test('a branch holds what was merged, squashed or picked into it, and not what was only said to be', async () => {
  const a = await candidate('a', 'a.txt', 'a')
  const later = scratch.commit('later.txt', 'by a person')
  expect(await holds(repository, main, main)).toBe(true)
  expect(await holds(repository, later, a)).toBe(false)
  scratch.git(['merge', '--quiet', '--squash', a])
  scratch.git(['commit', '--quiet', '-m', 'squashed'])
  const squashed = scratch.git(['rev-parse', 'main'])
  expect(await holds(repository, squashed, a)).toBe(true)
  const changed = scratch.commit('a.txt', 'and changed since')
  expect(await holds(repository, changed, a)).toBe(false)
})
