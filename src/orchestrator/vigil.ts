import { SwarmError } from '../contract/errors.ts'

/** Away for so long, a database is given up, where the configuration does not say otherwise. */
const AWAY_MS = 600_000
/** What does not mend by itself (dropped, no right to connect, no schema) is given up sooner. */
const FINAL_MS = 60_000

/** What one process has heard of its database. When that is too long ago, nothing that it does makes sense any more. */
export interface Vigil {
  /** The database has answered. */
  heard(): void
  /** Something has failed; counts only when it was the database that did not answer. */
  failed(error: unknown): void
  /** Aborted when the database is given up. */
  readonly lost: AbortSignal
  /** Why; undefined while there is hope. */
  error(): SwarmError | undefined
}

/** Begins now. `goOn`: the request that goes on when the database is back. */
export function createVigil(awayMs: number | undefined, goOn: () => { cmd: string; resume?: string }): Vigil {
  const most = awayMs ?? AWAY_MS
  const given = new AbortController()
  let last = performance.now()
  let why: SwarmError | undefined
  return {
    lost: given.signal,
    error: () => why,
    heard() {
      last = performance.now()
    },
    failed(error) {
      if (why || !isAway(error)) return
      const bound = error.retryable ? most : Math.min(most, FINAL_MS)
      const away = performance.now() - last
      if (away < bound) return
      why = new SwarmError(
        'DEPENDENCY',
        `the database has not answered for ${Math.round(away / 1_000)} s and is given up: ${error.message}. Sessions were ended, their work is kept in the worktrees`,
        { ctx: error.ctx, retryable: false, fix: goOn() },
      )
      given.abort()
    },
  }
}

/** True for an error that says that the database has not done what it was asked. */
export function isAway(error: unknown): error is SwarmError {
  return error instanceof SwarmError && error.code !== 'BUSY' && 'database' in error.ctx
}
