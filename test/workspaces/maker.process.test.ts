import { chmodSync, existsSync, lstatSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { bringWork } from '../../src/workspaces/clone.ts'
import { takeOver } from '../../src/workspaces/exchange.ts'
import type { WorkspaceMaker } from '../../src/workspaces/maker.ts'
import { salvageRef } from '../../src/workspaces/names.ts'
import { commitOf, openRepository, type Repository } from '../../src/workspaces/repository.ts'
import {
  ensureWorkspace,
  refreshWorkspace,
  removeWorkspace,
  salvage,
  workspaceFacts,
} from '../../src/workspaces/workspace.ts'
import { type ScratchRepository, scratchRepository } from '../support/git.ts'

const CLONE = `git clone --quiet --shared --no-checkout "$SWARM_ROOT" "$SWARM_WORKSPACE" && cd "$SWARM_WORKSPACE" && git checkout --quiet -b "$SWARM_BRANCH" "$SWARM_COMMIT"`
const WORKTREE = 'git worktree add --quiet -B "$SWARM_BRANCH" "$SWARM_WORKSPACE" "$SWARM_COMMIT"'

let scratch: ScratchRepository
beforeEach(() => {
  scratch = scratchRepository()
})
afterEach(() => scratch.remove())

/** The repository with a maker of these shell lines, which stand in files of the root. */
function opened(
  create: string,
  more: { readonly remove?: string; readonly timeoutMs?: number } = {},
): Promise<Repository> {
  const { remove, timeoutMs = 20_000 } = more
  mkdirSync(join(scratch.root, '.swarm'), { recursive: true })
  const script = (name: string, line: string): [string] => {
    writeFileSync(join(scratch.root, '.swarm', name), `#!/bin/sh\n${line}\n`)
    chmodSync(join(scratch.root, '.swarm', name), 0o755)
    return [`.swarm/${name}`]
  }
  const maker: WorkspaceMaker = {
    create: script('make', create),
    remove: remove === undefined ? undefined : script('remove', remove),
    timeoutMs,
    path: process.env.PATH ?? '',
  }
  return openRepository(scratch.root, 'main', maker)
}
const atHome = (repository: Repository, ref: string) => commitOf(repository.commonDir, ref)

describe.each([
  ['a clone', CLONE, undefined],
  ['a clone that a command removes', CLONE, 'rm -r "$SWARM_WORKSPACE"'],
  ['a worktree', WORKTREE, undefined],
  ['a worktree that a command removes', WORKTREE, 'git worktree remove "$SWARM_WORKSPACE"'],
])('%s made by a command', (_, create, remove) => {
  test('is worked in, kept, brought up to date and removed like any other', async () => {
    const repository = await opened(create, remove === undefined ? {} : { remove })
    const workspace = await ensureWorkspace(repository, 'api')
    const { path, branch } = workspace
    expect(await ensureWorkspace(repository, 'api')).toEqual(workspace)

    const newer = scratch.commit('other.txt', 'landed meanwhile')
    await refreshWorkspace(repository, workspace)
    expect(await workspaceFacts(path)).toMatchObject({ head: newer, dirty: false })

    // what is not committed is kept in the repository
    writeFileSync(join(path, 'draft.txt'), 'half of it')
    const ref = salvageRef('api', 1, 's-1')
    const kept = await salvage(repository, path, ref, 'what was left')
    expect(await atHome(repository, ref)).toBe(kept)
    expect(scratch.git(['show', `${kept}:draft.txt`])).toBe('half of it')
    expect(scratch.git(['for-each-ref', 'refs/swarm/out-*'], path)).toBe('')
    expect(await removeWorkspace(repository, 'api')).toBe('dirty')

    // what is committed becomes a commit of the repository, and nothing goes before it has landed
    const head = scratch.commit('draft.txt', 'all of it', path)
    await bringWork(repository, workspace)
    expect(await atHome(repository, `refs/heads/${branch}`)).toBe(head)
    expect(await removeWorkspace(repository, 'api')).toBe('unreachable')
    expect(existsSync(path)).toBe(true)
    scratch.git(['merge', '--quiet', '--ff-only', head])
    expect(await removeWorkspace(repository, 'api')).toBeUndefined()
    expect(existsSync(path)).toBe(false)
    expect(await atHome(repository, `refs/heads/${branch}`)).toBeUndefined()
    expect(scratch.git(['worktree', 'list']).split('\n')).toHaveLength(1)
  })
})

test('a clone that was lost is made again at the commit that was brought home', async () => {
  const repository = await opened(CLONE)
  const workspace = await ensureWorkspace(repository, 'api')
  const head = scratch.commit('a.txt', 'a', workspace.path)
  await bringWork(repository, workspace)
  scratch.git(['clean', '-dffxq', '.swarm/worktrees'])
  await ensureWorkspace(repository, 'api')
  expect((await workspaceFacts(workspace.path)).head).toBe(head)
})

test('a clone takes over what another host has made, also when it shares no objects', async () => {
  const repository = await opened(CLONE.replace('--shared', '--no-local'))
  const workspace = await ensureWorkspace(repository, 'api')
  scratch.git(['checkout', '--quiet', '-b', 'theirs'])
  const theirs = scratch.commit('theirs.txt', 'made elsewhere')
  scratch.git(['checkout', '--quiet', 'main'])
  await takeOver(repository, workspace, undefined, theirs)
  expect((await workspaceFacts(workspace.path)).head).toBe(theirs)
  expect(scratch.git(['for-each-ref', 'refs/swarm/'])).toBe('')
})

test('a commit of a clone that is not at home is never thrown away', async () => {
  const repository = await opened(CLONE)
  const { path } = await ensureWorkspace(repository, 'api')
  scratch.commit('a.txt', 'a', path)
  expect(await removeWorkspace(repository, 'api')).toBe('unreachable')
})

test.each([
  ['fails', 'echo no room >&2; exit 3', /exited with 3: no room/],
  ['does nothing', 'true', /nothing is there/],
  ['does not end', 'mkdir "$SWARM_WORKSPACE"; sleep 60', /did not end within 300 ms/],
  ['makes a plain directory', 'mkdir "$SWARM_WORKSPACE"', /neither a worktree/],
  [
    'makes a link to elsewhere',
    'git worktree add -q -B "$SWARM_BRANCH" ../elsewhere && ln -s "$PWD/../elsewhere" "$SWARM_WORKSPACE"',
    /it is no directory/,
  ],
  [
    'makes a worktree of another repository',
    'git init -q ../other && cd ../other && git commit -q --allow-empty -m x && git worktree add -q -b "$SWARM_BRANCH" "$SWARM_WORKSPACE"',
    /neither a worktree/,
  ],
  ['takes another branch', 'git clone -q "$SWARM_ROOT" "$SWARM_WORKSPACE"', /neither a worktree/],
  [
    'takes another commit',
    `${CLONE} && git -c user.name=x -c user.email=x@x commit -q --allow-empty -m x`,
    /it stands at/,
  ],
  ['leaves changes', `${CLONE} && touch new`, /not committed/],
])('a command that %s is said to, and leaves nothing in the place', async (_, create, says) => {
  const repository = await opened(`export GIT_CONFIG_GLOBAL=/dev/null EMAIL=x@localhost\n${create}`, {
    timeoutMs: create.includes('sleep') ? 300 : 20_000,
  })
  const making = ensureWorkspace(repository, 'api')
  await expect(making).rejects.toMatchObject({
    code: 'DEPENDENCY',
    message: expect.stringMatching(says),
    ctx: { field: 'orchestrator.workspace_command.create', bead_id: 'api' },
  })
  expect(() => lstatSync(join(repository.worktrees, 'api'))).toThrow('ENOENT')
})

test('what a failed command has left is removed by the other one alone', async () => {
  const create = 'mkdir "$SWARM_WORKSPACE" && echo a mount > "$SWARM_WORKSPACE/kept"; exit 1'
  const careful = await opened(create, { remove: 'rm "$SWARM_WORKSPACE/kept" && rmdir "$SWARM_WORKSPACE"' })
  await expect(ensureWorkspace(careful, 'api')).rejects.toThrow(/exited with 1$/)
  const unable = await opened(create, { remove: 'exit 1' })
  await expect(ensureWorkspace(unable, 'api')).rejects.toThrow(/was not removed/)
  expect(existsSync(join(unable.worktrees, 'api', 'kept'))).toBe(true)
})

test('a command that does not remove is said to', async () => {
  const repository = await opened(CLONE, { remove: 'true' })
  await ensureWorkspace(repository, 'api')
  await expect(removeWorkspace(repository, 'api')).rejects.toThrow(/has left/)
})
