import type { CommandContext } from '../contract/command.ts'
import { type FixRequest, SwarmError } from '../contract/errors.ts'
import type { JsonObject } from '../contract/json.ts'
import { senderOf } from './sender.ts'

/**
 * A write whose arguments are not those of the request: `swarm.do_<cmd>` under the request's operation key, or one made of it. Where
 * the database client says "send the same again", `request` is what to send.
 */
export async function writePart<D>(
  ctx: CommandContext,
  cmd: string,
  args: object,
  request: FixRequest,
  part: { readonly repo?: string; readonly key?: string; readonly proc?: JsonObject } = {},
): Promise<D> {
  const key = part.key ?? ctx.key
  try {
    const reply = await ctx.db.write({
      cmd,
      repo: part.repo ?? ctx.repo,
      // the callers' arguments are plain data; absent keys are undefined and are not written
      args: args as JsonObject,
      proc: { holder: ctx.holder, ...senderOf(ctx), ...part.proc },
      key,
      ...(ctx.rid === undefined ? {} : { rid: ctx.rid }),
    })
    if (reply.replayed) ctx.replayed()
    // the shape is that of the database function, checked against the output schema by the tests
    return reply.d as D
  } catch (error) {
    if (!(error instanceof SwarmError) || error.fix?.idem !== key) throw error
    throw error.with({ fix: { ...request, idem: ctx.key } })
  }
}
