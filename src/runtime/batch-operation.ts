import type { CommandContext } from '../contract/command.ts'
import type { Database } from '../contract/context.ts'
import type { JsonObject } from '../contract/json.ts'
import { refusalToError } from '../contract/refusal.ts'
import { maskTokens } from '../contract/token.ts'
import { senderOf } from './sender.ts'

/** The identity of a batch: its operation key, and all that it asks for. */
export interface BatchOperation {
  readonly ctx: CommandContext
  readonly args: JsonObject
}

/**
 * Takes the batch's key on `db`. Answers the `d` of its first send if that has ended; the same key with other parts is CONFLICT.
 * `alone`: after contention, no other atomic batch of the repo runs until this transaction has ended.
 */
export async function beginBatch<D>(
  { ctx, args }: BatchOperation,
  db: Database,
  alone: boolean,
): Promise<D | undefined> {
  const [row] = await db.read<{ prior: JsonObject | null }>(
    'select swarm.begin_batch($1, $2::text::jsonb, $3::text::jsonb, $4, $5::boolean) as prior',
    [ctx.repo, JSON.stringify(args), JSON.stringify(senderOf(ctx)), ctx.key, alone],
  )
  const prior = row?.prior
  if (!prior) return undefined
  if (prior.refused !== undefined) throw refusalToError(prior.refused)
  ctx.replayed()
  // the shape is that of the first reply
  return prior.d as D
}

/** Keeps the reply, without tokens that it shows, beside the key; with undefined the key is free again. */
export async function endBatch(
  { ctx, args }: BatchOperation,
  db: Database,
  d: JsonObject | undefined,
): Promise<void> {
  await db.read('select swarm.end_batch($1, $2::text::jsonb, $3::text::jsonb, $4, $5::text::jsonb)', [
    ctx.repo,
    JSON.stringify(args),
    JSON.stringify(senderOf(ctx)),
    ctx.key,
    d === undefined ? null : maskTokens(JSON.stringify(d)),
  ])
}

/** The same database; `note` is called once a write has changed something, now or at its first send. */
export function noting(db: Database, note: () => void): Database {
  return {
    async write(call) {
      const reply = await db.write(call)
      if (reply.changed || reply.replayed) note()
      return reply
    },
    async append(calls) {
      const settled = await db.append(calls)
      if (settled.some((each) => each.status === 'fulfilled')) note()
      return settled
    },
    read: (statement, params, options) => db.read(statement, params, options),
    transaction: (work, options) =>
      db.transaction((inner, attempt) => work(noting(inner, note), attempt), options),
    script: (sql) => db.script(sql),
    waitForChange: (repo, timeoutMs, signal) => db.waitForChange(repo, timeoutMs, signal),
  }
}
