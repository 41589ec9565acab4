/** A bead on its way to the target branch, as its row says. */
export interface TrainEntry {
  readonly id: number
  readonly bead_id: string
  /** The commit that is to land. */
  readonly candidate: string
  readonly status: 'queued' | 'testing' | 'green'
  /** The commit that `head` was put on; null before it was built. */
  readonly base: string | null
  readonly head: string | null
  readonly tree: string | null
  /** How often its tree was tested and found red. */
  readonly tries: number
}

export interface TrainState {
  /** In the order in which they are to land. */
  readonly entries: readonly TrainEntry[]
  /** Where the target branch stands. */
  readonly target: string
  /** How many entries are built and tested at once. */
  readonly window: number
  /** Entries that are being built or tested right now. */
  readonly busy: ReadonlySet<number>
  /** What tests have said of trees. */
  readonly verdicts: ReadonlyMap<string, 'green' | 'red'>
  /** The tree of the target branch. */
  readonly targetTree: string
}

export type TrainAction =
  /** Put the candidate on top of `onto`. */
  | {
      readonly kind: 'build'
      readonly entry: TrainEntry
      readonly onto: string
      readonly speculative: boolean
    }
  /** Run the gates on its tree. */
  | { readonly kind: 'test'; readonly entry: TrainEntry }
  | { readonly kind: 'test_base' }
  /** What it stands on has gone: build it again. A running test of it is of no use. */
  | { readonly kind: 'requeue'; readonly entry: TrainEntry }
  | { readonly kind: 'mark_green'; readonly entry: TrainEntry }
  | { readonly kind: 'land'; readonly entry: TrainEntry }
  | { readonly kind: 'eject'; readonly entry: TrainEntry }
  /** The target branch itself is red: nobody is blamed. */
  | { readonly kind: 'pause' }

/** A red tree is tested once more before anybody is blamed: the first red may have been a flake. */
export const TESTS_PER_TREE = 2

/**
 * What the train does next. Each entry stands on the head of the one before it, the first on the target branch; so the tree that lands is
 * the tree that was tested. Red on a green base is the entry's own fault; red on a base that nobody has tested is not decided before the
 * base is.
 */
export function planTrain(state: TrainState): readonly TrainAction[] {
  const { entries, target, window, busy, verdicts, targetTree } = state
  const actions: TrainAction[] = []
  let onto = target
  let baseTree = targetTree
  for (const [at, entry] of entries.slice(0, window).entries()) {
    if (entry.status === 'queued' || entry.head === null || entry.tree === null) {
      if (!busy.has(entry.id)) actions.push({ kind: 'build', entry, onto, speculative: at > 0 })
      return actions
    }
    if (at === 0 && entry.status === 'green' && entry.head === target) {
      // it has landed, and its leader was killed before it could say so
      actions.push({ kind: 'land', entry })
      return actions
    }
    if (entry.base !== onto) {
      actions.push({ kind: 'requeue', entry })
      return actions
    }
    const verdict = entry.status === 'green' ? 'green' : verdicts.get(entry.tree)
    if (verdict === 'green') {
      if (entry.status !== 'green' && !busy.has(entry.id)) actions.push({ kind: 'mark_green', entry })
      else if (at === 0 && !busy.has(entry.id)) actions.push({ kind: 'land', entry })
    } else if (verdict === 'red' && entry.tries >= TESTS_PER_TREE) {
      const base = verdicts.get(baseTree)
      if (base === 'green') actions.push({ kind: 'eject', entry })
      else if (at === 0) actions.push(base === 'red' ? { kind: 'pause' } : { kind: 'test_base' })
      // what stands on a red tree is not worth testing
      return actions
    } else if (!busy.has(entry.id)) actions.push({ kind: 'test', entry })
    onto = entry.head
    baseTree = entry.tree
  }
  return actions
}

/** Entries at once before anything has landed. */
export function firstWindow(max: number): number {
  return Math.min(2, max)
}

/** Entries at once after a landing (one more, up to `max`) or an ejection (half, at least one). */
export function nextWindow(window: number, what: 'landed' | 'ejected', max: number): number {
  return what === 'landed' ? Math.min(max, window + 1) : Math.max(1, Math.floor(window / 2))
}
