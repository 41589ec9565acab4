import type { Rid } from '../contract/envelope.ts'
import { SwarmError } from '../contract/errors.ts'
import type { JsonObject } from '../contract/json.ts'
import { sendable } from './fix.ts'

/** The requests of a session that are waiting, by `rid`. */
export interface OpenWaits {
  /** Why a request that waits cannot be started now; `undefined` when it can. */
  refusal(request: JsonObject, rid: Rid | undefined): SwarmError | undefined
  /** Keeps `rid` taken until `work` settles. `work` must not reject. */
  start(rid: Rid, work: () => Promise<void>): void
  /** Resolves when no request waits any more. */
  settled(): Promise<void>
}

/** Makes the table of open waits; `limit` of them may be open at once. */
export function createWaits(limit: number): OpenWaits {
  const open = new Map<Rid, Promise<void>>()

  function free(rid: Rid | undefined): Rid {
    if (typeof rid === 'number') return Math.max(...[...open.keys()].filter(isNumber), 0) + 1
    const stem = rid === undefined ? 'w' : `${rid.slice(0, 240)}-`
    let count = rid === undefined ? 1 : 2
    while (open.has(`${stem}${count}`)) count += 1
    return `${stem}${count}`
  }

  return {
    refusal(request, rid) {
      if (rid === undefined) {
        return new SwarmError('INVALID', 'a request that waits needs a rid', {
          ctx: { kind: 'MissingField', field: 'rid', expected: 'text or an integer', got: 'nothing' },
          ...sendable({ ...request, rid: free(rid) }),
        })
      }
      if (open.has(rid)) {
        return new SwarmError(
          'INVALID',
          `rid ${JSON.stringify(rid)} is taken by a request that still waits`,
          {
            ctx: { kind: 'InvalidValue', field: 'rid', expected: 'a rid that is not open', got: rid },
            ...sendable({ ...request, rid: free(rid) }),
          },
        )
      }
      if (open.size < limit) return undefined
      return new SwarmError('BUSY', `${limit} requests wait already; send it again when one was answered`, {
        ctx: { open: open.size, limit },
        ...sendable(request),
      })
    },
    start(rid, work) {
      open.set(
        rid,
        work().finally(() => open.delete(rid)),
      )
    },
    async settled() {
      while (open.size > 0) await Promise.all(open.values())
    },
  }
}

function isNumber(rid: Rid): rid is number {
  return typeof rid === 'number'
}
