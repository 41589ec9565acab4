import type { CommandContext } from '../contract/command.ts'
import type { Param } from '../contract/context.ts'
import { isJsonObject, type JsonObject } from '../contract/json.ts'
import { refusalToError } from '../contract/refusal.ts'

/** Calls a read function of schema.sql that answers one JSON value, or a refusal, which is thrown. */
export async function readFunction<D>(
  ctx: CommandContext,
  name: string,
  ...args: readonly (Param | JsonObject)[]
): Promise<D> {
  const places = args
    .map((arg, at) => (isJsonObject(arg) ? `$${at + 1}::text::jsonb` : `$${at + 1}`))
    .join(', ')
  const params = args.map((arg) => (isJsonObject(arg) ? JSON.stringify(arg) : arg))
  const [row] = await ctx.db.read<{ d: D }>(`select swarm.${name}(${places}) as d`, params)
  const d = row?.d
  if (typeof d === 'object' && d !== null && 'refused' in d) throw refusalToError(d.refused)
  // the shape is that of the database function, checked against the output schema by the tests
  return d as D
}
