/** What went wrong with one attempt, in the terms that decide what happens next. */
export type FailureKind =
  /** The connection died. What was sent may have been done. */
  | 'lost'
  /** No connection could be made. Nothing was sent. */
  | 'away'
  /** The server starts up, shuts down or recovers. */
  | 'starting'
  /** Too many connections. */
  | 'full'
  /** Deadlock, lock timeout or serialization failure: rolled back, may be sent again. */
  | 'contention'
  /** Our own deadline has passed. */
  | 'deadline'
  /** The server ended the statement: its own timeout, or somebody cancelled it. Rolled back. */
  | 'cancelled'
  /** User, password or rights were refused. */
  | 'denied'
  /** The schema is not there, or older than this program. */
  | 'schema'
  /** There is no such database. */
  | 'absent'
  /** The server only reads: a standby. */
  | 'readonly'
  /** Disk or memory ran out there. */
  | 'exhausted'
  /** A pooler has lost a prepared statement; nothing was run. */
  | 'unprepared'
  /** A pooler takes no search_path at start-up; nothing was run. */
  | 'startup'
  /** TLS could not be agreed on. */
  | 'tls'
  | 'other'

/** One attempt that failed. Internal to the client; `explain` makes the SwarmError of it. */
export class Failure extends Error {
  override readonly name = 'Failure'
  readonly kind: FailureKind
  /** SQLSTATE, or the code of the system or the driver. */
  readonly code: string
  /** True when the statement may have reached the server. */
  readonly sent: boolean

  constructor(kind: FailureKind, code: string, message: string, sent: boolean, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.kind = kind
    this.code = code
    this.sent = sent
  }

  /** True when the connection can no longer be trusted, nor its neighbours. */
  get breaksClient(): boolean {
    return BREAKING.has(this.kind)
  }

  /** True when the same may succeed in another attempt. */
  get passing(): boolean {
    return PASSING.has(this.kind)
  }

  /** The same failure of something that has been undone since. */
  undone(): Failure {
    return new Failure(this.kind, this.code, this.message, false, this.cause)
  }

  /** True when nothing has been changed, whatever was sent. */
  get rolledBack(): boolean {
    return !this.sent || (this.kind !== 'lost' && this.kind !== 'deadline')
  }
}

const BREAKING: ReadonlySet<FailureKind> = new Set([
  'lost',
  'unprepared',
  'startup',
  'away',
  'starting',
  'full',
  'deadline',
  'tls',
  'readonly',
])
const PASSING: ReadonlySet<FailureKind> = new Set([
  'lost',
  'away',
  'starting',
  'full',
  'contention',
  'unprepared',
  'startup',
])
