import type { CommandContext } from '../contract/command.ts'
import type { WriteCall } from '../contract/context.ts'
import type { JsonObject } from '../contract/json.ts'
import { senderOf } from './sender.ts'

/** The append of one request, to travel alone or with its neighbours. */
export function appendCall(ctx: CommandContext, cmd: string, args: object): WriteCall {
  return {
    cmd,
    repo: ctx.repo,
    // a parsed input holds JSON only; its absent keys are undefined and are not written
    args: args as JsonObject,
    proc: { holder: ctx.holder, ...senderOf(ctx) },
    key: ctx.key,
    ...(ctx.rid === undefined ? {} : { rid: ctx.rid }),
  }
}
