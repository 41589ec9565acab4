import type { CommandContext } from '../contract/command.ts'
import type { LandingConfig } from '../contract/landing-config.ts'
import { nextPoll, type PullEntry, type PullStanding, pullBody, pullTitle } from '../core/pulls.ts'
import {
  fastForward,
  fetchTarget,
  holds,
  pushBranch,
  removeBranch,
  wasPushed,
} from '../workspaces/landing.ts'
import { branchOf } from '../workspaces/names.ts'
import { commitOf, isAncestor, type Repository, treeOf } from '../workspaces/repository.ts'
import { createForge, type PullWords } from './forge.ts'

/** A bead on its way, with what its pull request is to say. */
export interface PullFacts extends PullEntry {
  readonly workflow: string
  readonly title: string
  readonly description: string | null
}

export interface PullsOptions {
  readonly ctx: CommandContext
  readonly repository: Repository
  readonly landing: LandingConfig
  readonly remote: string
  readonly signal: AbortSignal
  /** Writes what was found out about an entry, under the leader's term. */
  readonly set: (entry: PullEntry, status: string, more?: object) => Promise<unknown>
  readonly pause: (reason: string) => Promise<void>
  /** False: another process leads by now. */
  readonly leads: () => boolean
  readonly onFault: (error: unknown) => void
  /** A pull request may be asked for again: there is something to do. */
  readonly wake: () => void
  /** The commands that a tree of this workflow has passed, as they may be shown. */
  readonly gates: (workflow: string) => readonly string[]
}

/** The pull requests of a run. What it remembers only says when each is asked for again. */
export interface Pulls {
  /** Brings the target branch here as it is on the remote, where that was not done for long. */
  refresh(): Promise<void>
  /** True when the target branch stands elsewhere than `target`, looked up now. */
  hasMoved(target: string): Promise<boolean>
  /** There is something new to do for this one. */
  hurry(id: number): void
  /** Removes from the remote what was pushed for a bead that has landed. */
  forget(beadId: string): Promise<void>
  /** Entries whose time has come. */
  due(entries: readonly PullEntry[]): ReadonlySet<number>
  /**
   * Asks for one; opens it, or takes the bead on, as it stands. `proof` is asked for what a merged bead may say of the tree that it has come to;
   * without an answer it waits until that tree was tested.
   */
  attend(entry: PullFacts, proof: (tree: string) => object | undefined): Promise<'landed' | 'waits' | 'gone'>
  close(): void
}

/** So many faults in a row, and the run is paused with what was said. */
const MOST_FAULTS = 3
/** Several that are asked for at once share one look at the remote. */
const SHARED_MS = 1_000

export function createPulls(options: PullsOptions): Pulls {
  const { ctx, repository, landing, remote, signal, set, pause, onFault, wake } = options
  const forge = createForge(landing, repository.root, ctx.env)
  const times = new Map<number, { at: number; unchanged: number; told: string }>()
  const timers = new Set<NodeJS.Timeout>()
  let faults = 0
  let synced: { readonly at: number; readonly target: Promise<string | undefined> } | undefined

  const plan = (id: number, told: string): void => {
    const before = times.get(id)
    const unchanged = before?.told === told ? before.unchanged + 1 : 0
    const ms = nextPoll(forge.pollMs, unchanged)
    times.set(id, { at: performance.now() + ms, unchanged, told })
    const timer = setTimeout(() => {
      timers.delete(timer)
      wake()
    }, ms)
    timer.unref()
    timers.add(timer)
  }

  /** The target branch as it is on the remote, brought here; undefined when that cannot be: the run is paused then. */
  const sync = (fresh = false): Promise<string | undefined> => {
    if (!fresh && synced && performance.now() - synced.at < SHARED_MS) return synced.target
    // one after the other: two fetches would contend for the same ref
    const before = synced?.target.catch(() => {}) ?? Promise.resolve()
    const target = before.then(bring)
    target.catch(() => {})
    synced = { at: performance.now(), target }
    return target
  }

  const bring = async (): Promise<string | undefined> => {
    const there = await fetchTarget(repository, remote)
    const here = await commitOf(repository.commonDir, `refs/heads/${repository.target}`)
    if (there === undefined || here === undefined) {
      await pause(`${remote} has no branch ${repository.target}`)
      return undefined
    }
    const moved = await fastForward(repository, here, there)
    if (moved === 'landed') return there
    await pause(
      moved === 'moved'
        ? `${remote}/${repository.target} and the local ${repository.target} have parted`
        : whyNotMoved(repository, moved),
    )
    return undefined
  }

  const wordsOf = (entry: PullFacts): PullWords => ({
    branch: branchOf(entry.bead_id),
    target: repository.target,
    remote,
    bead: entry.bead_id,
    head: entry.head ?? '',
    url: entry.pr_url ?? '',
    title: pullTitle(entry.bead_id, entry.title),
  })

  /** Pushes the tested commit and opens the pull request, as far as that was not done. */
  const offer = async (entry: PullFacts, standing: PullStanding): Promise<string> => {
    const { head, tree, bead_id } = entry
    if (head === null || tree === null) return 'not built'
    const pushed = await pushBranch(repository, remote, bead_id, head, entry.candidate)
    if (pushed.kind === 'refused') {
      await pause(`${remote} refuses the push of ${branchOf(bead_id)}: ${pushed.output.slice(-300)}`)
      return 'refused'
    }
    if (pushed.kind === 'foreign' && standing.state === 'none') {
      // only this one waits: the others have branches of their own
      const reason = `${branchOf(bead_id)} on ${remote} stands at ${pushed.commit}, which swarm has not pushed: merge it by a pull request, or delete it`
      if (times.get(entry.id)?.told !== reason) {
        onFault(new Error(reason))
        await set(entry, entry.status, { reason })
      }
      return reason
    }
    const body = pullBody({
      beadId: bead_id,
      description: entry.description ?? '',
      head,
      tree,
      gates: options.gates(entry.workflow),
    })
    const url = standing.state === 'open' ? standing.url : await forge.open(wordsOf(entry), body, signal)
    if (url !== undefined && url !== entry.pr_url)
      await set(entry, entry.status, { pr_url: url, reason: `waits for pull request ${url}` })
    return `open ${url ?? entry.pr_url} ${head}`
  }

  /** The commit of the target branch that has the work of an entry whose pull request was merged; undefined when none has. */
  const mergedBy = async (
    entry: PullFacts,
    standing: PullStanding,
    target: string,
  ): Promise<string | undefined> => {
    const { commonDir } = repository
    const known = async (commit: string | null | undefined) =>
      typeof commit === 'string' && (await commitOf(commonDir, commit)) !== undefined ? commit : undefined
    const merge = await known(standing.mergeCommit)
    const by = merge !== undefined && (await isAncestor(commonDir, merge, target)) ? merge : undefined
    if (await holds(repository, target, entry.candidate)) return by ?? target
    for (const commit of [await known(standing.head), await known(entry.head)])
      if (commit !== undefined && (await holds(repository, commit, entry.candidate)))
        if (by !== undefined || (await holds(repository, target, commit))) return by ?? target
    // somebody has changed it before it was merged: the forge's word, and the commit that it names is there
    const isOurs = standing.head !== undefined && (await wasPushed(repository, entry.bead_id, standing.head))
    return isOurs ? undefined : by
  }

  /** True when what was merged is what swarm pushed for the bead before it was worked on again. */
  const isEarlier = async (entry: PullFacts, { head }: PullStanding, target: string): Promise<boolean> =>
    head !== undefined &&
    (await wasPushed(repository, entry.bead_id, head)) &&
    (await holds(repository, target, head)) &&
    !(await holds(repository, head, entry.candidate))

  const attend: Pulls['attend'] = async (entry, proof) => {
    let standing = await forge.standing(wordsOf(entry), signal)
    // what was merged is looked for in what is there now, not in what was there before it was asked
    const target = await sync(standing.state === 'merged')
    faults = 0
    if (target === undefined) {
      plan(entry.id, 'parted')
      return 'waits'
    }
    const url = standing.url ?? entry.pr_url ?? undefined
    if (standing.state === 'merged') {
      const by = await mergedBy(entry, standing, target)
      if (by !== undefined) {
        const tree = await treeOf(repository.commonDir, target)
        const tested = proof(tree)
        if (!tested) {
          times.delete(entry.id)
          return 'waits'
        }
        await set(entry, 'landed', {
          head: by,
          tree,
          ...tested,
          ...(url === undefined ? {} : { pr_url: url }),
          reason: `pull request ${url ?? ''} was merged`,
        })
        times.delete(entry.id)
        return 'landed'
      }
      if (!(await isEarlier(entry, standing, target))) {
        const told = `pull request ${url ?? ''} is said to be merged, and ${remote}/${repository.target} does not have it`
        if (times.get(entry.id)?.told !== told) onFault(new Error(told))
        plan(entry.id, told)
        return 'waits'
      }
      // what was merged is of an earlier attempt: what came after it needs one of its own
      standing = { state: 'none' }
    }
    if (standing.state === 'closed') {
      await set(entry, 'ejected', {
        reason: `pull request ${url ?? ''} was closed`,
        pr_url: '',
        feedback: `its pull request ${url ?? ''} was closed and not merged${standing.feedback === undefined ? '' : `:\n${standing.feedback}`}`,
      })
      times.delete(entry.id)
      return 'gone'
    }
    // a frozen process that wakes leads no more
    if (!options.leads()) return 'waits'
    const isTested = entry.status === 'green' && entry.base === target
    plan(entry.id, isTested ? await offer(entry, standing) : standing.state)
    return 'waits'
  }

  /** Counts what went wrong; too much of it in a row pauses the run. */
  const fault = async (error: unknown): Promise<void> => {
    onFault(error)
    faults += 1
    if (faults < MOST_FAULTS) return
    faults = 0
    await pause(
      `pull requests cannot be opened or asked for: ${error instanceof Error ? error.message : error}`,
    )
  }

  return {
    async refresh() {
      if (synced && performance.now() - synced.at < forge.pollMs) return
      await sync().catch((error) => (signal.aborted ? undefined : fault(error)))
    },
    async hasMoved(target) {
      const now = await sync(true).catch(onFault)
      return typeof now === 'string' && now !== target
    },
    hurry(id) {
      times.delete(id)
    },
    async forget(beadId) {
      await removeBranch(repository, remote, beadId).catch(onFault)
    },
    due(entries) {
      const now = performance.now()
      return new Set(entries.filter(({ id }) => (times.get(id)?.at ?? 0) <= now).map(({ id }) => id))
    },
    async attend(entry, proof) {
      try {
        return await attend(entry, proof)
      } catch (error) {
        if (signal.aborted) return 'waits'
        plan(entry.id, 'fault')
        await fault(error)
        return 'waits'
      }
    },
    close() {
      for (const timer of timers) clearTimeout(timer)
    },
  }
}

/** What a person has to do about a target branch that could not be moved. */
export function whyNotMoved(
  { root, target }: Pick<Repository, 'root' | 'target'>,
  moved: 'dirty' | 'locked',
): string {
  return moved === 'locked'
    ? `another git command holds a lock in ${root}, or was killed and left it: end it, remove the .lock file that git names, and unpause`
    : `files of ${target} were changed by hand in its working copy: commit or stash them`
}
