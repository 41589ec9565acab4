import { Client } from './client.ts'
import { OWN_PATH } from './driver-options.ts'
import { Failure } from './failure.ts'
import { Gate } from './semaphore.ts'
import type { ConnectTarget, EmbeddedAddress } from './target.ts'
import { type ConnectOptions, parseUrl } from './url.ts'

export interface PoolOptions {
  readonly connectTimeoutMs: number
  readonly max: number
  readonly applicationName: string
}

/** Without a query for this long, the connections are closed. */
const IDLE_MS = 60_000

/** The connections of one process to one database: one client at a time, replaced when it has shown a fault. */
export class Pool {
  readonly options: Omit<PoolOptions, 'connectTimeoutMs'>
  /** For each attempt to connect, in ms. A change counts for the clients that are made from then on. */
  connectTimeoutMs: number
  readonly #open: () => Promise<ConnectTarget>
  readonly #gate: Gate
  #opening: Promise<ConnectTarget> | undefined
  #target: ConnectTarget | undefined
  #connect: ConnectOptions | undefined
  #client: Client | undefined
  #made = 0
  #checked = false
  #idle: NodeJS.Timeout | undefined
  #starting: Promise<void> | undefined
  /** Once true, nothing is worth another attempt. */
  closed = false
  /** True while the last thing known of the server is that it answered. */
  up = false

  constructor(target: ConnectTarget | (() => Promise<ConnectTarget>), options: PoolOptions) {
    this.options = options
    this.connectTimeoutMs = options.connectTimeoutMs
    this.#open = typeof target === 'function' ? target : () => Promise.resolve(target)
    this.#gate = new Gate(Math.max(2, options.max))
  }

  /** What messages call this database; never with its password. */
  get shown(): string {
    return this.#connect?.shown ?? 'the database'
  }

  /** True when a password of the environment was not used, since the URL stood in a file. */
  get withheld(): boolean {
    return this.#connect?.withheld ?? false
  }

  get hosts(): number {
    return this.#connect?.targetSessionAttrs ? this.#connect.hosts.length : 1
  }

  /** Runs `work` on a connection of its own. Throws what it throws; a `Failure` may have retired the client. */
  async run<T>(deadlineAt: number, work: (client: Client) => Promise<T>): Promise<T> {
    await this.#gate.enter(deadlineAt)
    try {
      await this.#checkPath(deadlineAt)
      const value = await work(this.#current(await this.connectOptions()))
      this.up = true
      return value
    } finally {
      this.#gate.leave()
      this.#idle?.refresh()
    }
  }

  /** How this database is reached. Throws INVALID when its URL cannot be used, and what finding it out throws. */
  async connectOptions(): Promise<ConnectOptions> {
    if (this.#connect) return this.#connect
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined
    })
    this.#target = await this.#opening
    this.#connect =
      this.#target.kind === 'url' ? parseUrl(this.#target.url, this.#target) : embeddedOptions(this.#target)
    return this.#connect
  }

  /** Starts the embedded server; false when the server is not ours to start. Concurrent calls share one start. */
  async start(): Promise<boolean> {
    const target = this.#target
    if (target?.kind !== 'embedded') return false
    this.#starting ??= target
      .ensure()
      .then((address) => {
        // it may have come up in another place
        if (address) this.#connect = embeddedOptions(address)
        this.up = true
      })
      .finally(() => {
        this.#starting = undefined
      })
    await this.#starting
    return true
  }

  /** From now on without named prepared statements, which a pooler before this database does not keep. */
  withoutPrepared(): void {
    if (!this.#connect?.prepare) return
    this.#connect = { ...this.#connect, prepare: false }
    this.#client?.retire()
  }

  /** From now on each transaction sets its own search_path: a pooler before this database does not take it at start-up. */
  withoutStartupPath(): void {
    if (!this.#connect?.startupPath) return
    this.#connect = { ...this.#connect, startupPath: false }
    this.#client?.retire()
  }

  close(): void {
    this.closed = true
    clearTimeout(this.#idle)
    this.#client?.destroy()
    this.#client = undefined
  }

  /** Once for a pool: a pooler may also take the search_path and not pass it on. The embedded server has none before it. */
  async #checkPath(deadlineAt: number): Promise<void> {
    const connect = await this.connectOptions()
    if (this.#checked || !connect.startupPath || this.#target?.kind === 'embedded') return
    try {
      const statement = "select pg_catalog.current_setting('search_path') as path"
      const [row] = await this.#current(connect).call(statement, [], deadlineAt - performance.now())
      this.#checked = true
      if (row?.path !== OWN_PATH) this.withoutStartupPath()
    } catch (error) {
      throw error instanceof Failure ? error.undone() : error
    }
  }

  #current(connect: ConnectOptions): Client {
    if (this.closed) throw new Failure('away', 'CONNECTION_ENDED', 'the database has been closed', false)
    if (this.#client && !this.#client.retired) return this.#client
    const first = this.#made % connect.hosts.length
    this.#made += 1
    this.#client = new Client({
      ...this.options,
      connectTimeoutMs: this.connectTimeoutMs,
      max: Math.max(2, this.options.max),
      // another server first: the last one was not what was asked for
      connect: { ...connect, hosts: [...connect.hosts.slice(first), ...connect.hosts.slice(0, first)] },
    })
    clearTimeout(this.#idle)
    this.#idle = setTimeout(() => this.#closeIdle(), IDLE_MS).unref()
    return this.#client
  }

  #closeIdle(): void {
    if (this.#gate.empty) this.#client?.retire()
    else this.#idle?.refresh()
  }
}

function embeddedOptions({ host, port, user, database }: EmbeddedAddress): ConnectOptions {
  return {
    hosts: [{ host, port }],
    user,
    database,
    password: undefined,
    tls: { mode: 'disable', direct: false },
    prepare: true,
    pooled: false,
    startupPath: true,
    applicationName: undefined,
    startupOptions: undefined,
    targetSessionAttrs: undefined,
    withheld: false,
    shown: 'the embedded server',
  }
}
