import type { Emit, Reply, Rid } from '../contract/envelope.ts'
import type { SwarmError } from '../contract/errors.ts'
import type { JsonObject } from '../contract/json.ts'

/** A request that has been parsed: its verb exists and its fields are right. Opaque but for how it must be run. */
export interface Accepted {
  readonly rid: Rid | undefined
  /** Runs beside the others and is answered when it happens. Needs a `rid`. */
  readonly waits: boolean
  /** May travel with its neighbours in one statement. */
  readonly appends: boolean
}

/** What a session does with its lines. Implemented over the commands; a test may implement it over anything. */
export interface Handler<A extends Accepted = Accepted> {
  /** Parses a request; never throws. A refused request comes back as its reply. */
  accept(raw: JsonObject): Promise<A | Reply>
  /** Runs one request; never throws. What it emits comes before its reply. Once `signal` aborts, it waits for nothing more. */
  run(request: A, emit: Emit, signal?: AbortSignal): Promise<Reply>
  /** Runs appends together; one reply each, in order; never throws. */
  runAppends(requests: readonly A[]): Promise<readonly Reply[]>
  /** The reply to a line that is no request: not JSON, too long, not an object. */
  refuse(error: SwarmError, rid?: Rid): Reply
}
