import { isJsonObject } from '../contract/json.ts'
import { TESTS_PER_TREE, type TrainAction, type TrainEntry, type TrainState } from './train.ts'

/** A bead that lands by a pull request, as its row says. */
export interface PullEntry extends TrainEntry {
  /** The address of its pull request; null before one was opened. */
  readonly pr_url: string | null
}

export interface PullState extends Omit<TrainState, 'entries'> {
  readonly entries: readonly PullEntry[]
  /** Entries whose pull request is to be looked at now: the time for it has come. */
  readonly due: ReadonlySet<number>
  /** A bead was merged, and the tree of the target branch with it is one that nobody has tested. */
  readonly unproven: boolean
}

export type PullAction =
  | TrainAction
  /** Ask how its pull request stands; push and open where that is to be done. */
  | { readonly kind: 'attend'; readonly entry: PullEntry }

/**
 * What is to be done next for beads that land by pull requests. Each stands on the target branch by itself, since others decide which is
 * merged first: nothing is speculated. At most `window` are tested at once; any number may wait to be merged. One whose base has moved is
 * built and tested again, so that what is merged is what was tested. A pull request is asked for before anything else is done with its bead:
 * it may have been merged.
 */
export function planPulls(state: PullState): readonly PullAction[] {
  const { entries, target, targetTree, window, busy, verdicts, due, unproven } = state
  const actions: PullAction[] = []
  const base = verdicts.get(targetTree)
  // what was merged counts when its tree has passed: nothing goes on before
  if (unproven && base !== 'green') return [{ kind: base === 'red' ? 'pause' : 'test_base' }]
  let tested = entries.filter(({ id }) => busy.has(id)).length
  for (const entry of entries) {
    if (busy.has(entry.id)) continue
    const isGreen = entry.status === 'green'
    if (due.has(entry.id) && (isGreen || entry.pr_url !== null)) {
      actions.push({ kind: 'attend', entry })
      continue
    }
    const isBuilt = entry.status !== 'queued' && entry.head !== null && entry.tree !== null
    if (isBuilt && entry.base !== target) {
      actions.push({ kind: 'requeue', entry })
      continue
    }
    if (isGreen || tested >= window) continue
    if (!isBuilt) {
      actions.push({ kind: 'build', entry, onto: target, speculative: false })
      tested += 1
      continue
    }
    const verdict = verdicts.get(entry.tree)
    if (verdict === 'green') actions.push({ kind: 'mark_green', entry })
    else if (verdict === 'red' && entry.tries >= TESTS_PER_TREE) {
      if (base === 'green') actions.push({ kind: 'eject', entry })
      else if (base === 'red') return [{ kind: 'pause' }]
      else actions.push({ kind: 'test_base' })
    } else {
      actions.push({ kind: 'test', entry })
      tested += 1
    }
  }
  return actions
}

/** How a pull request stands, as a forge tells it. */
export interface PullStanding {
  readonly state: 'none' | 'open' | 'merged' | 'closed'
  readonly url?: string
  /** The last commit of its branch. */
  readonly head?: string
  /** The commit by which it came to the target branch. */
  readonly mergeCommit?: string
  /** For whoever goes on with a bead whose pull request was closed. */
  readonly feedback?: string
}

const WORDS: Readonly<Record<string, PullStanding['state']>> = {
  none: 'none',
  open: 'open',
  opened: 'open',
  draft: 'open',
  locked: 'open',
  merged: 'merged',
  closed: 'closed',
  declined: 'closed',
}
const URL_CHARS = 500
const FEEDBACK_CHARS = 4_000

/**
 * Reads what a state command has printed: a JSON object, a list of them, or one word. Of a list the open one counts, else the one that is
 * known (`url`), else that of the commit `head`: others of the same branch are of earlier attempts. Those of forks are nobody's here: a fork may
 * call its branch as it likes. Undefined when it cannot be understood.
 */
export function readStanding(
  output: string,
  head: string | null,
  url: string | null,
): PullStanding | undefined {
  const text = output.trim()
  const word = WORDS[text.toLowerCase()]
  if (word) return { state: word }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!Array.isArray(value)) return standingOf(value)
  const all = value.filter((one) => !isOfFork(one)).map(standingOf)
  if (all.some((one) => one === undefined)) return undefined
  const known = all.filter((one) => one !== undefined)
  return (
    known.find(({ state }) => state === 'open') ??
    known.find((one) => url !== null && one.url === url) ??
    known.find((one) => head !== null && one.head === head) ?? { state: 'none' }
  )
}

function standingOf(value: unknown): PullStanding | undefined {
  if (!isJsonObject(value)) return undefined
  const { state, url, headRefOid, mergeCommit, feedback } = value
  const known = typeof state === 'string' ? WORDS[state.toLowerCase()] : undefined
  if (!known) return undefined
  const commit = isJsonObject(mergeCommit) ? mergeCommit.oid : mergeCommit
  const address = typeof url === 'string' ? addressOf(url) : undefined
  return {
    state: known,
    ...(address === undefined ? {} : { url: address }),
    ...(isCommit(headRefOid) ? { head: headRefOid } : {}),
    ...(isCommit(commit) ? { mergeCommit: commit } : {}),
    ...(typeof feedback === 'string' && feedback !== ''
      ? { feedback: feedback.slice(0, FEEDBACK_CHARS) }
      : {}),
  }
}

const isOfFork = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  'isCrossRepository' in value &&
  value.isCrossRepository === true

const isCommit = (value: unknown): value is string =>
  typeof value === 'string' && /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(value)

/** The address that a command has printed last; undefined when there is none in one word. */
export function addressOf(output: string): string | undefined {
  const last = output.trim().split('\n').at(-1)?.trim() ?? ''
  return last !== '' && last.length <= URL_CHARS && /^[\x21-\x7e]+$/.test(last) ? last : undefined
}

/** Replaces `{name}` in the words of a command; each word stays one word, and what is put in is not looked at again. */
export function fillWords(
  words: readonly string[],
  values: Readonly<Record<string, string>>,
): readonly string[] {
  return words.map((word) =>
    word.replace(/\{([a-z]+)\}/g, (all, name: string) =>
      Object.hasOwn(values, name) ? (values[name] ?? all) : all,
    ),
  )
}

/** A title in one line, bounded. */
export function pullTitle(beadId: string, title: string): string {
  const line = title.replace(/[\p{C}\s]+/gu, ' ').trim()
  return `${line === '' ? beadId : line}`.slice(0, 200)
}

/** The text of a pull request. What a bead says is data of others: in a block in which a forge follows no mention and no keyword. */
export function pullBody(of: {
  readonly beadId: string
  readonly description: string
  readonly head: string
  readonly tree: string
  readonly gates: readonly string[]
}): string {
  const { beadId, description, head, tree, gates } = of
  const runs = description.match(/`+/g)?.map(({ length }) => length) ?? []
  const fence = '`'.repeat(Math.max(3, ...runs.map((length) => length + 1)))
  const said = description.trim() === '' ? [] : [`${fence}text`, description.trim(), fence, '']
  return [
    `Bead \`${beadId.replaceAll('`', "'")}\``,
    '',
    ...said,
    gates.length === 0
      ? `Commit ${head}: no gate was due.`
      : `Tested by swarm on commit ${head}, tree ${tree}: ${gates.join(', ')}.`,
    '',
  ].join('\n')
}

/** Ms until a pull request is asked for again: `first`, twice as long each time that nothing has changed, at most ten times `first`. */
export function nextPoll(first: number, unchanged: number): number {
  return Math.min(first * 10, first * 2 ** Math.min(unchanged, 10))
}
