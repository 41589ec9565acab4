import type { Client } from './client.ts'
import { Failure } from './failure.ts'
import type { Pool } from './pool.ts'

export interface RetryOptions {
  /** Milliseconds for all attempts together; the start of an embedded server does not count. */
  readonly timeoutMs: number
  /** Whether it may be sent again when it is not known whether it has been done: reads, and writes under an operation key. */
  readonly resend: boolean
  /** From 0 to 1, for the jitter. */
  readonly random: () => number
}

/** The last of all attempts failed. */
export class Stopped extends Error {
  readonly failure: Failure
  /** True when an attempt may have been done. */
  readonly unknown: boolean

  constructor(failure: Failure, unknown: boolean) {
    super(failure.message, { cause: failure })
    this.failure = failure
    this.unknown = unknown
  }
}

const SHORTEST_PAUSE_MS = 10
const LONGEST_PAUSE_MS = 200

/**
 * Runs `attempt` until it succeeds, fails for good or runs out of time; `contended` tells it that an earlier one was undone by contention. Then throws `Stopped`, or what is no `Failure` as it is.
 *
 * A connection that died, and contention, are tried again up to the deadline. A server that was there a moment ago, starts up or
 * has no connection free gets the connect timeout to come back; one that never answered is away at once. What may have been
 * done is asked for up to the deadline, since its outcome is owed.
 */
export async function retry<T>(
  pool: Pool,
  { timeoutMs, resend, random }: RetryOptions,
  attempt: (client: Client, leftMs: number, contended: boolean) => Promise<T>,
): Promise<T> {
  // may start the embedded server
  await pool.connectOptions()
  let startedAt = performance.now()
  let unknown = false
  let ensured = false
  let contended = false
  for (let tries = 1; ; tries += 1) {
    const deadlineAt = startedAt + timeoutMs
    try {
      return await pool.run(deadlineAt, (client) =>
        attempt(client, deadlineAt - performance.now(), contended),
      )
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      contended ||= error.kind === 'contention'
      unknown = unknown ? mayStillBeDone(error) : !error.rolledBack
      if (unknown && !resend) throw new Stopped(error, true)
      if (error.kind === 'unprepared') pool.withoutPrepared()
      if (error.kind === 'startup') pool.withoutStartupPath()
      if (isAbsentServer(error) && !ensured) {
        ensured = true
        const from = performance.now()
        if (await pool.start()) {
          startedAt += performance.now() - from
          continue
        }
      }
      const patienceAt = startedAt + Math.min(timeoutMs, patienceMs(error, unknown, tries, pool))
      const pauseMs =
        Math.min(SHORTEST_PAUSE_MS * 2 ** Math.min(tries - 1, 8), LONGEST_PAUSE_MS) * (0.5 + random() / 2)
      if (performance.now() + pauseMs >= patienceAt) {
        if (error.kind === 'away') pool.up = false
        throw new Stopped(error, unknown)
      }
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
    }
  }
}

/** After an attempt with an unknown outcome, an answer of the server about the same key settles it, but not a lock it waited for. */
function mayStillBeDone(error: Failure): boolean {
  return error.breaksClient || error.kind === 'contention' || error.kind === 'cancelled'
}

function isAbsentServer(error: Failure): boolean {
  return error.kind === 'away' && (error.code === 'ENOENT' || error.code === 'ECONNREFUSED')
}

/** How long, from the start, this failure is worth another attempt; Infinity for the whole deadline. */
function patienceMs(error: Failure, unknown: boolean, tries: number, pool: Pool): number {
  if (pool.closed) return 0
  switch (error.kind) {
    case 'lost':
    case 'contention':
      return Number.POSITIVE_INFINITY
    case 'unprepared':
    case 'startup':
      return tries < 3 ? Number.POSITIVE_INFINITY : 0
    case 'starting':
    case 'full':
      return unknown ? Number.POSITIVE_INFINITY : pool.connectTimeoutMs
    case 'away':
      if (unknown) return Number.POSITIVE_INFINITY
      return pool.up || tries < pool.hosts ? pool.connectTimeoutMs : 0
    default:
      return 0
  }
}
