import { lstat, mkdir, readdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { SwarmError } from '../contract/errors.ts'
import { CHECKOUT_PREFIX, removeWorktree } from './checkout.ts'
import { giveWork, keepOfClone, kindOf } from './clone.ts'
import { git, tryGit } from './git.ts'
import { type MakerOrder, makeByCommand, removeByCommand } from './maker.ts'
import { BRANCHES, beadIdOf, branchOf, isShortened, pathName } from './names.ts'
import { withOwnIndex } from './own-index.ts'
import { commitOf, isAncestor, moveRef, type Repository, treeOf } from './repository.ts'

/** A worktree with a branch of its own for one bead. */
export interface Workspace {
  readonly beadId: string
  /** Real path of the worktree. */
  readonly path: string
  /** Like `swarm/api`. */
  readonly branch: string
}

/** The state of a workspace: what liveness and gates look at. */
export interface WorkspaceFacts {
  readonly head: string
  readonly tree: string
  /** True when something is changed or new and not committed. */
  readonly dirty: boolean
}

/** The workspace of a bead as it would be; nothing is looked at. */
export function workspaceOf(repository: Repository, beadId: string): Workspace {
  return { beadId, path: join(repository.worktrees, pathName(beadId)), branch: branchOf(beadId) }
}

/**
 * Makes the workspace of a bead, or finds the one of an earlier attempt as it was left. A new one starts at the target branch. CONFLICT
 * when something else is in its place: it is never removed to make room.
 */
export function ensureWorkspace(
  repository: Repository,
  beadId: string,
  signal?: AbortSignal,
): Promise<Workspace> {
  const workspace = workspaceOf(repository, beadId)
  return inTurn(repository)(async () => {
    if (await isWorkspace(repository, workspace)) return workspace
    if (await lstat(workspace.path).catch(() => undefined)) {
      throw new SwarmError(
        'CONFLICT',
        `${workspace.path} is not a worktree of ${workspace.branch}; move it away`,
        {
          ctx: { path: workspace.path, branch: workspace.branch },
        },
      )
    }
    await mkdir(dirname(workspace.path), { recursive: true })
    const { commonDir, target, maker } = repository
    const has = await commitOf(commonDir, `refs/heads/${workspace.branch}`)
    // a worktree that was removed by hand is still on git's list and holds its branch
    await git(['worktree', 'prune', '--expire=now'], { cwd: commonDir })
    if (maker) {
      const commit = has ?? (await commitOf(commonDir, `refs/heads/${target}`)) ?? ''
      await makeByCommand(
        maker,
        orderOf(repository, workspace, commit),
        () => whyNotMade(repository, workspace, commit),
        signal,
      )
      return workspace
    }
    const from = has ? [workspace.branch] : ['-b', workspace.branch, `refs/heads/${target}`]
    const args = has ? [workspace.path, ...from] : [...from.slice(0, 2), workspace.path, ...from.slice(2)]
    await git(['worktree', 'add', '--quiet', ...args], { cwd: commonDir })
    return workspace
  })
}

function inTurn({ maker, making, exclusive }: Repository): Repository['exclusive'] {
  return maker ? making : exclusive
}

function orderOf(repository: Repository, workspace: Workspace, commit: string): MakerOrder {
  const { root, commonDir, target } = repository
  return { root, commonDir, target, ...workspace, commit }
}

/** What is wrong with a workspace that a command has just made; undefined when it is as it was ordered. */
async function whyNotMade(
  repository: Repository,
  workspace: Workspace,
  commit: string,
): Promise<string | undefined> {
  const { path, branch } = workspace
  const there = await lstat(path).catch(() => undefined)
  if (!there?.isDirectory()) return there ? 'it is no directory' : 'nothing is there'
  if (!(await isWorkspace(repository, workspace)))
    return `it is neither a worktree of this repository nor a clone with its own .git, on the branch ${branch}`
  const { head, dirty } = await workspaceFacts(path)
  if (head !== commit) return `it stands at ${head} instead of ${commit}`
  return dirty ? 'it has changes that are not committed' : undefined
}

/** True when the place of a workspace is a worktree of this repository, or a clone that a command made, on its branch. */
async function isWorkspace(repository: Repository, { path, branch }: Workspace): Promise<boolean> {
  if ((await kindOf(repository, path)) === undefined) return false
  const head = await tryGit(['symbolic-ref', '--quiet', 'HEAD'], { cwd: path })
  return head.stdout === `refs/heads/${branch}`
}

/** Head, tree and whether everything is committed. */
export async function workspaceFacts(path: string): Promise<WorkspaceFacts> {
  const head = await git(['rev-parse', '--verify', 'HEAD^{commit}'], { cwd: path })
  const [tree, changes] = await Promise.all([
    treeOf(path, head),
    git(['status', '--porcelain=v1', '--untracked-files=normal', '--ignore-submodules=none'], { cwd: path }),
  ])
  return { head, tree, dirty: changes !== '' }
}

/** Files that are looked at one by one, at most: a directory that nobody ignores may hold any number. */
const MOST_FILES = 2_000

/**
 * A text that differs when anything in a workspace has changed, also in files that are not committed: by their names, sizes and times. Empty
 * when it cannot be looked at.
 */
export async function workspaceState(path: string): Promise<string> {
  const answer = await tryGit(
    ['status', '--porcelain=v2', '--branch', '-z', '--untracked-files=all', '--no-renames'],
    { cwd: path },
  ).catch(() => undefined)
  if (answer?.exitCode !== 0) return ''
  const { createHash } = process.getBuiltinModule('node:crypto')
  const hash = createHash('sha256').update(answer.stdout)
  // `1 XY sub mH mI mW hH hI path` and `? path`
  const files = answer.stdout
    // null bytes arrive as this character
    .split('\u2400')
    .flatMap((line) => /^(?:1 (?:\S+ ){7}|\? )(.+)$/s.exec(line)?.[1] ?? [])
  for (const file of files.slice(0, MOST_FILES)) {
    const found = await lstat(join(path, file)).catch(() => undefined)
    hash.update(found ? `${found.size} ${found.mtimeMs}` : '-')
  }
  return hash.digest('hex')
}

/**
 * Commits everything in a workspace, new files too, and keeps the commit under `ref`; branch, index and files stay as they are. Answers
 * the commit, or undefined when there is nothing that the target branch does not have. Ignored files are not kept.
 */
export async function salvage(
  repository: Repository,
  path: string,
  ref: string,
  message: string,
): Promise<string | undefined> {
  const head = await commitOf(path, 'HEAD')
  if (head === undefined) return undefined
  return withOwnIndex(repository.commonDir, async (indexFile) => {
    await git(['read-tree', head], { cwd: path, indexFile })
    await git(['add', '--all', '--ignore-errors', '.'], { cwd: path, indexFile, timeoutMs: 120_000 })
    const tree = await git(['write-tree'], { cwd: path, indexFile })
    const unchanged = tree === (await treeOf(path, head))
    // a clone may know an older target, or none
    if (unchanged && (await isAncestor(repository.commonDir, head, `refs/heads/${repository.target}`)))
      return undefined
    const commit = unchanged
      ? head
      : await git(['commit-tree', tree, '-p', head, '-m', message], { cwd: path })
    if ((await kindOf(repository, path)) === 'clone') await keepOfClone(repository, path, commit, ref)
    else await moveRef(repository, ref, commit, (await commitOf(path, ref)) ?? null)
    return commit
  })
}

/**
 * Removes locks of git commands that were killed in a workspace. Only for whoever holds its bead, when nothing of earlier sessions runs.
 */
export async function unlockWorkspace(path: string): Promise<void> {
  const dir = await tryGit(['rev-parse', '--absolute-git-dir'], { cwd: path })
  if (dir.exitCode !== 0) return
  for (const name of ['index.lock', 'HEAD.lock']) await rm(join(dir.stdout, name), { force: true })
}

/** Why a workspace was left where it is. */
export type Kept = 'dirty' | 'unreachable' | 'missing'

/**
 * Why a workspace has to stay; undefined when nothing in it can be lost: it is clean, and its head has `landed` (perhaps rebased), or is part
 * of the target branch or of a ref under `refs/swarm/`.
 */
export async function whyKept(
  repository: Repository,
  beadId: string,
  landed?: string,
): Promise<Kept | undefined> {
  const { head, dirty } = await lookAt(repository, beadId)
  if (head === undefined) return 'missing'
  if (dirty) return 'dirty'
  return head === landed || (await isKept(repository, head)) ? undefined : 'unreachable'
}

/** Removes a workspace with its branch, also when one of the two has gone already, unless it has to stay: then it says why. */
export function removeWorkspace(
  repository: Repository,
  beadId: string,
  landed?: string,
): Promise<Kept | undefined> {
  return inTurn(repository)(async () => {
    const why = await whyKept(repository, beadId, landed)
    if (why) return why
    const { workspace, head, there } = await lookAt(repository, beadId)
    if (head === undefined) return 'missing'
    const ref = `refs/heads/${workspace.branch}`
    const tip = await commitOf(repository.commonDir, ref)
    // of a clone the repository may have an older state, and never one that the clone lacks
    if (tip !== undefined && tip !== head && !(await isAncestor(repository.commonDir, tip, head)))
      return 'unreachable'
    if (there) await removePlace(repository, workspace, head)
    else await git(['worktree', 'prune', '--expire=now'], { cwd: repository.commonDir })
    if (tip !== undefined) await git(['update-ref', '-d', ref, tip], { cwd: repository.commonDir })
    return undefined
  })
}

async function removePlace(repository: Repository, workspace: Workspace, head: string): Promise<void> {
  const { maker } = repository
  const { path } = workspace
  if (maker?.remove)
    await removeByCommand({ ...maker, remove: maker.remove }, orderOf(repository, workspace, head))
  else if ((await kindOf(repository, path)) === 'clone') await rm(path, { recursive: true })
  else await removeWorktree(repository, path)
}

/** The head of a workspace, or of its branch when only that is left; no head: neither is there, or something else is in its place. */
async function lookAt(repository: Repository, beadId: string) {
  const workspace = workspaceOf(repository, beadId)
  if (await isWorkspace(repository, workspace)) {
    const { head, dirty } = await workspaceFacts(workspace.path)
    return { workspace, head, dirty, there: true }
  }
  const inPlace = (await lstat(workspace.path).catch(() => undefined)) !== undefined
  const head = inPlace ? undefined : await commitOf(repository.commonDir, `refs/heads/${workspace.branch}`)
  return { workspace, head, dirty: false, there: false }
}

/** Names of worktrees and branches here, each once: as `pathName` makes them of the ids of beads, and of whatever else lies there. */
async function workspaceNames(repository: Repository): Promise<readonly string[]> {
  const refs = await git(['for-each-ref', '--format=%(refname:lstrip=2)', `refs/heads/${BRANCHES}`], {
    cwd: repository.commonDir,
  })
  const names = [
    ...refs.split('\n').map((name) => name.slice(BRANCHES.length)),
    ...(await readdir(repository.worktrees).catch(() => [])),
  ]
  return [...new Set(names.filter((name) => name !== '' && !name.startsWith(CHECKOUT_PREFIX)))]
}

/**
 * Beads that have a worktree or a branch here, or both. `known` answers ids that names which were shortened may stand for, as they do not tell
 * themselves: those that do are among the answer.
 */
export async function listWorkspaces(
  repository: Repository,
  known: (names: readonly string[]) => Promise<readonly string[]>,
): Promise<readonly string[]> {
  const names = await workspaceNames(repository)
  const shortened = names.filter(isShortened)
  const more = shortened.length === 0 ? [] : await known(shortened)
  const ids = [
    ...names.flatMap((name) => beadIdOf(name) ?? []),
    ...more.filter((id) => shortened.includes(pathName(id))),
  ]
  return [...new Set(ids)].sort()
}

/** True when a commit is part of the target branch, or of what swarm keeps under refs/swarm/. */
async function isKept(repository: Repository, commit: string): Promise<boolean> {
  // a commit of a clone that was never brought here
  if ((await commitOf(repository.commonDir, commit)) === undefined) return false
  if (await isAncestor(repository.commonDir, commit, `refs/heads/${repository.target}`)) return true
  const refs = await git(
    ['for-each-ref', '--count=1', `--contains=${commit}`, '--format=%(refname)', 'refs/swarm/'],
    {
      cwd: repository.commonDir,
    },
  )
  return refs !== ''
}

/** Brings a workspace that has nothing of its own up to the target branch, so that an attempt starts at the newest state. */
export async function refreshWorkspace(repository: Repository, { path }: Workspace): Promise<void> {
  const { head, dirty } = await workspaceFacts(path)
  const { commonDir } = repository
  const newest = await commitOf(commonDir, `refs/heads/${repository.target}`)
  if (dirty || newest === undefined || !(await isAncestor(commonDir, head, newest))) return
  await giveWork(repository, path, newest)
  await git(['merge', '--ff-only', '--quiet', newest], { cwd: path })
}
