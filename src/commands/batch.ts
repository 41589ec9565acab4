import * as z from 'zod'
import { type CommandContext, defineCommand } from '../contract/command.ts'
import type { Database, Holdings } from '../contract/context.ts'
import type { SwarmError } from '../contract/errors.ts'
import { isJsonObject, type Json, type JsonObject } from '../contract/json.ts'
import { type BatchOperation, beginBatch, endBatch, noting } from '../runtime/batch-operation.ts'
import { checkParts, effectOf, endError, wholeError } from '../runtime/batch-parts.ts'
import { toSwarmError } from '../runtime/faults.ts'
import { overlayHoldings } from '../runtime/holdings.ts'

const input = z.strictObject({
  ops: z
    .array(z.record(z.string(), z.json()).meta({ required: ['cmd'] }))
    .min(1)
    .max(100)
    .describe('requests, each with its own cmd, in order'),
  atomic: z.boolean().default(true).describe('all or nothing; false lets each stand alone'),
})

const result = z.object({
  ok: z.boolean(),
  d: z.json().optional(),
  err: z.object({ code: z.string(), msg: z.string(), ctx: z.json().optional() }).optional(),
  fix: z.string().optional(),
})
type Result = z.output<typeof result>

const output = z.object({
  results: z.array(result).describe('one for each request, in order'),
  failed: z.int().describe('how many did not succeed; always 0 when atomic'),
})
type Output = z.output<typeof output>

export default defineCommand({
  name: 'batch',
  group: 'other',
  summary: 'several requests in one transaction, or one after the other with atomic false',
  input,
  output,
  effect: 'write',
  // each part needs its own
  role: 'observer',
  errors: ['NOTFOUND', 'CONFLICT', 'EXISTS', 'BUSY'],
  examples: [
    {
      in: {
        cmd: 'batch',
        ops: [
          { cmd: 'register', count: 1 },
          { cmd: 'enqueue', beads: [{ bead_id: 'api', title: 'Write the API' }] },
          { cmd: 'claim-next', agent_id: 1 },
        ],
      },
      out: {
        results: [
          { ok: true, d: { agent_ids: [1] } },
          { ok: true, d: { bead_ids: ['api'], added: 1 } },
          { ok: true, d: { bead: { bead_id: 'api' }, fence: 1 } },
        ],
        failed: 0,
      },
    },
    {
      in: { cmd: 'batch', atomic: false, ops: [{ cmd: 'show', bead_id: 'nowhere' }, { cmd: 'status' }] },
      out: { results: [{ ok: false, err: { code: 'NOTFOUND' } }, { ok: true }], failed: 1 },
    },
  ],
  async run(ctx, { ops, atomic }) {
    await checkParts(ctx, ops, atomic)
    const operation = { ctx, args: { ops, atomic } }
    return atomic ? together(operation, ops) : apart(operation, ops)
  },
  async dry(ctx, { ops, atomic }) {
    await checkParts(ctx, ops, atomic)
    const would: string[] = []
    for (const [at, op] of ops.entries()) {
      try {
        if ((await effectOf(ctx.catalog, op)) !== 'read')
          would.push(...changesOf(await ctx.execute({ ...op, dry: true })))
      } catch (error) {
        throw wholeError(error, at, ops, ctx.key)
      }
    }
    return would
  },
})

/**
 * In one transaction: the first that fails undoes the others and is the answer. The batch and each part have the same operation
 * keys however often the transaction runs, so it may run again when the outcome of its end is unknown.
 */
async function together(operation: BatchOperation, ops: readonly JsonObject[]): Promise<Output> {
  const { ctx } = operation
  let holdings = overlayHoldings(ctx.holdings)
  let replayed = false
  const work = async (db: Database, { contended }: { readonly contended: boolean }): Promise<Output> => {
    holdings = overlayHoldings(ctx.holdings)
    const prior = await beginBatch<Output>(operation, db, contended)
    replayed = prior !== undefined
    if (prior) return prior
    let changed = false
    const inside = noting(db, () => {
      changed = true
    })
    const results: Result[] = []
    for (const [at, op] of ops.entries()) {
      const d = await part(ctx, op, at, { db: inside, holdings }).catch((error) => {
        throw wholeError(error, at, ops, ctx.key)
      })
      results.push({ ok: true, d: toJson(d) })
    }
    const output = { results, failed: 0 }
    await endBatch(operation, db, changed ? output : undefined)
    return output
  }
  const output = await ctx.db.transaction(work, { keyed: true }).catch((error) => {
    throw endError(error, ops, ctx.key)
  })
  holdings.commit()
  if (replayed) await takeUp(ctx, ops, output)
  return output
}

/** The reply is kept once all parts have been done; until then the same request does the rest. */
async function apart(operation: BatchOperation, ops: readonly JsonObject[]): Promise<Output> {
  const { ctx } = operation
  const prior = await beginBatch<Output>(operation, ctx.db, false)
  if (prior) {
    await takeUp(ctx, ops, prior)
    return prior
  }
  let changed = false
  const db = noting(ctx.db, () => {
    changed = true
  })
  const results: Result[] = []
  for (const [at, op] of ops.entries()) {
    results.push(
      await part(ctx, op, at, { db }).then(
        (d) => ({ ok: true, d: toJson(d) }),
        (error) => failed(ctx, toSwarmError(error)),
      ),
    )
  }
  const output = { results, failed: results.filter(({ ok }) => !ok).length }
  if (!changed) await endBatch(operation, ctx.db, undefined)
  else if (output.failed === 0) await endBatch(operation, ctx.db, output)
  return output
}

/** The claims of a batch whose reply came from an earlier send: this process holds them as it does after a replayed claim. */
async function takeUp(ctx: CommandContext, ops: readonly JsonObject[], { results }: Output): Promise<void> {
  for (const [at, op] of ops.entries()) {
    const d = results[at]?.d
    if (!isJsonObject(d) || !isJsonObject(d.bead) || typeof d.fence !== 'number') continue
    await part(ctx, op, at)
  }
}

function part(
  ctx: CommandContext,
  op: JsonObject,
  at: number,
  options: { readonly db?: Database; readonly holdings?: Holdings } = {},
): Promise<Json> {
  return ctx.execute(op, { ...options, key: `${ctx.key}/${at}` })
}

function failed(ctx: CommandContext, error: SwarmError): Result {
  const { code, message, fix } = error
  return {
    ok: false,
    err: {
      code,
      msg: message,
      ...(Object.keys(error.ctx).length > 0 ? { ctx: toJson(error.ctx) } : {}),
    },
    ...(fix ? { fix: ctx.render(fix) } : {}),
  }
}

/** Answers are JSON by their schemas; this says so to the compiler. */
function toJson(value: Json): z.output<ReturnType<typeof z.json>> {
  // safe: z.json() is every value that JSON can hold; an absent key and an undefined one are the same thing
  return value as z.output<ReturnType<typeof z.json>>
}

function changesOf(d: Json): string[] {
  return typeof d === 'object' && d !== null && 'would_do' in d && Array.isArray(d.would_do)
    ? d.would_do.map(String)
    : []
}
