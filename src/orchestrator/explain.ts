import type * as z from 'zod'
import type { CommandContext } from '../contract/command.ts'
import type { eventRow } from '../contract/events.ts'
import type { runRow, sessionRow } from '../contract/run-rows.ts'
import { decide } from '../core/decide.ts'
import { readFunction } from '../runtime/read.ts'
import { rulesOf } from './settings.ts'
import { readSnapshot } from './tick.ts'

interface Facts {
  readonly bead_id: string
  readonly status: string
  readonly stage: string
  readonly open_blockers: number
  readonly feedback: string | null
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
  const { open_blockers, feedback, run_id, run_open, not_for, ...facts } = await readFunction<Facts>(
    ctx,
    'explain_json',
    ctx.repo,
    subject,
  )
  const { status, stage, bead_id } = facts
  const told = (waits_for: string, why: string) => ({ ...facts, waits_for, why })
  if (status === 'completed' || status === 'cancelled' || status === 'in_progress') return facts
  if (status === 'blocked' || status === 'failed')
    return told(`a person: ${feedback ?? 'it was blocked'}`, 'blocked')
  if (status === 'deferred') return told('a person: it is deferred', 'deferred')
  if (open_blockers > 0) return told(`${open_blockers} other beads that have not landed`, 'blockers')
  if ((run_id === null || !run_open) && not_for !== undefined)
    return told(`another agent than ${not_for}, whose work ${stage} checks`, 'independent')
  if (run_id === null || !run_open) return told('a run: nobody has started one for it', 'run')
  if (stage === 'land') return told('the landing train', 'landing')
  const snapshot = await readSnapshot(ctx, run_id)
  const { waiting } = decide(
    snapshot,
    rulesOf(ctx.root?.config ?? {}, facts.run?.agents ?? {}, facts.run?.adapter),
  )
  const own = waiting.find((one) => one.bead_id === bead_id)
  return own ? told(own.detail, own.why) : told('the next tick of the leader', 'next')
}
