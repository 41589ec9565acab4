import type { CommandContext } from '../contract/command.ts'
import { readFunction } from '../runtime/read.ts'

/** One attempt of one stage under one claim. */
export interface Attempt {
  readonly agent_id: number
  readonly bead_id: string
  readonly fence: number
  readonly stage: string
  readonly attempt: number
}

/**
 * `held`; `moved`: held, but at another attempt, since whoever speaks for the agent completed this one; `ended`: this one was
 * completed or released so, and with it the claim; `lost`: taken over, expired or cancelled.
 */
export type ClaimState = 'held' | 'moved' | 'ended' | 'lost'

/** How the claim stands under which an attempt was begun. */
export function claimState(ctx: CommandContext, of: Attempt): Promise<ClaimState> {
  const { agent_id, bead_id, fence, stage, attempt } = of
  return readFunction(ctx, 'claim_state', ctx.repo, agent_id, bead_id, fence, stage, attempt)
}
