import { SwarmError } from '../contract/errors.ts'
import { giveWork } from './clone.ts'
import { git, gitFailed, tryGit } from './git.ts'
import { fastForward, fetchTarget } from './landing.ts'
import { beadIdOf, candidateRef, salvageRef } from './names.ts'
import { commitOf, isAncestor, moveRef, type Repository } from './repository.ts'
import { salvage, type Workspace, workspaceFacts } from './workspace.ts'

/** Hosts that work in clones of their own hand commits on through the remote, under refs/swarm/candidate/. */
export interface Candidate {
  readonly beadId: string
  readonly commit: string
}

/** Puts a commit where the other hosts find it. DEPENDENCY when the remote does not take it. */
export async function publish(repository: Repository, remote: string, one: Candidate): Promise<void> {
  const args = ['push', '--quiet', '--no-verify', '--', remote, `${one.commit}:${nameOf(one)}`]
  const answer = await tryGit(args, { cwd: repository.root, timeoutMs: 120_000 })
  if (answer.exitCode !== 0) throw gitFailed(args, repository.root, answer)
}

/** Gets a commit that another host has made. True when it is here, now or already; false when the remote does not have it. */
export async function obtain(
  repository: Repository,
  remote: string | undefined,
  one: Candidate,
): Promise<boolean> {
  const isHere = async () => (await commitOf(repository.commonDir, one.commit)) !== undefined
  if (await isHere()) return true
  if (remote === undefined) return false
  const args = ['fetch', '--quiet', '--no-tags', '--no-write-fetch-head', '--', remote, nameOf(one)]
  await tryGit(args, { cwd: repository.root, timeoutMs: 120_000 })
  return isHere()
}

/** Takes commits back from the remote that have landed or are needed no more; those that are not there do not matter. */
export async function withdraw(
  repository: Repository,
  remote: string,
  isOver: (beadIds: readonly string[]) => Promise<ReadonlySet<string>>,
): Promise<void> {
  const listed = await git(['ls-remote', '--', remote, 'refs/swarm/candidate/*'], { cwd: repository.root })
  const refs = listed.split('\n').flatMap((line) => line.split('\t')[1] ?? [])
  // refs/swarm/candidate/<bead>/<commit>
  const beadOf = (ref: string) => beadIdOf(ref.split('/')[3] ?? '')
  const over = await isOver([...new Set(refs.flatMap((ref) => beadOf(ref) ?? []))])
  const gone = refs.filter((ref) => over.has(beadOf(ref) ?? ''))
  for (let at = 0; at < gone.length; at += 100)
    await tryGit(
      ['push', '--quiet', '--no-verify', '--', remote, ...gone.slice(at, at + 100).map((ref) => `:${ref}`)],
      { cwd: repository.root, timeoutMs: 120_000 },
    )
}

const nameOf = ({ beadId, commit }: Candidate): string => candidateRef(beadId, commit)

/**
 * Brings the target branch of this clone to where the remote has it: what other hosts have landed is what work begins on. DEPENDENCY when the
 * two have parted, or files changed by hand are in the way.
 */
export async function followTarget(repository: Repository, remote: string): Promise<void> {
  const there = await fetchTarget(repository, remote)
  const here = await commitOf(repository.commonDir, `refs/heads/${repository.target}`)
  if (there === undefined || here === undefined || there === here) return
  // this clone is ahead: whoever lands here has not pushed yet
  if (await isAncestor(repository.commonDir, there, here)) return
  const moved = await fastForward(repository, here, there)
  if (moved === 'landed') return
  throw new SwarmError(
    'DEPENDENCY',
    moved === 'dirty'
      ? `files of ${repository.target} were changed by hand in ${repository.root}: commit or stash them`
      : moved === 'locked'
        ? `another git command holds a lock in ${repository.root}`
        : `${remote}/${repository.target} and the ${repository.target} of ${repository.root} have parted`,
    { ctx: { dependency: 'git', remote }, retryable: false },
  )
}

/**
 * Brings a workspace to the commit that its bead stands at, when another host has made it: where the workspace has nothing of its own, or where
 * the commit was not known here. What it had is kept under refs/swarm/salvage/. DEPENDENCY when the commit cannot be got.
 */
export async function takeOver(
  repository: Repository,
  { path, beadId }: Workspace,
  remote: string | undefined,
  commit: string,
): Promise<void> {
  const known = (await commitOf(repository.commonDir, commit)) !== undefined
  if (!known && !(await obtain(repository, remote, { beadId, commit })))
    throw new SwarmError(
      'DEPENDENCY',
      `the work on ${beadId} is at ${commit}, which another host has made and which is not here: ${remote === undefined ? 'set landing.remote, by which hosts hand it on' : `${remote} does not have it`}`,
      { ctx: { dependency: 'git', commit }, retryable: false },
    )
  const { head } = await workspaceFacts(path)
  if (await isAncestor(path, commit, head)) return
  // a clone may know an older target, or none
  const isOwn = !(await isAncestor(repository.commonDir, head, `refs/heads/${repository.target}`))
  if (known && isOwn) return
  if (await isAncestor(repository.commonDir, commit, `refs/heads/${repository.target}`)) return
  await salvage(repository, path, salvageRef(beadId, 0, head.slice(0, 12)), `what stood before ${commit}`)
  await giveWork(repository, path, commit)
  await git(['reset', '--hard', '--quiet', commit], { cwd: path })
}

/** Keeps a result that came after its fence had lapsed: nothing points to it any more, and a person may want it. */
export async function keepLate(repository: Repository, { beadId, commit }: Candidate): Promise<void> {
  if (await isAncestor(repository.commonDir, commit, `refs/heads/${repository.target}`)) return
  const ref = candidateRef(beadId, commit)
  await moveRef(repository, ref, commit, (await commitOf(repository.commonDir, ref)) ?? null)
}
