import { lstat, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { git, tryGit } from './git.ts'
import { commitOf, type Repository } from './repository.ts'

const FETCH_MS = 120_000
const QUIETLY = ['--quiet', '--no-tags', '--no-write-fetch-head', '--no-recurse-submodules']

/** What a directory is to the repository. A clone has all of its git directory below it, and is one only where a command makes workspaces. */
export async function kindOf(
  { commonDir, maker }: Repository,
  path: string,
): Promise<'worktree' | 'clone' | undefined> {
  const there = await lstat(path).catch(() => undefined)
  if (!there?.isDirectory()) return undefined
  const common = await tryGit(
    ['rev-parse', '--path-format=absolute', '--git-common-dir', '--show-toplevel'],
    { cwd: path },
  )
  const [dir, top] = common.stdout.split('\n')
  if (common.exitCode !== 0 || dir === undefined || top === undefined) return undefined
  const real = await realpath(path)
  // a directory inside of the main worktree answers too
  if ((await realpath(top)) !== real) return undefined
  const own = await realpath(dir)
  if (own === commonDir) return 'worktree'
  return maker && own === join(real, '.git') ? 'clone' : undefined
}

/**
 * Brings the commits of a workspace that is a clone into the repository, where its branch then stands at the clone's HEAD; a worktree's are
 * there. After it everything but the files can be asked of the repository.
 */
export async function bringWork(
  repository: Repository,
  { path, branch }: { readonly path: string; readonly branch: string },
): Promise<void> {
  if ((await kindOf(repository, path)) === 'clone')
    await repository.exclusive(() => fetchFrom(repository, path, 'HEAD', `refs/heads/${branch}`))
}

/** Brings a commit of a clone that no branch of it holds into the repository, as `ref`. */
export async function keepOfClone(
  repository: Repository,
  path: string,
  commit: string,
  ref: string,
): Promise<void> {
  const out = `refs/swarm/out-${crypto.randomUUID()}`
  await git(['update-ref', out, commit], { cwd: path })
  try {
    await repository.exclusive(() => fetchFrom(repository, path, out, ref))
  } finally {
    await tryGit(['update-ref', '-d', out], { cwd: path })
  }
}

/** Gives a commit of the repository to a workspace that is a clone and does not have it; a worktree has it. */
export async function giveWork(repository: Repository, path: string, commit: string): Promise<void> {
  if ((await kindOf(repository, path)) !== 'clone' || (await commitOf(path, commit)) !== undefined) return
  const { commonDir } = repository
  const out = `refs/swarm/out-${crypto.randomUUID()}`
  await git(['update-ref', out, commit], { cwd: commonDir })
  try {
    await git(['fetch', ...QUIETLY, commonDir, out], { cwd: path, timeoutMs: FETCH_MS })
  } finally {
    await tryGit(['update-ref', '-d', out], { cwd: commonDir })
  }
}

async function fetchFrom({ commonDir }: Repository, path: string, from: string, ref: string): Promise<void> {
  await git(['fetch', ...QUIETLY, path, `+${from}:${ref}`], { cwd: commonDir, timeoutMs: FETCH_MS })
}
