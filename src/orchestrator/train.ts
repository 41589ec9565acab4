import type { CommandContext } from '../contract/command.ts'
import { maskWords } from '../contract/secrets.ts'
import { type PullAction, planPulls } from '../core/pulls.ts'
import { firstWindow, nextWindow, planTrain, type TrainAction, type TrainEntry } from '../core/train.ts'
import { operatorPath } from '../process/index.ts'
import { readFunction } from '../runtime/read.ts'
import { write } from '../runtime/write.ts'
import { type Checkout, makeCheckout, sweepCheckouts } from '../workspaces/checkout.ts'
import { obtain } from '../workspaces/exchange.ts'
import { fastForward, fetchTarget, push, rebaseCandidate } from '../workspaces/landing.ts'
import { sweepIndexes } from '../workspaces/own-index.ts'
import { commitOf, hurried, type Repository, treeOf } from '../workspaces/repository.ts'
import { removeWorkspace } from '../workspaces/workspace.ts'
import { runGates } from './gate.ts'
import { createPulls, type PullFacts, whyNotMoved } from './pulls.ts'
import { landingGates } from './settings.ts'
import { beadsHere } from './tidy.ts'

export interface TrainOptions {
  readonly ctx: CommandContext
  readonly repository: Repository
  readonly runId: string
  readonly term: () => number | undefined
  readonly onFault: (error: unknown) => void
  /** Called when the target branch itself is red, or cannot be moved or pushed. */
  readonly pause: (reason: string) => Promise<void>
}

interface TrainFacts {
  readonly entries: readonly PullFacts[]
}

const DEFAULT_WINDOW = 8

export interface Train {
  /** Takes every step that can be taken now; resolves when nothing is left to do at once. Tests go on beside it. */
  step(): Promise<void>
  /** Takes steps beside whatever else goes on; once more when it was asked while steps were taken. */
  move(): void
  /** Ends running tests and takes no more steps; resolves when nothing of it goes on. */
  close(): Promise<void>
}

/**
 * The landing train of one target branch, run by the leader. What it knows is rows and refs; verdicts of trees are remembered only to spare
 * a second test. Killed anywhere, another leader goes on from the rows.
 */
export function createTrain(options: TrainOptions, changed: () => void): Train {
  const { ctx, runId, term, onFault } = options
  // what is finished does not wait for what begins
  const repository = hurried(options.repository)
  const landing = ctx.root?.config.landing ?? {}
  const verdicts = new Map<string, 'green' | 'red'>()
  const outputs = new Map<string, { feedback: string | undefined; evidence: readonly object[] }>()
  const busy = new Set<number>()
  const tests = new Map<number, AbortController>()
  const widest = landing.window ?? DEFAULT_WINDOW
  let window = firstWindow(widest)
  let place: Checkout | undefined
  let testingBase = false
  let moving: Promise<void> | undefined
  let again = false
  const closed = new AbortController()
  const ended = AbortSignal.any([closed.signal, ctx.signal])
  const testing = new Set<Promise<void>>()
  const conflicts = new Map<number, string>()
  let tidied: number | undefined
  /** The target branch has a tree that was merged by others and not tested here. */
  let unproven = false

  const evidenceOf = (tree: string | null): { readonly evidence?: readonly object[] } => {
    const told = outputs.get(tree ?? '')
    return told ? { evidence: told.evidence } : {}
  }

  const set = (entry: TrainEntry, status: string, more: object = {}): Promise<unknown> => {
    const now = term()
    if (now === undefined) throw new Error('this process does not lead any more')
    return write(
      ctx,
      'land',
      { term: now, id: entry.id, bead_id: entry.bead_id, status, ...more },
      {},
      `land/${entry.id}/${crypto.randomUUID()}`,
    )
  }

  const path = operatorPath(ctx.env)
  const gatesOf = (entry: { readonly workflow: string }) =>
    landingGates(ctx.root?.config ?? {}, entry.workflow)

  const pulls =
    landing.mode === 'pull_request' && landing.remote !== undefined
      ? createPulls({
          ctx,
          repository,
          landing,
          remote: landing.remote,
          signal: ended,
          set,
          pause: options.pause,
          leads: () => term() !== undefined,
          onFault,
          wake: changed,
          gates: (workflow) =>
            gatesOf({ workflow }).map(({ argv }) => maskWords(argv).join(' ').slice(0, 200)),
        })
      : undefined

  /** What goes on beside the steps; another step may be possible after it. */
  const goOn = (work: Promise<void>, after: () => void): void => {
    const one = work.catch(onFault).finally(() => {
      testing.delete(one)
      after()
      changed()
    })
    testing.add(one)
  }

  const test = (entry: TrainFacts['entries'][number]): void => {
    const { head, tree } = entry
    if (head === null || tree === null) return
    const abort = new AbortController()
    busy.add(entry.id)
    tests.set(entry.id, abort)
    const done = async () => {
      const verdict = await runGates(
        repository,
        head,
        tree,
        gatesOf(entry),
        path,
        AbortSignal.any([abort.signal, ended]),
      )
      if (abort.signal.aborted || ended.aborted) return
      verdicts.set(tree, verdict.passed ? 'green' : 'red')
      outputs.set(tree, { feedback: verdict.feedback, evidence: verdict.evidence })
      if (!verdict.passed) await set(entry, 'testing', { tries: entry.tries + 1 })
    }
    goOn(done(), () => {
      busy.delete(entry.id)
      tests.delete(entry.id)
    })
  }

  /** Asks for a pull request, opens it, or takes its bead on: beside the steps, since a forge may take its time. */
  const attend = (entry: TrainFacts['entries'][number]): void => {
    if (!pulls) return
    busy.add(entry.id)
    const done = async () => {
      const how = await pulls.attend(entry, (tree) => {
        // kept with its row, when it is the very tree
        if (entry.status === 'green' && entry.tree === tree) return {}
        if (verdicts.get(tree) === 'green') return evidenceOf(tree)
        unproven = true
        return undefined
      })
      if (how === 'landed') await tidy(entry)
    }
    goOn(done(), () => busy.delete(entry.id))
  }

  const testBase = (target: string, tree: string, workflow: string): void => {
    if (testingBase) return
    testingBase = true
    const done = async () => {
      const run = () => runGates(repository, target, tree, gatesOf({ workflow }), path, ended)
      let verdict = await run()
      // once more, before everything is stopped for it
      if (!verdict.passed && !ended.aborted) verdict = await run()
      if (ended.aborted) return
      verdicts.set(tree, verdict.passed ? 'green' : 'red')
      outputs.set(tree, { feedback: verdict.feedback, evidence: verdict.evidence })
    }
    goOn(done(), () => {
      testingBase = false
    })
  }

  const leavePlace = async (): Promise<void> => {
    const left = place
    place = undefined
    await left?.remove()
  }

  const build = async (action: Extract<TrainAction, { kind: 'build' }>): Promise<boolean> => {
    const { entry, onto, speculative } = action
    if (entry.candidate === '') {
      await set(entry, 'landed', { reason: 'it has no commit' })
      await tidy(entry)
      return true
    }
    if (conflicts.get(entry.id) === onto) return false
    if (!(await obtain(repository, landing.remote, { beadId: entry.bead_id, commit: entry.candidate }))) {
      await options.pause(
        `the work on ${entry.bead_id} is at ${entry.candidate}, which another host has made and which is not here: ${landing.remote === undefined ? 'set landing.remote, by which hosts hand it on' : `${landing.remote} does not have it`}`,
      )
      return false
    }
    place ??= await makeCheckout(repository, onto)
    const rebased = await rebaseCandidate(place.path, entry.candidate, onto).catch(async (error) => {
      // a git command that was killed in it may have left a lock, or half of a rebase
      await leavePlace()
      throw error
    })
    if (rebased.kind === 'rebased') {
      await set(entry, 'testing', { base: onto, head: rebased.head, tree: rebased.tree, tries: 0 })
      return true
    }
    if (rebased.kind === 'empty') {
      await set(entry, 'landed', {
        head: onto,
        tree: await treeOf(repository.commonDir, onto),
        base: onto,
        reason: 'everything in it was there already',
      })
      await tidy(entry)
      return true
    }
    if (speculative) {
      // the one before it may yet fail: it is tried again on what has really landed
      conflicts.set(entry.id, onto)
      return false
    }
    await set(entry, 'conflict', {
      feedback: `it conflicts with what has landed since; rebase on ${repository.target}\n${rebased.evidence}`,
      reason: 'conflict',
    })
    window = nextWindow(window, 'ejected', widest)
    return true
  }

  const land = async (entry: TrainEntry, target: string): Promise<boolean> => {
    const { head, tree } = entry
    if (head === null || tree === null) return false
    if (landing.remote !== undefined) {
      const pushed = await push(repository, landing.remote, head)
      if (pushed.kind === 'refused') {
        await options.pause(`${landing.remote} refuses the push: ${pushed.output.slice(-300)}`)
        return false
      }
      if (pushed.kind === 'moved') {
        const remote = await fetchTarget(repository, landing.remote)
        if (remote === undefined || (await fastForward(repository, target, remote)) !== 'landed')
          await options.pause(
            `${landing.remote}/${repository.target} and the local ${repository.target} have parted`,
          )
        return remote !== undefined
      }
    }
    // a frozen process that wakes leads no more
    if (term() === undefined) return false
    const moved = await fastForward(repository, target, head)
    if (moved === 'locked' || moved === 'dirty') {
      await options.pause(whyNotMoved(repository, moved))
      return false
    }
    if (moved === 'moved') return true
    await set(entry, 'landed', { head, tree, ...evidenceOf(tree) })
    verdicts.set(tree, 'green')
    window = nextWindow(window, 'landed', widest)
    await tidy(entry)
    return true
  }

  /** A landed bead needs its workspace no more, and its branch on the remote. */
  const tidy = async ({ bead_id, candidate }: Pick<TrainEntry, 'bead_id' | 'candidate'>): Promise<void> => {
    await pulls?.forget(bead_id)
    const left = await removeWorkspace(repository, bead_id, candidate)
    if (left !== undefined && left !== 'missing')
      onFault(new Error(`the workspace of ${bead_id} stays: ${left}`))
  }

  /** Workspaces that a leader has left which was killed after a landing. Looked for once in each term. */
  const tidyFormer = async (): Promise<void> => {
    if (tidied === term()) return
    tidied = term()
    await sweepCheckouts(repository)
    await sweepIndexes(repository.commonDir)
    const beads = await beadsHere(ctx, repository)
    if (beads.length === 0) return
    const { landed } = await readFunction<{
      readonly landed: readonly Pick<TrainEntry, 'bead_id' | 'candidate'>[]
    }>(ctx, 'landed_of', ctx.repo, { beads: [...beads] })
    for (const one of landed) await tidy(one)
  }

  const carryOut = async (
    action: PullAction,
    facts: TrainFacts,
    target: string,
    targetTree: string,
  ): Promise<boolean> => {
    switch (action.kind) {
      case 'build':
        return build(action)
      case 'test': {
        const entry = facts.entries.find(({ id }) => id === action.entry.id)
        if (entry) test(entry)
        return false
      }
      case 'test_base':
        testBase(target, targetTree, facts.entries[0]?.workflow ?? 'default')
        return false
      case 'requeue':
        tests.get(action.entry.id)?.abort()
        await set(action.entry, 'queued')
        return true
      case 'mark_green':
        // kept with the row: a leader that takes over lands the tree with what was said of it
        await set(action.entry, 'green', evidenceOf(action.entry.tree))
        pulls?.hurry(action.entry.id)
        return true
      case 'land':
        return land(action.entry, target)
      case 'attend': {
        const entry = facts.entries.find(({ id }) => id === action.entry.id)
        if (entry) attend(entry)
        return false
      }
      case 'eject': {
        const told = outputs.get(action.entry.tree ?? '')
        await set(action.entry, 'ejected', {
          feedback: told?.feedback ?? 'its gates failed on the tree that was to land',
          ...evidenceOf(action.entry.tree),
          reason: 'red',
        })
        window = nextWindow(window, 'ejected', widest)
        return true
      }
      case 'pause':
        // somebody may have mended it meanwhile
        if (await pulls?.hasMoved(target)) return true
        await options.pause(`the gates fail on ${repository.target} itself`)
        return false
    }
  }

  const train: Train = {
    move() {
      if (moving) {
        again = true
        return
      }
      moving = train
        .step()
        .catch(onFault)
        .finally(() => {
          moving = undefined
          if (!again) return
          again = false
          train.move()
        })
    },
    async close() {
      closed.abort()
      pulls?.close()
      await moving
      await Promise.all(testing)
      await leavePlace()
    },
    async step() {
      await tidyFormer()
      for (let more = true; more && term() !== undefined && !ended.aborted; ) {
        more = false
        const facts = await readFunction<TrainFacts>(ctx, 'train', ctx.repo, runId, repository.target)
        if (facts.entries.length === 0) break
        await pulls?.refresh()
        const target = await commitOf(repository.commonDir, `refs/heads/${repository.target}`)
        if (target === undefined) break
        const targetTree = await treeOf(repository.commonDir, target)
        const rows = facts.entries.map(normalized)
        if (verdicts.get(targetTree) === 'green') unproven = false
        const state = { entries: rows, target, targetTree, busy, verdicts }
        const actions = pulls
          ? planPulls({ ...state, entries: rows, window: widest, due: pulls.due(rows), unproven })
          : planTrain({ ...state, window })
        for (const action of actions) {
          if (await carryOut(action, facts, target, targetTree)) {
            more = true
            break
          }
        }
      }
      if (busy.size === 0 && !testingBase) await leavePlace()
    },
  }
  return train
}

/** An entry that was sent back to the queue has no head, whatever its row still says. */
function normalized(entry: TrainFacts['entries'][number]): TrainFacts['entries'][number] {
  return entry.status === 'queued' ? { ...entry, base: null, head: null, tree: null, tries: 0 } : entry
}
