import { SwarmError } from '../contract/errors.ts'
import { git, gitFailed, tryGit } from './git.ts'
import { BRANCHES, branchOf, pathName } from './names.ts'
import { commitOf, isAncestor, type Repository, treeOf } from './repository.ts'
import { lockedBy, moveWorkingCopy, patient } from './working-copy.ts'

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

/**
 * How a fast-forward ended. `moved`: the branch is not where it was when the tree was tested. `dirty`: changes of a person are in the way.
 * `locked`: another git command holds a lock, or one that was killed has left it.
 */
export type FastForward = 'landed' | 'moved' | 'dirty' | 'locked'

/**
 * Moves the target branch from `from` to the tested commit `to`, as a compare-and-set. Where the branch is checked out, its files follow;
 * changes of a person that would be overwritten stop it. Done twice it is done once, and what was killed half-way is finished.
 */
export function fastForward(repository: Repository, from: string, to: string): Promise<FastForward> {
  return repository.exclusive(async () => {
    const { commonDir } = repository
    const ref = `refs/heads/${repository.target}`
    const now = await commitOf(commonDir, ref)
    if (now === to) return 'landed'
    if (now !== from || !(await isAncestor(commonDir, from, to))) return 'moved'
    const checkedOut = await worktreeOn(repository, ref)
    const answer =
      checkedOut === undefined
        ? await patient(() => tryGit(['update-ref', '--no-deref', ref, to, from], { cwd: commonDir }))
        : await moveWorkingCopy(checkedOut, ref, from, to)
    const then = await commitOf(commonDir, ref)
    if (then === to) return 'landed'
    if (then !== from) return 'moved'
    if (lockedBy(answer) !== undefined) return 'locked'
    if (answer.exitCode > 0 && checkedOut !== undefined) return 'dirty'
    throw gitFailed(['fast-forward', repository.target], checkedOut ?? commonDir, answer)
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

/**
 * Pushes one tested commit to the target branch of a remote, never by force. A push that a killed leader had begun may end beside it: then
 * this one is refused, and the branch is where it should be.
 */
export async function push(
  repository: Repository,
  remote: string,
  commit: string,
  timeoutMs = 120_000,
): Promise<Pushed> {
  const ref = `refs/heads/${repository.target}`
  const answer = await patient(() =>
    tryGit(['push', '--porcelain', '--no-verify', '--', remote, `${commit}:${ref}`], {
      // a remote that is a relative path is meant from there
      cwd: repository.root,
      timeoutMs,
    }),
  )
  if (answer.exitCode === 0) return { kind: 'pushed' }
  if (/\[rejected\].*(fetch first|non-fast-forward)/.test(answer.output)) return { kind: 'moved' }
  const there = await commitOn(repository, remote, ref).catch(() => undefined)
  if (there === commit) return { kind: 'pushed' }
  return /is at [0-9a-f]+ but expected/.test(answer.output)
    ? { kind: 'moved' }
    : { kind: 'refused', output: answer.output.slice(-2_000) }
}

/** The commit at which the target branch stands on a remote, fetched; undefined when the remote does not have the branch. */
export async function fetchTarget(repository: Repository, remote: string): Promise<string | undefined> {
  const ref = `refs/heads/${repository.target}`
  const commit = await commitOn(repository, remote, ref)
  if (commit === undefined) return undefined
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

/** Commits that swarm has pushed to the branch of a bead: what stands there and is none of them is somebody else's. */
const pushedRefs = (beadId: string) => `refs/swarm/pull/${pathName(beadId)}/`

/** How a push of a bead's branch ended. `foreign`: something stands there that swarm has not pushed; it stays. */
export type BranchPushed =
  | { readonly kind: 'pushed' | 'there' }
  | { readonly kind: 'foreign'; readonly commit: string }
  | { readonly kind: 'refused'; readonly output: string }

/**
 * Pushes a tested commit to the branch of a bead on a remote. What swarm has pushed there before is replaced, under a lease on what was seen
 * there, and so is what an agent has pushed by itself, as far as `candidate` has it; commits of others are not. Done twice it is done once.
 */
export async function pushBranch(
  repository: Repository,
  remote: string,
  beadId: string,
  commit: string,
  candidate: string,
  timeoutMs = 120_000,
): Promise<BranchPushed> {
  const ref = `refs/heads/${branchOf(beadId)}`
  const there = await commitOn(repository, remote, ref)
  // kept before it is pushed: who is killed in between knows it as its own
  await git(['update-ref', '--no-deref', `${pushedRefs(beadId)}${commit}`, commit], {
    cwd: repository.commonDir,
  })
  if (there === commit) return { kind: 'there' }
  const isOwn =
    there === undefined ||
    (await wasPushed(repository, beadId, there)) ||
    ((await commitOf(repository.commonDir, there)) !== undefined &&
      (await isAncestor(repository.commonDir, there, candidate)))
  if (!isOwn) return { kind: 'foreign', commit: there }
  const answer = await patient(() =>
    tryGit(
      [
        'push',
        '--porcelain',
        '--no-verify',
        `--force-with-lease=${ref}:${there ?? ''}`,
        '--',
        remote,
        `${commit}:${ref}`,
      ],
      { cwd: repository.root, timeoutMs },
    ),
  )
  return answer.exitCode === 0 ? { kind: 'pushed' } : { kind: 'refused', output: answer.output.slice(-2_000) }
}

/** Whether a remote takes pushes, asked without one: what it answers when it does not; undefined when it does. */
export async function refusedPush(repository: Repository, remote: string): Promise<string | undefined> {
  const from = `refs/heads/${repository.target}`
  const args = ['push', '--dry-run', '--porcelain', '--no-verify', '--', remote]
  const answer = await tryGit([...args, `${from}:refs/heads/${BRANCHES}asked-before-a-run`], {
    cwd: repository.root,
    timeoutMs: 60_000,
  })
  return answer.exitCode === 0 ? undefined : answer.output.slice(-500)
}

/** Removes the branch of a bead that has landed from a remote, where what swarm pushed still stands, and forgets what was pushed. */
export async function removeBranch(repository: Repository, remote: string, beadId: string): Promise<void> {
  const ref = `refs/heads/${branchOf(beadId)}`
  const there = await commitOn(repository, remote, ref)
  const own = await git(['for-each-ref', '--format=%(objectname) %(refname)', pushedRefs(beadId)], {
    cwd: repository.commonDir,
  })
  const refs = own.split('\n').flatMap((line) => {
    const [commit, name] = line.split(' ')
    return commit && name ? [{ commit, name }] : []
  })
  if (there !== undefined && refs.some(({ commit }) => commit === there))
    await tryGit(
      ['push', '--porcelain', '--no-verify', `--force-with-lease=${ref}:${there}`, '--', remote, `:${ref}`],
      { cwd: repository.root },
    )
  for (const { commit, name } of refs)
    await git(['update-ref', '-d', name, commit], { cwd: repository.commonDir })
}

/** True when `where` has all that `commit` would bring: its history is part of it, or merging it would change nothing. */
export async function holds({ commonDir }: Repository, where: string, commit: string): Promise<boolean> {
  if (await isAncestor(commonDir, commit, where)) return true
  const merged = await tryGit(['merge-tree', '--write-tree', where, commit], { cwd: commonDir })
  return merged.exitCode === 0 && merged.stdout === (await treeOf(commonDir, where))
}

/** True when swarm has pushed this commit to the branch of this bead. */
export async function wasPushed({ commonDir }: Repository, beadId: string, commit: string): Promise<boolean> {
  return (await commitOf(commonDir, `${pushedRefs(beadId)}${commit}`)) !== undefined
}

/** Where a branch of a remote stands; undefined when it is not there. */
async function commitOn(repository: Repository, remote: string, ref: string): Promise<string | undefined> {
  const listed = await git(['ls-remote', '--', remote, ref], { cwd: repository.root })
  return listed.split(/\s/)[0] || undefined
}
