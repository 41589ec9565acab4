import { realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { SwarmError } from '../contract/errors.ts'
import { git, tryGit } from './git.ts'
import type { WorkspaceMaker } from './maker.ts'
import { takeTurn } from './turn.ts'

/** A git repository in which beads are worked on. */
export interface Repository {
  /** Real path of the working copy that holds `.swarm/`. */
  readonly root: string
  /** Real path of the directory with objects and refs, shared by all worktrees. */
  readonly commonDir: string
  /** The branch that finished work lands on, like `main`. */
  readonly target: string
  /** Where worktrees of beads are made. */
  readonly worktrees: string
  /** Makes and removes workspaces instead of `git worktree`; what it makes may be a clone. */
  readonly maker?: WorkspaceMaker
  /** Runs one change of worktrees or refs at a time, among the processes of this machine; `hurried` ones before all others that wait. */
  readonly exclusive: <T>(change: () => Promise<T>, hurried?: boolean) => Promise<T>
  /** The same for the commands of a maker, which may take long: refs change beside them. */
  readonly making: Repository['exclusive']
}

/** Looks at a working copy. INVALID when it is no git repository or lacks the target branch, with what to do about it. */
export async function openRepository(
  root: string,
  target: string | undefined,
  maker?: WorkspaceMaker,
): Promise<Repository> {
  const real = await realpath(root)
  const inside = await tryGit(['rev-parse', '--git-common-dir'], { cwd: real })
  if (inside.exitCode !== 0) {
    throw invalid(
      `${real} is not a git repository; run \`git init\` there and commit something`,
      real,
      'root',
    )
  }
  const branch = target ?? (await currentBranch(real))
  const head = await tryGit(['rev-parse', '--verify', '--quiet', `refs/heads/${branch}^{commit}`], {
    cwd: real,
  })
  if (head.exitCode !== 0) {
    throw invalid(`there is no branch ${branch} with a commit in ${real}`, branch, 'landing.target')
  }
  const commonDir = await realpath(join(real, inside.stdout)).catch(() => realpath(inside.stdout))
  const queue = oneAtATime()
  return {
    root: real,
    commonDir,
    target: branch,
    worktrees: join(real, '.swarm', 'worktrees'),
    ...(maker ? { maker } : {}),
    exclusive: (change, isFirst) => queue(() => takeTurn(commonDir, change), isFirst),
    making: oneAtATime(),
  }
}

async function currentBranch(root: string): Promise<string> {
  const answer = await tryGit(['symbolic-ref', '--short', '--quiet', 'HEAD'], { cwd: root })
  if (answer.exitCode === 0 && answer.stdout !== '') return answer.stdout
  throw invalid(
    'HEAD is detached: name the branch that work lands on as landing.target',
    'HEAD',
    'landing.target',
  )
}

function invalid(message: string, got: string, field: string): SwarmError {
  return new SwarmError('INVALID', message, {
    area: 'configuration',
    ctx: { kind: 'InvalidValue', field, got: got.slice(0, 200) },
  })
}

/** The same repository, whose changes do not wait behind those of others: for landing, beside hundreds of sessions. */
export function hurried(repository: Repository): Repository {
  return { ...repository, exclusive: (change) => repository.exclusive(change, true) }
}

/** A queue of its own for each repository. */
function oneAtATime(): Repository['exclusive'] {
  const [first, rest]: [(() => void)[], (() => void)[]] = [[], []]
  let busy = false
  return async (change, isFirst = false) => {
    // whoever goes hands over without letting go
    if (busy) await new Promise<void>((resolve) => (isFirst ? first : rest).push(resolve))
    busy = true
    try {
      return await change()
    } finally {
      const next = first.shift() ?? rest.shift()
      if (next) next()
      else busy = false
    }
  }
}

/** The commit a ref names; undefined when there is none. `sealed`: nothing is fetched to find out. */
export async function commitOf(cwd: string, ref: string, sealed = false): Promise<string | undefined> {
  const answer = await tryGit(['rev-parse', '--verify', '--quiet', '--end-of-options', `${ref}^{commit}`], {
    cwd,
    sealed,
  })
  return answer.exitCode === 0 ? answer.stdout : undefined
}

/** The tree of a commit. */
export function treeOf(cwd: string, commit: string): Promise<string> {
  return git(['rev-parse', '--verify', '--end-of-options', `${commit}^{tree}`], { cwd })
}

/** True when `ancestor` is part of the history of `commit`. */
export async function isAncestor(cwd: string, ancestor: string, commit: string): Promise<boolean> {
  return (await tryGit(['merge-base', '--is-ancestor', ancestor, commit], { cwd })).exitCode === 0
}

/** Sets a ref when it still has the expected value; `null` means that it must not exist. False when it has moved. */
export async function moveRef(
  repository: Repository,
  ref: string,
  to: string,
  from: string | null,
): Promise<boolean> {
  const old = from ?? '0000000000000000000000000000000000000000'
  const answer = await tryGit(['update-ref', '--no-deref', ref, to, old], { cwd: repository.commonDir })
  return answer.exitCode === 0
}

/**
 * Who commits in the worktrees, as variables: the operator's own identity, else swarm's. Agents have a HOME of their own, in which git
 * would know nobody; variables reach the shells of their tools, and the repository's configuration stays as it is.
 */
export async function identityOf({ root }: Repository): Promise<Record<string, string>> {
  const [name, email] = await Promise.all(
    ['user.name', 'user.email'].map(
      async (key) => (await tryGit(['config', '--get', key], { cwd: root })).stdout,
    ),
  )
  const [who, where] = [name || 'swarm agent', email || 'swarm@localhost']
  return {
    GIT_AUTHOR_NAME: who,
    GIT_AUTHOR_EMAIL: where,
    GIT_COMMITTER_NAME: who,
    GIT_COMMITTER_EMAIL: where,
  }
}
