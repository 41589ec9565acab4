import { SwarmError } from '../contract/errors.ts'
import { git, gitFailed, tryGit } from './git.ts'
import { commitOf, isAncestor, moveRef, type Repository, treeOf } from './repository.ts'

/** A candidate on top of what lands before it. */
export type Rebased =
  | { readonly kind: 'rebased'; readonly head: string; readonly tree: string }
  | { readonly kind: 'conflict'; readonly evidence: string }
  /** Everything in it has landed already. */
  | { readonly kind: 'empty' }

const EVIDENCE_CHARS = 8_000

/**
 * Puts the commits of `candidate` that `onto` does not have on top of `onto`, in `path`, a checkout that belongs to the caller. Merges in
 * between are flattened. No side of a conflict is ever kept by itself: the answer says what conflicts, as `git merge-tree` tells it.
 */
export async function rebaseCandidate(path: string, candidate: string, onto: string): Promise<Rebased> {
  if (await isAncestor(path, candidate, onto)) return { kind: 'empty' }
  if (!(await isAncestor(path, onto, candidate))) {
    await git(['checkout', '--quiet', '--detach', '--force', candidate], { cwd: path })
    const args = ['rebase', '--quiet', '--no-autosquash', '--empty=drop', onto]
    const rebase = await tryGit(args, { cwd: path, timeoutMs: 120_000 })
    if (rebase.exitCode !== 0) {
      const unmerged = await git(['diff', '--name-only', '--diff-filter=U'], { cwd: path })
      await tryGit(['rebase', '--abort'], { cwd: path })
      if (unmerged === '') throw gitFailed(args, path, rebase)
      return { kind: 'conflict', evidence: await conflictEvidence(path, onto, candidate, unmerged) }
    }
  } else {
    await git(['checkout', '--quiet', '--detach', '--force', candidate], { cwd: path })
  }
  const head = await git(['rev-parse', '--verify', 'HEAD^{commit}'], { cwd: path })
  if (head === onto) return { kind: 'empty' }
  return { kind: 'rebased', head, tree: await treeOf(path, head) }
}

async function conflictEvidence(
  path: string,
  onto: string,
  candidate: string,
  files: string,
): Promise<string> {
  const told = await tryGit(['merge-tree', '--write-tree', '--messages', onto, candidate], { cwd: path })
  const messages = told.stdout.split('\n\n').slice(1).join('\n')
  const marked = await tryGit(['diff', onto, candidate, '--', ...files.split('\n').slice(0, 20)], {
    cwd: path,
  })
  return `conflicting files:\n${files}\n\n${messages}\n\n${marked.stdout}`.slice(0, EVIDENCE_CHARS)
}

/** How a fast-forward ended. `moved`: the branch is not where it was when the tree was tested. */
export type FastForward = 'landed' | 'moved' | 'dirty'

/**
 * Moves the target branch from `from` to the tested commit `to`, as a compare-and-set. Where the branch is checked out, its files follow;
 * changes of a person that would be overwritten stop it (`dirty`). Done twice it is done once.
 */
export function fastForward(repository: Repository, from: string, to: string): Promise<FastForward> {
  return repository.exclusive(async () => {
    const ref = `refs/heads/${repository.target}`
    const now = await commitOf(repository.commonDir, ref)
    if (now === to) return 'landed'
    if (now !== from || !(await isAncestor(repository.commonDir, from, to))) return 'moved'
    const checkedOut = await worktreeOn(repository, ref)
    if (checkedOut === undefined) return (await moveRef(repository, ref, to, from)) ? 'landed' : 'moved'
    const merge = await tryGit(['merge', '--ff-only', '--quiet', to], { cwd: checkedOut })
    if ((await commitOf(repository.commonDir, ref)) === to) return 'landed'
    return merge.exitCode !== 0 && (await commitOf(repository.commonDir, ref)) === from ? 'dirty' : 'moved'
  })
}

/** The worktree that has a branch checked out; undefined when none has. */
async function worktreeOn(repository: Repository, ref: string): Promise<string | undefined> {
  const list = await git(['worktree', 'list', '--porcelain'], { cwd: repository.commonDir })
  for (const entry of list.split('\n\n')) {
    const lines = entry.split('\n')
    if (!lines.includes(`branch ${ref}`)) continue
    const path = lines.find((line) => line.startsWith('worktree '))?.slice('worktree '.length)
    // a bare repository is listed too, without a branch of its own
    if (path !== undefined && !lines.includes('bare')) return path
  }
  return undefined
}

/** How a push ended. `moved`: the remote branch has commits that were not tested with these. */
export type Pushed =
  | { readonly kind: 'pushed' | 'moved' }
  | { readonly kind: 'refused'; readonly output: string }

/** Pushes one tested commit to the target branch of a remote, never by force. */
export async function push(
  repository: Repository,
  remote: string,
  commit: string,
  timeoutMs = 120_000,
): Promise<Pushed> {
  const ref = `refs/heads/${repository.target}`
  const answer = await tryGit(['push', '--porcelain', '--no-verify', '--', remote, `${commit}:${ref}`], {
    // a remote that is a relative path is meant from there
    cwd: repository.root,
    timeoutMs,
  })
  if (answer.exitCode === 0) return { kind: 'pushed' }
  return /\[rejected\].*(fetch first|non-fast-forward)/.test(answer.output)
    ? { kind: 'moved' }
    : { kind: 'refused', output: answer.output.slice(-2_000) }
}

/** The commit at which the target branch stands on a remote, fetched; undefined when the remote does not have the branch. */
export async function fetchTarget(repository: Repository, remote: string): Promise<string | undefined> {
  const ref = `refs/heads/${repository.target}`
  const listed = await git(['ls-remote', '--', remote, ref], { cwd: repository.root })
  const commit = listed.split(/\s/)[0]
  if (!commit) return undefined
  await git(['fetch', '--quiet', '--no-tags', '--no-write-fetch-head', '--', remote, ref], {
    cwd: repository.root,
  })
  if (!(await commitOf(repository.commonDir, commit))) {
    throw new SwarmError(
      'DEPENDENCY',
      `${remote} named ${commit} for ${repository.target} and did not send it`,
      {
        ctx: { dependency: 'git', remote },
      },
    )
  }
  return commit
}
