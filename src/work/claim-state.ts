import type { CommandContext } from '../contract/command.ts'
import { readFunction } from '../runtime/read.ts'

/** One attempt of one stage under one claim. */
export interface Attempt {
  readonly agent_id: number
  readonly bead_id: string
  readonly fence: number
  /** The row of the attempt: a stage that is started again has another one under the same number. */
  readonly attempt_id: number
}

/**
 * `held`; `moved`: held, but at another attempt, since whoever speaks for the agent completed this one or started the stage
 * again; `ended`: this one was completed or released so, and with it the claim; `lost`: taken over, expired or cancelled.
 */
export type ClaimState = 'held' | 'moved' | 'ended' | 'lost'

/** How the claim stands under which an attempt was begun. */
export function claimState(ctx: CommandContext, of: Attempt): Promise<ClaimState> {
  const { agent_id, bead_id, fence, attempt_id } = of
  return readFunction(ctx, 'claim_state', ctx.repo, agent_id, bead_id, fence, attempt_id)
}
