import type { Param, WriteCall, WriteReply } from '../contract/context.ts'
import { SwarmError } from '../contract/errors.ts'
import { isJsonObject } from '../contract/json.ts'
import { refusalToError } from '../contract/refusal.ts'
import { Failure } from './failure.ts'
import type { Queryable, Row } from './queryable.ts'

const TEXT = 'pg_catalog.text'
const JSON_TEXT = 'pg_catalog.text::pg_catalog.jsonb'
const ARGUMENTS = `$1::${TEXT}, $2::${TEXT}, $3::${JSON_TEXT}, $4::${JSON_TEXT}, $5::${TEXT}, $6::${TEXT}`
const RUN = `select swarm.run(${ARGUMENTS}) as r`
const RUN_AND_WAKE = `call swarm.run_and_wake(${ARGUMENTS}, null)`
const APPEND = 'select swarm.append($1::pg_catalog.text::pg_catalog.jsonb) as r'
/** Appends in one statement (DESIGN section 4). */
const GROUP_SIZE = 64

/** Runs one write. A refusal of the database is thrown. */
export async function runCall(on: Queryable, call: WriteCall, timeoutMs: number): Promise<WriteReply> {
  const [row] = await on.call(RUN, paramsOf(call), timeoutMs)
  return toReply(row?.r)
}

/**
 * The same, and wakes those who wait for a change of the repo once it has been committed; `woke` says whether it did. What the server
 * raises may then have come after COMMIT: the write is sent again alone, under its key, which says what became of it.
 */
export async function runAndWake(
  on: Queryable,
  call: WriteCall,
  timeoutMs: number,
): Promise<{ readonly reply: WriteReply; readonly woke: boolean }> {
  const startedAt = performance.now()
  let row: Row | undefined
  try {
    ;[row] = await on.call(RUN_AND_WAKE, paramsOf(call), timeoutMs)
  } catch (error) {
    if (!(error instanceof Failure) || error.breaksClient) throw error
    const reply = await runCall(on, call, timeoutMs - (performance.now() - startedAt))
    return { reply: { ...reply, changed: true }, woke: false }
  }
  const reply = toReply(row?.r)
  return { reply, woke: reply.changed }
}

function paramsOf(call: WriteCall): readonly Param[] {
  const { repo, cmd, args, proc, key } = call
  return [repo, cmd, JSON.stringify(args), JSON.stringify(proc ?? {}), key, ridText(call)]
}

/** Runs a group of appends as one statement; a result for each, in order. No two of them may share repo and key. */
export async function appendCalls(
  on: Queryable,
  calls: readonly WriteCall[],
  timeoutMs: number,
): Promise<PromiseSettledResult<WriteReply>[]> {
  const items = calls.map((call) => ({ ...call, proc: call.proc ?? {}, rid: ridText(call) }))
  const [row] = await on.call(APPEND, [JSON.stringify(items)], timeoutMs)
  const replies: unknown = row?.r
  if (!Array.isArray(replies) || replies.length !== calls.length) throw unreadable()
  return replies.map(settle)
}

/** Cuts appends into groups that may each be one statement, keeping their order. */
export function groupCalls(calls: readonly WriteCall[]): WriteCall[][] {
  const groups: WriteCall[][] = []
  let keys = new Set<string>()
  for (const call of calls) {
    const key = JSON.stringify([call.repo, call.key])
    const group = groups.at(-1)
    if (group && group.length < GROUP_SIZE && !keys.has(key)) {
      group.push(call)
    } else {
      groups.push([call])
      keys = new Set()
    }
    keys.add(key)
  }
  return groups
}

function settle(value: unknown): PromiseSettledResult<WriteReply> {
  try {
    return { status: 'fulfilled', value: toReply(value) }
  } catch (reason) {
    return { status: 'rejected', reason }
  }
}

function toReply(value: unknown): WriteReply {
  if (!isJsonObject(value)) throw unreadable()
  if (value.refused !== undefined) throw refusalToError(value.refused)
  if (!isJsonObject(value.d)) throw unreadable()
  const replayed = value.replayed === true
  return { d: value.d, replayed, changed: !replayed && value.transient !== true }
}

function ridText({ rid }: WriteCall): string | null {
  return rid === undefined ? null : String(rid)
}

function unreadable(): SwarmError {
  return new SwarmError('INTERNAL', 'the database answered a write in a form this version does not know', {
    area: 'database',
    fix: { cmd: 'doctor' },
  })
}
