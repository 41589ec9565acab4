import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { makeCheckout, removeWorktree } from '../../src/workspaces/checkout.ts'
import { candidateRef, salvageRef } from '../../src/workspaces/names.ts'
import { commitOf, moveRef, openRepository, type Repository } from '../../src/workspaces/repository.ts'
import {
  ensureWorkspace,
  refreshWorkspace,
  removeWorkspace,
  salvage,
  workspaceFacts,
  workspaceOf,
  workspaceState,
} from '../../src/workspaces/workspace.ts'
import { type ScratchRepository, scratchRepository } from '../support/git.ts'

let scratch: ScratchRepository
let repository: Repository
beforeEach(async () => {
  scratch = scratchRepository()
  repository = await openRepository(scratch.root, 'main')
})
afterEach(() => scratch.remove())

describe('a repository', () => {
  test('that is none is INVALID, and so is a target that is not there', async () => {
    await expect(openRepository('/', undefined)).rejects.toMatchObject({ code: 'INVALID', exitCode: 2 })
    await expect(openRepository(scratch.root, 'nowhere')).rejects.toMatchObject({
      code: 'INVALID',
      ctx: { field: 'landing.target', got: 'nowhere' },
    })
  })

  test('is seen the same from its worktrees', async () => {
    const { path } = await ensureWorkspace(repository, 'api')
    expect((await openRepository(path, 'main')).commonDir).toBe(repository.commonDir)
  })
})

describe('a workspace', () => {
  test('is made at the target branch and found again as it was left', async () => {
    const { path, branch } = await ensureWorkspace(repository, 'api')
    expect(branch).toBe('swarm/api')
    writeFileSync(join(path, 'draft'), 'not committed')
    expect((await ensureWorkspace(repository, 'api')).path).toBe(path)
    expect(await workspaceFacts(path)).toMatchObject({ dirty: true })
  })

  test('is in another state after every change, also of files that are not committed', async () => {
    const { path } = await ensureWorkspace(repository, 'api')
    const states = [await workspaceState(path)]
    const then = async () => states.push(await workspaceState(path))
    await then()
    expect(states[0]).toBe(states[1])
    mkdirSync(join(path, 'new dir'))
    writeFileSync(join(path, 'new dir', 'a'), 'one')
    await then()
    writeFileSync(join(path, 'new dir', 'a'), 'two words')
    await then()
    writeFileSync(join(path, 'README.md'), 'changed')
    await then()
    writeFileSync(join(path, 'README.md'), 'changed again')
    await then()
    scratch.commit('README.md', 'changed again', path)
    await then()
    expect(new Set(states).size).toBe(6)
    expect(await workspaceState('/')).toBe('')
  })

  test('of eight beads at once, all are made', async () => {
    const ids = ['a', 'b', 'c', 'd', 'a.b', 'a:b', 'e..f', 'x.lock']
    const made = await Promise.all(ids.map((id) => ensureWorkspace(repository, id)))
    expect(new Set(made.map(({ path }) => path)).size).toBe(ids.length)
  })

  test('whose directory was removed by hand is made again on its branch', async () => {
    const { path } = await ensureWorkspace(repository, 'api')
    const head = scratch.commit('kept.txt', 'kept', path)
    rmSync(path, { recursive: true })
    await ensureWorkspace(repository, 'api')
    expect((await workspaceFacts(path)).head).toBe(head)
  })

  test('is not made over something else', async () => {
    const { path } = workspaceOf(repository, 'api')
    mkdirSync(path, { recursive: true })
    writeFileSync(join(path, 'mine'), 'somebody works here')
    await expect(ensureWorkspace(repository, 'api')).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(existsSync(join(path, 'mine'))).toBe(true)
  })

  test('without work of its own follows the target branch; with work it stays', async () => {
    const idle = await ensureWorkspace(repository, 'idle')
    const busy = await ensureWorkspace(repository, 'busy')
    const head = scratch.commit('busy.txt', '1', busy.path)
    const main = scratch.commit('later.txt', '2')
    await refreshWorkspace(repository, idle)
    await refreshWorkspace(repository, busy)
    expect((await workspaceFacts(idle.path)).head).toBe(main)
    expect((await workspaceFacts(busy.path)).head).toBe(head)
  })

  test('runs no hook of the repository', async () => {
    const hooks = join(scratch.root, '.git', 'hooks')
    const told = join(scratch.root, 'hook-ran')
    for (const hook of ['post-checkout', 'reference-transaction', 'pre-commit'])
      writeFileSync(join(hooks, hook), `#!/bin/sh\necho ${hook} >> ${told}\n`, { mode: 0o755 })
    await ensureWorkspace(repository, 'api')
    expect(existsSync(told)).toBe(false)
  })
})

describe('salvage', () => {
  test('keeps committed, changed and new files, and leaves the workspace as it is', async () => {
    const { path } = await ensureWorkspace(repository, 'api')
    scratch.commit('committed.txt', '1', path)
    writeFileSync(join(path, 'README.md'), 'changed')
    writeFileSync(join(path, 'new.txt'), 'new')
    writeFileSync(join(path, 'ignored'), 'not kept')
    const before = scratch.git(['status', '--porcelain'], path)
    const ref = salvageRef('api', 1, 's1')
    const commit = await salvage(repository, path, ref, 'what attempt 1 left')
    expect(await commitOf(scratch.root, ref)).toBe(commit)
    const files = scratch.git(['ls-tree', '-r', '--name-only', ref]).split('\n')
    expect(files).toEqual(expect.arrayContaining(['committed.txt', 'new.txt', 'README.md']))
    expect(files).not.toContain('ignored')
    expect(scratch.git(['status', '--porcelain'], path)).toBe(before)
  })

  test('of a workspace without work keeps nothing', async () => {
    const { path } = await ensureWorkspace(repository, 'api')
    expect(await salvage(repository, path, salvageRef('api', 1, 's1'), 'nothing')).toBeUndefined()
  })

  test('works while another git process holds the lock of the index', async () => {
    const { path } = await ensureWorkspace(repository, 'api')
    writeFileSync(join(path, 'new.txt'), 'new')
    const gitDir = scratch.git(['rev-parse', '--absolute-git-dir'], path)
    writeFileSync(join(gitDir, 'index.lock'), '')
    expect(await salvage(repository, path, salvageRef('api', 1, 's1'), 'locked')).toMatch(/^[0-9a-f]{40}$/)
  })
})

describe('removing a workspace', () => {
  test('waits until nothing in it can be lost', async () => {
    const { path, branch } = await ensureWorkspace(repository, 'api')
    writeFileSync(join(path, 'new.txt'), 'new')
    expect(await removeWorkspace(repository, 'api')).toBe('dirty')
    const head = scratch.commit('new.txt', 'new', path)
    expect(await removeWorkspace(repository, 'api')).toBe('unreachable')
    expect(existsSync(path)).toBe(true)
    await moveRef(repository, candidateRef('api', head), head, null)
    expect(await removeWorkspace(repository, 'api')).toBeUndefined()
    expect(existsSync(path)).toBe(false)
    expect(await commitOf(scratch.root, `refs/heads/${branch}`)).toBeUndefined()
  })

  test('leaves nothing of it when the git command that removes it is killed half-way', async () => {
    const { path, branch } = await ensureWorkspace(repository, 'api')
    const bin = mkdtempSync(join(tmpdir(), 'swarm-git-'))
    const { PATH } = process.env
    const halfWay = 'for path; do :; done; rm "$path/README.md"; kill -9 $$'
    writeFileSync(
      join(bin, 'git'),
      `#!/bin/sh\nPATH='${PATH}'\ncase " $* " in *' worktree remove '*) ${halfWay} ;; esac\nexec git "$@"\n`,
      { mode: 0o755 },
    )
    process.env.PATH = `${bin}:${PATH}`
    try {
      expect(await removeWorkspace(repository, 'api')).toBeUndefined()
    } finally {
      process.env.PATH = PATH
      rmSync(bin, { recursive: true, force: true })
    }
    expect(existsSync(path)).toBe(false)
    expect(readdirSync(repository.worktrees)).toEqual([])
    expect(scratch.git(['worktree', 'list'])).not.toContain('worktrees')
    expect(await commitOf(scratch.root, `refs/heads/${branch}`)).toBeUndefined()
  })

  test('ends what another process has begun to remove, whose branch has gone meanwhile', async () => {
    const { path, branch } = await ensureWorkspace(repository, 'api')
    scratch.git(['update-ref', '-d', `refs/heads/${branch}`])
    await removeWorktree(repository, path)
    expect(readdirSync(repository.worktrees)).toEqual([])
    expect(scratch.git(['worktree', 'list'])).not.toContain('worktrees')
  })

  test('puts it back when git finds something in it after all', async () => {
    const { path } = await ensureWorkspace(repository, 'api')
    writeFileSync(join(path, 'late.txt'), 'written after the look')
    await expect(removeWorktree(repository, path)).rejects.toThrow('untracked')
    expect(readFileSync(join(path, 'late.txt'), 'utf8')).toBe('written after the look')
    expect(scratch.git(['status', '--short'], path)).toBe('?? late.txt')
  })
})

test('a checkout holds the committed tree alone and leaves nothing behind', async () => {
  const { path } = await ensureWorkspace(repository, 'api')
  const head = scratch.commit('a.txt', 'a', path)
  writeFileSync(join(path, 'b.txt'), 'not committed')
  const checkout = await makeCheckout(repository, head)
  expect(existsSync(join(checkout.path, 'a.txt'))).toBe(true)
  expect(existsSync(join(checkout.path, 'b.txt'))).toBe(false)
  writeFileSync(join(checkout.path, 'made-by-a-gate'), 'x')
  await checkout.remove()
  expect(existsSync(checkout.path)).toBe(false)
  expect(scratch.git(['worktree', 'list'])).not.toContain('checkout-')
})
