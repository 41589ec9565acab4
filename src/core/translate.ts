import type { Action, Waiting } from './actions.ts'
import type { Rules, Translation } from './rules.ts'
import type { BeadTraits, ReadyBead, Snapshot, StageFacts } from './snapshot.ts'

/** The first rule that matches; undefined when none does. */
export function translationOf(
  bead: BeadTraits,
  translations: readonly Translation[] = [],
): Translation | undefined {
  let letters: readonly string[] | undefined
  // taken apart once, however many rules look at it
  const title = () => {
    letters ??= lettersOf(bead.title)
    return letters
  }
  return translations.find(({ match }) => matches(match, bead, title))
}

/** True when the bead is all that the match asks for. */
export function matches(
  { types, labels, priority, title }: Translation['match'],
  bead: BeadTraits,
  letters: () => readonly string[] = () => lettersOf(bead.title),
): boolean {
  const rank = Number(bead.priority.slice(1))
  return (
    (types === undefined || types.includes(bead.bead_type)) &&
    (labels === undefined || labels.every((one) => bead.labels.includes(one))) &&
    (priority === undefined || (rank >= priority.from && rank <= priority.to)) &&
    (title === undefined || globMatches(title, letters()))
  )
}

/** A text as patterns see it: characters without capitals. */
export function lettersOf(text: string): readonly string[] {
  return [...text.toLowerCase()]
}

/**
 * Whether a pattern is the whole of a text: `*` stands for any characters, `?` for one; capitals do not matter. It goes back to the last star
 * only, so that it takes at most as many steps as the lengths multiplied, whoever wrote the text.
 */
export function globMatches(pattern: string, have: readonly string[]): boolean {
  const want = lettersOf(pattern)
  let at = 0
  let here = 0
  let star = -1
  let from = 0
  while (here < have.length) {
    if (want[at] === '*') {
      star = at++
      from = here
    } else if (at < want.length && (want[at] === '?' || want[at] === have[here])) {
      at++
      here++
    } else if (star >= 0) {
      at = star + 1
      here = ++from
    } else return false
  }
  while (want[at] === '*') at++
  return at === want.length
}

/** How people call a rule. */
export function ruleName({ number, name }: Pick<Translation, 'number' | 'name'>): string {
  return name === undefined ? `rule ${number}` : `rule ${number} (${name})`
}

/** A ready bead with the rule that is for it. */
export interface Translated {
  readonly bead: ReadyBead
  readonly rule: Translation | undefined
  /** True when this look gives it its workflow. */
  readonly moved: boolean
}

/**
 * Gives the ready beads that have not begun, and for which nobody has named a workflow, the one of their rule. A rule whose workflow is not
 * there holds its beads up: they would go through another one, perhaps without its gates.
 */
export function translate(
  { ready, stages }: Snapshot,
  { translations }: Rules,
): { readonly beads: readonly Translated[]; readonly actions: Action[]; readonly waiting: Waiting[] } {
  const beads: Translated[] = []
  const actions: Action[] = []
  const waiting: Waiting[] = []
  for (const bead of ready) {
    const rule = translationOf(bead, translations)
    const workflow = rule?.workflow
    // a person may have put one that nobody has held at a later stage
    const fresh = bead.unbegun === true && bead.stage === firstStage(bead.workflow, stages)
    if (!rule || workflow === undefined || !fresh || workflow === bead.workflow) {
      beads.push({ bead, rule, moved: false })
      continue
    }
    const stage = firstStage(workflow, stages)
    if (stage === undefined) {
      const detail = `${ruleName(rule)} gives it the workflow ${workflow}, which is not there`
      waiting.push({ bead_id: bead.bead_id, why: 'rule', detail })
      continue
    }
    const reason = `${ruleName(rule)} gives it the workflow ${workflow}`
    actions.push({ kind: 'translate', bead_id: bead.bead_id, workflow, rule: rule.number, reason })
    beads.push({ bead: { ...bead, workflow, stage, implementer: null }, rule, moved: true })
  }
  return { beads, actions, waiting }
}

function firstStage(workflow: string, stages: readonly StageFacts[]): string | undefined {
  const own = stages.filter((one) => one.workflow === workflow)
  return own.reduce<StageFacts | undefined>(
    (first, one) => (first && first.position <= one.position ? first : one),
    undefined,
  )?.stage
}

/** What a bead may use up; absent: no limit. */
export interface BeadBudget {
  readonly usd: number | undefined
  readonly tokens: number | undefined
}

/** The budget of a bead: that of its rule, else that of all. */
export function budgetOf(
  bead: BeadTraits | undefined,
  { budgets, translations }: Pick<Rules, 'budgets' | 'translations'>,
): BeadBudget {
  const rule = bead && translationOf(bead, translations)
  return {
    usd: rule?.budget_usd ?? budgets.bead_usd,
    tokens: rule?.budget_tokens ?? budgets.bead_tokens,
  }
}
