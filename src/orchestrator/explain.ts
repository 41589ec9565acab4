import type * as z from 'zod'
import type { CommandContext } from '../contract/command.ts'
import type { eventRow } from '../contract/events.ts'
import type { RuleConfig } from '../contract/rules-config.ts'
import type { runRow, sessionRow } from '../contract/run-rows.ts'
import { decide } from '../core/decide.ts'
import type { Translation } from '../core/rules.ts'
import type { BeadTraits } from '../core/snapshot.ts'
import { translationOf } from '../core/translate.ts'
import { readFunction } from '../runtime/read.ts'
import { rulesOf } from './settings.ts'
import { readSnapshot } from './tick.ts'

interface Facts {
  readonly bead_id: string
  readonly status: string
  readonly stage: string
  readonly open_blockers: number
  readonly feedback: string | null
  readonly workflow: string
  readonly traits: BeadTraits
  /** The pull request by which it is to land. */
  readonly pr_url: string | null
  /** Why it does not go on by itself, if so. */
  readonly landing: string | null
  readonly run_id: string | null
  readonly run_open: boolean
  /** The agent whose work its stage checks, when it must be another one now. */
  readonly not_for?: number
  readonly run?: z.output<typeof runRow>
  readonly sessions: z.output<typeof sessionRow>[]
  readonly decisions: z.output<typeof eventRow>[]
}

/** Why a bead is where it is: facts, then what the leader would say of it now. Only reads. */
export async function explainBead(ctx: CommandContext, subject: string) {
  const { open_blockers, feedback, pr_url, landing, run_id, run_open, not_for, traits, ...rest } =
    await readFunction<Facts>(ctx, 'explain_json', ctx.repo, subject)
  const rules = rulesOf(ctx.root?.config ?? {}, rest.run?.agents ?? {}, rest.run?.adapter)
  const found = translationOf(traits, rules.translations)
  const facts = { ...rest, ...(found ? { rule: ruleShown(found, ctx.root?.config.rules) } : {}) }
  const { status, stage, bead_id } = facts
  const told = (waits_for: string, why: string) => ({ ...facts, waits_for, why })
  if (status === 'completed' || status === 'cancelled' || status === 'in_progress') return facts
  if (status === 'blocked' || status === 'failed')
    return told(`a person: ${feedback ?? 'it was blocked'}`, 'blocked')
  if (status === 'deferred') return told('a person: it is deferred', 'deferred')
  if (open_blockers > 0)
    return told(
      open_blockers === 1
        ? 'another bead that has not landed'
        : `${open_blockers} other beads that have not landed`,
      'blockers',
    )
  if ((run_id === null || !run_open) && not_for !== undefined)
    return told(`another agent than ${not_for}, whose work ${stage} checks`, 'independent')
  if (run_id === null || !run_open) return told('a run: nobody has started one for it', 'run')
  if (stage === 'land')
    return told(pr_url === null ? (landing ?? 'the landing train') : `pull request ${pr_url}`, 'landing')
  const snapshot = await readSnapshot(ctx, run_id)
  const { waiting } = decide(snapshot, rules)
  const own = waiting.find((one) => one.bead_id === bead_id)
  return own ? told(own.detail, own.why) : told('the next tick of the leader', 'next')
}

/** A rule as it is told: its number, and what it says besides its match. */
export function ruleShown({ number }: Pick<Translation, 'number'>, rules: readonly RuleConfig[] = []) {
  const { match: _match, ...said } = rules[number - 1] ?? {}
  return { number, ...said }
}
