import type { CommandContext } from '../contract/command.ts'
import { ownClaim } from '../runtime/holdings.ts'
import { readFunction } from '../runtime/read.ts'

/** A held bead with what is to be run for it: `swarm.held_work` in schema.sql. */
export interface HeldWork {
  readonly bead: { readonly bead_id: string; readonly title: string }
  readonly stage: string
  readonly attempt: number
  /** The row of the running attempt: a stage that is started again has another one under the same number. */
  readonly attempt_id: number
  readonly feedback?: string
  readonly fence: number
  readonly lease_ms: number
  /** The gate of the current stage. */
  readonly gate?: readonly string[]
  readonly timeout_ms?: number
  /** The gate of the workflow's stage `qa`. */
  readonly qa?: { readonly gate: readonly string[]; readonly timeout_ms: number }
}

/** What the agent holds; CONFLICT when it holds nothing, another bead, or under another fence. */
export function heldWork(
  ctx: CommandContext,
  claim: {
    readonly agent_id: number
    readonly bead_id?: string | undefined
    readonly fence?: number | undefined
  },
): Promise<HeldWork> {
  const own = ownClaim(ctx, claim.agent_id)
  const fence = claim.fence ?? (own && (claim.bead_id ?? own.bead_id) === own.bead_id ? own.fence : undefined)
  return readFunction(
    ctx,
    'held_work',
    ctx.repo,
    claim.agent_id,
    claim.bead_id ?? (fence === own?.fence ? own?.bead_id : undefined) ?? null,
    fence ?? null,
  )
}
