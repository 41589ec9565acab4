import type { Catalog, CommandContext, Effect } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import { isJsonObject, type JsonObject } from '../contract/json.ts'
import { callerOf } from './caller.ts'
import { toSwarmError } from './faults.ts'
import { prepare } from './prepare.ts'
import { loadCommand } from './verbs.ts'

/** What a part does; throws like the part itself when there is no such verb. */
export async function effectOf(catalog: Catalog, op: JsonObject): Promise<Effect> {
  return (await loadCommand(catalog, op)).effect
}

/** What deciding about parts needs of the batch. */
export type Parts = Pick<CommandContext, 'catalog' | 'env' | 'principal'>

/** Refuses parts that cannot be parts, before any of them runs. `fix` is the batch without what was in the way. */
export async function checkParts(ctx: Parts, ops: readonly JsonObject[], atomic: boolean): Promise<void> {
  for (const [at, op] of ops.entries()) {
    const refusal = await refusalOf(ctx, op)
    if (!refusal) continue
    const { field, msg, instead } = refusal
    const rest = [...ops.slice(0, at), ...instead, ...ops.slice(at + 1)].map(here)
    const itself =
      op.cmd === 'batch' ? { cmd: 'describe', verb: 'batch' } : { ...here(op), cmd: String(op.cmd) }
    const { shown } = await import('../repair/wording.ts')
    throw new SwarmError('INVALID', `op ${at}: ${msg}`, {
      ctx: {
        kind: 'InvalidValue',
        field: `ops[${at}].${field}`,
        got: shown(field, op[field] ?? null),
        op: at,
      },
      fix: rest.length > 0 ? { cmd: 'batch', ops: rest, ...(atomic ? {} : { atomic }) } : itself,
    })
  }
}

interface Refusal {
  readonly field: string
  readonly msg: string
  /** What could stand in its place. */
  readonly instead: readonly JsonObject[]
}

async function refusalOf(ctx: Parts, op: JsonObject): Promise<Refusal | undefined> {
  // an unknown verb is refused when its turn comes, with its own error
  const command = await loadCommand(ctx.catalog, op).catch(() => undefined)
  if (command?.name === 'batch') {
    const inner = Array.isArray(op.ops) ? op.ops.filter(isJsonObject) : []
    return { field: 'cmd', msg: 'a batch cannot hold a batch; put its ops here', instead: inner }
  }
  const alone = {
    field: 'cmd',
    msg: `${command?.name} cannot be part of a batch; send it by itself`,
    instead: [],
  }
  if (command && (command.effect === 'local' || command.alone)) return alone
  const elsewhere = ELSEWHERE.find((name) => op[name] !== undefined)
  if (elsewhere) {
    return {
      field: elsewhere,
      msg: 'a batch goes to one database; name it in the batch',
      instead: [here(op)],
    }
  }
  if (!(await waits(ctx, op))) return undefined
  for (const name of Object.keys(op)) {
    const { [name]: _, ...now } = op
    if (name !== 'cmd' && (await waits(ctx, now)) === false) {
      return { field: name, msg: 'a part of a batch cannot wait', instead: [now] }
    }
  }
  return alone
}

/** Whether a part would wait; undefined when it is refused anyway, with its own error when its turn comes. */
async function waits(ctx: Parts, op: JsonObject): Promise<boolean | undefined> {
  const agent_id = callerOf(ctx)
  return prepare(ctx.catalog, op, () => (agent_id === undefined ? {} : { agent_id })).then(
    (prepared) => prepared.waits,
    () => undefined,
  )
}

/** Fields that say where the database is. */
const ELSEWHERE = ['database_url', 'connect_timeout_ms'] as const

/** A part without what would send it to another database. */
function here(op: JsonObject): JsonObject {
  const { database_url: _, connect_timeout_ms: __, ...rest } = op
  return rest
}

/**
 * The error of one part of a transaction as the error of the whole. A corrected part is put in its place; what may be sent again is
 * the whole, under its operation key; another request stands as it is.
 */
export function wholeError(thrown: unknown, at: number, ops: readonly JsonObject[], key: string): SwarmError {
  const error = toSwarmError(thrown)
  const { fix, area } = error
  const cmd = String(ops[at]?.cmd ?? '').slice(0, 64)
  const isSame = fix === undefined || fix.cmd === cmd
  const corrected = fix && (isSame || (error.code === 'INVALID' && area === 'request'))
  return new SwarmError(error.code, `op ${at}${cmd ? ` (${cmd})` : ''}: ${error.message}`, {
    area,
    ctx: { ...error.ctx, op: at },
    ...(error.retryable && isSame
      ? { fix: { cmd: 'batch', ops, idem: key } }
      : corrected
        ? { fix: { cmd: 'batch', ops: ops.map((op, n) => (n === at ? fix : op)) } }
        : fix
          ? { fix }
          : {}),
    retryable: error.retryable,
    cause: error,
  })
}

/** The error of the transaction itself: the same batch may be sent again under its key. */
export function endError(thrown: unknown, ops: readonly JsonObject[], key: string): unknown {
  if (!(thrown instanceof SwarmError) || thrown.fix || thrown.ctx.op !== undefined) return thrown
  return thrown.with({ fix: { cmd: 'batch', ops, idem: key } })
}
