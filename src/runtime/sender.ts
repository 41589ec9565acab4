import type { CommandContext } from '../contract/command.ts'
import type { JsonObject } from '../contract/json.ts'
import { callerOf } from './caller.ts'

/**
 * What every write adds of who sends it: whose operation keys these are, and, under a token, that a claim of another process is written to with
 * its fence only.
 */
export function senderOf(ctx: CommandContext): JsonObject {
  if (ctx.principal) return { principal: ctx.principal.id, fenced: true }
  const caller = callerOf(ctx)
  return caller === undefined ? {} : { caller }
}
