import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { standingOfProcess, thisProcess } from '../process/index.ts'
import { git, gitFailed, tryGit } from './git.ts'
import { commitOf, type Repository } from './repository.ts'

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

async function removeCheckout({ commonDir }: Repository, path: string): Promise<void> {
  const removed = await tryGit(['worktree', 'remove', '--force', '--force', path], { cwd: commonDir })
  if (removed.exitCode === 0) await rm(path, { recursive: true, force: true })
  else await clearAway(commonDir, path)
}

/** Removes what git did not, and has git forget it. */
async function clearAway(commonDir: string, path: string): Promise<void> {
  await rm(path, { recursive: true, force: true })
  await tryGit(['worktree', 'prune', '--expire=now'], { cwd: commonDir })
}

/**
 * Removes a worktree that holds nothing of its own. It is moved aside first, to where a checkout of this process would be: killed half-way, what
 * is left is swept as one, and does not look like a workspace in which somebody has deleted files. Throws when git finds changes, and all stays.
 */
export async function removeWorktree({ worktrees, commonDir }: Repository, path: string): Promise<void> {
  const aside = join(worktrees, `${CHECKOUT_PREFIX}${thisProcess()}-${crypto.randomUUID().slice(0, 6)}`)
  await git(['worktree', 'move', path, aside], { cwd: commonDir })
  const args = ['worktree', 'remove', aside]
  const removed = await tryGit(args, { cwd: commonDir })
  if (removed.exitCode === 0) return
  // killed half-way, or without its branch: another process has found meanwhile that nothing in it can be lost
  if (removed.exitCode < 0 || !(await commitOf(aside, 'HEAD'))) return clearAway(commonDir, aside)
  await git(['worktree', 'move', aside, path], { cwd: commonDir })
  throw gitFailed(args, commonDir, removed)
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
