import type { Emit, Reply, Rid } from '../contract/envelope.ts'
import type { Json, JsonObject } from '../contract/json.ts'
import { toSwarmError } from './faults.ts'
import type { Prepared } from './prepare.ts'

/** Makes envelopes of the lines that a request emits. */
export function emitter(
  request: Prepared,
  emit: Emit,
  started: number,
): (lines: readonly Json[]) => Promise<void> {
  return (lines) =>
    emit(
      lines.map((d) => ({
        ok: true,
        ...(request.rid === undefined ? {} : { rid: request.rid }),
        ...times(started),
        d,
        more: true,
      })),
    )
}

/** Unix milliseconds, and whole milliseconds since `started` of `performance.now()`. */
export function times(started: number): { t: number; ms: number } {
  return { t: Date.now(), ms: Math.round(performance.now() - started) }
}

/** The refusal of a request; `started` of `performance.now()`. */
export function failure(error: unknown, rid: Rid | undefined, started: number): Reply {
  return { ok: false, ...(rid === undefined ? {} : { rid }), ...times(started), error: toSwarmError(error) }
}

/** The rid of a request that could not be parsed, where it has a valid one. */
export function ridOf(raw: JsonObject): Rid | undefined {
  const { rid } = raw
  if (typeof rid === 'string') return rid.length <= 256 ? rid : undefined
  return Number.isSafeInteger(rid) ? Number(rid) : undefined
}
