import * as z from 'zod'
import { type CommandContext, defineCommand } from '../contract/command.ts'
import type { Database, Holdings } from '../contract/context.ts'
import type { SwarmError } from '../contract/errors.ts'
import type { Json, JsonObject } from '../contract/json.ts'
import { checkParts, effectOf, endError, wholeError } from '../runtime/batch-parts.ts'
import { toSwarmError } from '../runtime/faults.ts'
import { overlayHoldings } from '../runtime/holdings.ts'

const input = z.strictObject({
  ops: z
    .array(z.record(z.string(), z.json()))
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

export default defineCommand({
  name: 'batch',
  group: 'other',
  summary: 'several requests in one transaction, or one after the other with atomic false',
  input,
  output: z.object({
    results: z.array(result).describe('one for each request, in order'),
    failed: z.int().describe('how many did not succeed; always 0 when atomic'),
  }),
  effect: 'write',
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
    await checkParts(ctx.catalog, ops, atomic)
    const results = atomic ? await together(ctx, ops) : await apart(ctx, ops)
    return { results, failed: results.filter(({ ok }) => !ok).length }
  },
  async dry(ctx, { ops, atomic }) {
    await checkParts(ctx.catalog, ops, atomic)
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
 * In one transaction: the first that fails undoes the others and is the answer. Each part has the same operation key however
 * often the transaction runs, so it may run again when the outcome of its end is unknown.
 */
async function together(ctx: CommandContext, ops: readonly JsonObject[]): Promise<Result[]> {
  let holdings = overlayHoldings(ctx.holdings)
  const work = async (db: Database): Promise<Result[]> => {
    holdings = overlayHoldings(ctx.holdings)
    const done: Result[] = []
    for (const [at, op] of ops.entries()) {
      const d = await part(ctx, op, at, { db, holdings }).catch((error) => {
        throw wholeError(error, at, ops, ctx.key)
      })
      done.push({ ok: true, d: toJson(d) })
    }
    return done
  }
  const results = await ctx.db.transaction(work, { keyed: true }).catch((error) => {
    throw endError(error, ops, ctx.key)
  })
  holdings.commit()
  return results
}

async function apart(ctx: CommandContext, ops: readonly JsonObject[]): Promise<Result[]> {
  const results: Result[] = []
  for (const [at, op] of ops.entries()) {
    results.push(
      await part(ctx, op, at).then(
        (d) => ({ ok: true, d: toJson(d) }),
        (error) => failed(ctx, toSwarmError(error)),
      ),
    )
  }
  return results
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
