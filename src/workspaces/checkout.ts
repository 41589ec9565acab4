import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { standingOfProcess, thisProcess } from '../process/index.ts'
import { git, tryGit } from './git.ts'
import type { Repository } from './repository.ts'

/** A detached worktree of one commit, made for one purpose and removed after it. */
export interface Checkout {
  readonly path: string
  remove(): Promise<void>
}

/** Directories of checkouts begin so; then comes the name of the process that made it. */
export const CHECKOUT_PREFIX = 'checkout-'

/** Checks a commit out into an empty directory beside the workspaces. Call `remove` when done, whatever happened. */
export async function makeCheckout(repository: Repository, commit: string): Promise<Checkout> {
  const path = await repository.exclusive(async () => {
    await mkdir(repository.worktrees, { recursive: true })
    const made = await mkdtemp(join(repository.worktrees, `${CHECKOUT_PREFIX}${thisProcess()}-`))
    await git(['worktree', 'add', '--quiet', '--detach', made, commit], { cwd: repository.commonDir })
    return made
  })
  return { path, remove: () => repository.exclusive(() => removeCheckout(repository, path)) }
}

async function removeCheckout(repository: Repository, path: string): Promise<void> {
  const removed = await tryGit(['worktree', 'remove', '--force', '--force', path], {
    cwd: repository.commonDir,
  })
  await rm(path, { recursive: true, force: true })
  if (removed.exitCode !== 0)
    await tryGit(['worktree', 'prune', '--expire=now'], { cwd: repository.commonDir })
}

/** Checkouts of processes of this machine that are gone: nobody will remove them. */
export async function orphanedCheckouts(repository: Repository): Promise<readonly string[]> {
  const names = await readdir(repository.worktrees).catch(() => [])
  return names
    .filter((name) => name.startsWith(CHECKOUT_PREFIX))
    .filter((name) => standingOfProcess(name.slice(CHECKOUT_PREFIX.length).replace(/-[^-]*$/, '')) === 'gone')
    .map((name) => join(repository.worktrees, name))
}

/** Removes them. What is in a checkout is a commit of the repository: nothing is lost. Answers their paths. */
export async function sweepCheckouts(repository: Repository): Promise<readonly string[]> {
  const orphans = await orphanedCheckouts(repository)
  for (const path of orphans) await repository.exclusive(() => removeCheckout(repository, path))
  return orphans
}
