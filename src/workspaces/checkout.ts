import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { git, tryGit } from './git.ts'
import type { Repository } from './repository.ts'

/** A detached worktree of one commit, made for one purpose and removed after it. */
export interface Checkout {
  readonly path: string
  remove(): Promise<void>
}

/** Directories of checkouts begin so: what a killed process left is found by it. */
export const CHECKOUT_PREFIX = 'checkout-'

/** Checks a commit out into an empty directory beside the workspaces. Call `remove` when done, whatever happened. */
export async function makeCheckout(repository: Repository, commit: string): Promise<Checkout> {
  const path = await repository.exclusive(async () => {
    await mkdir(repository.worktrees, { recursive: true })
    const made = await mkdtemp(join(repository.worktrees, CHECKOUT_PREFIX))
    await git(['worktree', 'add', '--quiet', '--detach', made, commit], { cwd: repository.commonDir })
    return made
  })
  return {
    path,
    remove: () =>
      repository.exclusive(async () => {
        await tryGit(['worktree', 'remove', '--force', '--force', path], { cwd: repository.commonDir })
        await rm(path, { recursive: true, force: true })
        await tryGit(['worktree', 'prune', '--expire=now'], { cwd: repository.commonDir })
      }),
  }
}
