import type { Reply, Rid } from '../contract/envelope.ts'
import type { SwarmError } from '../contract/errors.ts'
import { faultIn } from './encode.ts'
import type { Accepted, Handler } from './handler.ts'

/**
 * A handler that keeps its promise never to throw: what it throws all the same is handed to `onFault` and answered
 * INTERNAL, so that no request can end a session.
 */
export function guard<A extends Accepted>(
  handler: Handler<A>,
  onFault: (fault: unknown) => void = () => {},
): Handler<A> {
  const refuse = (error: SwarmError, rid?: Rid): Reply => {
    try {
      return handler.refuse(error, rid)
    } catch (fault) {
      onFault(fault)
      return failure(error, rid)
    }
  }

  async function attempt<T>(work: () => Promise<T>, otherwise: () => T): Promise<T> {
    try {
      return await work()
    } catch (fault) {
      onFault(fault)
      return otherwise()
    }
  }

  const broken = (rid: Rid | undefined) => refuse(faultIn('the answer'), rid)

  return {
    refuse,
    accept: (raw) =>
      attempt<A | Reply>(
        () => handler.accept(raw),
        () => broken(undefined),
      ),
    run: (request, emit, signal) =>
      attempt(
        () => handler.run(request, emit, signal),
        () => broken(request.rid),
      ),
    async runAppends(requests) {
      const replies = await attempt(
        () => handler.runAppends(requests),
        () => [],
      )
      return requests.map((request, at) => replies[at] ?? broken(request.rid))
    },
  }
}

function failure(error: SwarmError, rid: Rid | undefined): Reply {
  return { ok: false, ...(rid === undefined ? {} : { rid }), t: Date.now(), ms: 0, error }
}
