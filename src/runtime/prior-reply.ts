import type { CommandContext } from '../contract/command.ts'
import type { JsonObject } from '../contract/json.ts'
import { refusalToError } from '../contract/refusal.ts'
import { auditable } from './auditable.ts'
import { senderOf } from './sender.ts'

/**
 * The reply that this request's operation key already has: a verb that runs a command must not run it again because the
 * request was sent again. The same key with another body is CONFLICT.
 */
export async function priorReply<D>(ctx: CommandContext, cmd: string, args: object): Promise<D | undefined> {
  const [row] = await ctx.db.read<{ reply: JsonObject | null }>(
    'select swarm.prior_reply($1, $2, $3::text::jsonb, $4::text::jsonb, $5) as reply',
    [ctx.repo, cmd, JSON.stringify(auditable(args)), JSON.stringify(senderOf(ctx)), ctx.key],
  )
  const reply = row?.reply
  if (!reply) return undefined
  if (reply.refused !== undefined) throw refusalToError(reply.refused)
  ctx.replayed()
  // the shape is that of the verb's own first reply
  return reply.d as D
}
