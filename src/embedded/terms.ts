/** The major version of Postgres that the embedded server is. A data directory of another one is refused. */
export const EMBEDDED_MAJOR = 18
/** Database and superuser of the embedded server. */
export const EMBEDDED_DATABASE = 'swarm'
export const EMBEDDED_USER = 'swarm'
/** Without a client's activity for this long the server stops, unless configured. */
export const IDLE_STOP_MS = 30 * 60_000

/** How to reach an embedded server. There is no password: only its own user and root can enter the socket directory. */
export interface EmbeddedServer {
  /** Directory of the Unix socket; what a driver takes as `host`. */
  readonly socketDir: string
  readonly port: number
  readonly user: string
  readonly database: string
  readonly dataDir: string
  /** Process id of the postmaster. Null when it is known not to run: call `ensureEmbedded`. */
  readonly pid: number | null
  /** The same as a URL, its host percent-encoded. */
  readonly url: string
}

export interface EnsureOptions {
  /** Milliseconds without a client's activity after which the server stops; 0 for never, 30 minutes by default. */
  readonly idleStopMs?: number | undefined
  /** Told what is being done, one line at a time. */
  readonly log?: ((line: string) => void) | undefined
  /**
   * Command and arguments of the keeper, which must end up in `runKeeper()` and have `swarmDir` among its arguments. By default
   * `bin/swarm self:keeper <swarmDir>`, and none when this code does not run from the bundle; null for none.
   */
  readonly keeper?: readonly [string, readonly string[]] | null | undefined
}

export interface KeeperOptions {
  /** Milliseconds between two looks at the server; once a minute, or more often when it may stop sooner. */
  readonly tickMs?: number | undefined
}
