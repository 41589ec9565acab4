import type { Database, Param, WriteCall, WriteReply } from '../contract/context.ts'
import { explain } from './explain.ts'
import type { Listener } from './listener.ts'
import { Notifier } from './notifier.ts'
import { Pool } from './pool.ts'
import { retry, Stopped } from './retry.ts'
import type { ConnectTarget, UrlTarget } from './target.ts'
import { TransactionDatabase } from './transaction-database.ts'
import { parseUrl } from './url.ts'
import { appendCalls, groupCalls, runAndWake, runCall } from './writes.ts'

export type { Listener, ListenerState } from './listener.ts'
export type { ConnectTarget, EmbeddedAddress, EmbeddedTarget, UrlTarget } from './target.ts'
export { maskSecrets, maskUrl } from './url.ts'

export interface DatabaseOptions {
  /** For each connection attempt, in ms. */
  readonly connectTimeoutMs: number
  /** For each request to the database with all its attempts, in ms; 30,000 by default. */
  readonly statementTimeoutMs?: number
  /** For a script, in ms; 120,000 by default. */
  readonly scriptTimeoutMs?: number
  /** Connections at most, 2 or more; 4 by default. They are made on demand and closed when idle. */
  readonly max?: number
  /** Where to LISTEN when the database is behind a pooler in transaction mode. */
  readonly listen?: UrlTarget
  /** Random id of this process; it names the connections. */
  readonly holder: string
  readonly onWarn?: (message: string) => void
  /** From 0 to 1, for the jitter of pauses. */
  readonly random?: () => number
}

export interface TransactionOptions {
  /**
   * True when `work` begins by taking an operation key, so that it may run again after a COMMIT whose outcome is unknown.
   * Otherwise that is an error with `ctx.outcome: "unknown"`.
   */
  readonly keyed?: boolean
}

/** A database with its connections. Nothing is connected before the first request. */
export interface OpenDatabase extends Database {
  /**
   * Runs `work` in one transaction; any throw rolls everything back. `work` runs again when the connection died, or others held
   * the rows, before COMMIT: it must not keep what an earlier run did outside the database.
   */
  transaction<T>(
    work: (db: Database, attempt: { readonly contended: boolean }) => Promise<T>,
    options?: TransactionOptions,
  ): Promise<T>
  /** Wakes those who wait for a change of this repo: throttled, after the reply, in another statement. Writes do it by themselves. */
  notify(repo: string): void
  /** How long each attempt to connect may take from now on, in ms. */
  connectWithin(ms: number): void
  /** The listening connection of this process, shared; made on first use. */
  listener(): Promise<Listener>
  /** Sends a pending notification, then ends every connection. */
  close(): Promise<void>
}

const NOTIFY =
  "select pg_catalog.pg_notify('swarm', repo) from pg_catalog.json_array_elements_text($1::pg_catalog.text::pg_catalog.json) as changed(repo)"
/** For so long after contention, transactions are told of it from the start. */
const CONTENDED_MS = 10_000
const NOTIFY_TIMEOUT_MS = 2_000
const FLUSH_TIMEOUT_MS = 1_000

/** Opens a database; `target` may be found out when it is first needed. */
export function openDatabase(
  target: ConnectTarget | (() => Promise<ConnectTarget>),
  options: DatabaseOptions,
): OpenDatabase {
  return new PooledDatabase(target, options)
}

class PooledDatabase implements OpenDatabase {
  readonly #options: DatabaseOptions
  readonly #pool: Pool
  readonly #timeoutMs: number
  readonly #random: () => number
  readonly #notifier: Notifier
  #listener: Promise<Listener> | undefined
  #listening: Listener | undefined
  /** When contention undid a transaction last, of `performance.now()`. */
  #contendedAt = Number.NEGATIVE_INFINITY

  constructor(target: ConnectTarget | (() => Promise<ConnectTarget>), options: DatabaseOptions) {
    this.#options = options
    this.#timeoutMs = options.statementTimeoutMs ?? 30_000
    this.#random = options.random ?? Math.random
    this.#pool = new Pool(target, {
      connectTimeoutMs: options.connectTimeoutMs,
      max: options.max ?? 4,
      applicationName: `swarm ${options.holder}`,
    })
    this.#notifier = new Notifier((repos) => this.#sendNotifications(repos))
  }

  async write(call: WriteCall): Promise<WriteReply> {
    // only the first attempt: what became of it is asked with the plain write
    let wakes = this.#notifier.takeTurn()
    let attempts = 0
    const { reply, woke } = await retry(this.#pool, this.#rules(true), async (client, leftMs) => {
      attempts += 1
      const along = wakes
      wakes = false
      if (along) return runAndWake(client, call, leftMs)
      return { reply: await runCall(client, call, leftMs), woke: false }
    }).catch((error: unknown) => this.#fail(error, call))
    if (woke) this.#listening?.wake(call.repo)
    // the reply to a later attempt may be that of the first, which told nobody
    else if (reply.changed || attempts > 1) this.notify(call.repo)
    return reply
  }

  async append(calls: readonly WriteCall[]): Promise<readonly PromiseSettledResult<WriteReply>[]> {
    const results: PromiseSettledResult<WriteReply>[] = []
    for (const group of groupCalls(calls)) results.push(...(await this.#appendGroup(group)))
    return results
  }

  async read<Row>(
    statement: string,
    params: readonly Param[] = [],
    { timeoutMs = this.#timeoutMs }: { readonly timeoutMs?: number } = {},
  ): Promise<Row[]> {
    const rows = await retry(this.#pool, { ...this.#rules(true), timeoutMs }, (client, leftMs) => {
      return client.query(statement, params, leftMs)
    }).catch((error: unknown) => {
      // a read has no outcome to be unknown
      return this.#fail(error instanceof Stopped ? new Stopped(error.failure, false) : error)
    })
    // the caller wrote the statement and names the shape of its rows
    return [...rows] as Row[]
  }

  async transaction<T>(
    work: (db: Database, attempt: { readonly contended: boolean }) => Promise<T>,
    { keyed = false }: TransactionOptions = {},
  ): Promise<T> {
    let changed = new Set<string>()
    const value = await retry(this.#pool, this.#rules(keyed), (client, leftMs, undone) => {
      if (undone) this.#contendedAt = performance.now()
      // the next ones would most likely be undone too, each after the server's deadlock timeout
      const contended = performance.now() - this.#contendedAt < CONTENDED_MS
      changed = new Set()
      const shared = { shown: this.#pool.shown, timeoutMs: leftMs, changed }
      return client.begin(
        (transaction) => work(new TransactionDatabase({ ...shared, transaction }), { contended }),
        leftMs,
      )
    }).catch((error: unknown) => this.#fail(error))
    for (const repo of changed) this.notify(repo)
    return value
  }

  script(sql: string): Promise<void> {
    const rules = { ...this.#rules(false), timeoutMs: this.#options.scriptTimeoutMs ?? 120_000 }
    const attempt = retry(this.#pool, rules, (client, leftMs) => client.script(sql, leftMs))
    return attempt.catch((error: unknown) => this.#fail(error))
  }

  notify(repo: string): void {
    this.#listening?.wake(repo)
    this.#notifier.notify(repo)
  }

  async waitForChange(repo: string | null, timeoutMs: number, signal: AbortSignal): Promise<void> {
    const [listener, { waitForWake }] = await Promise.all([this.listener(), import('./waiting.ts')])
    await waitForWake(listener, repo, timeoutMs, signal)
  }

  listener(): Promise<Listener> {
    this.#listener ??= this.#makeListener().catch((error: unknown) => {
      this.#listener = undefined
      throw error
    })
    return this.#listener
  }

  connectWithin(ms: number): void {
    this.#pool.connectTimeoutMs = ms
  }

  async close(): Promise<void> {
    await this.#notifier.flush(FLUSH_TIMEOUT_MS)
    this.#listening?.close()
    this.#pool.close()
  }

  async #makeListener(): Promise<Listener> {
    const { listen, connectTimeoutMs, holder, onWarn } = this.#options
    const { Listener: Listening } = await import('./listener.ts')
    this.#listening = new Listening({
      connect: listen === undefined ? await this.#pool.connectOptions() : parseUrl(listen.url, listen),
      connectTimeoutMs,
      holder,
      probe: async (channel) => {
        await this.#pool.run(performance.now() + connectTimeoutMs, (client) => {
          return client.call("select pg_catalog.pg_notify($1, 'probe')", [channel], connectTimeoutMs)
        })
      },
      onWarn: onWarn ?? (() => {}),
      random: this.#random,
    })
    return this.#listening
  }

  async #appendGroup(calls: readonly WriteCall[]): Promise<readonly PromiseSettledResult<WriteReply>[]> {
    if (calls.length === 1) return Promise.allSettled(calls.map((call) => this.write(call)))
    try {
      const results = await retry(this.#pool, this.#rules(true), (client, leftMs) =>
        appendCalls(client, calls, leftMs),
      )
      // a group that was replayed or refused as a whole wakes for nothing, and is rare
      for (const repo of new Set(calls.map((call) => call.repo))) this.notify(repo)
      return results
    } catch (error) {
      // the statement raised for all because of one: each on its own
      if (error instanceof Stopped && error.failure.kind === 'other' && !error.unknown)
        return this.#oneByOne(calls)
      return Promise.allSettled(calls.map((call) => this.#fail(error, call)))
    }
  }

  async #oneByOne(calls: readonly WriteCall[]): Promise<PromiseSettledResult<WriteReply>[]> {
    const results: PromiseSettledResult<WriteReply>[] = []
    for (const call of calls) {
      const [result] = await Promise.allSettled([this.write(call)])
      results.push(result)
    }
    return results
  }

  async #sendNotifications(repos: readonly string[]): Promise<void> {
    await this.#pool.run(performance.now() + NOTIFY_TIMEOUT_MS, (client) => {
      return client.call(NOTIFY, [JSON.stringify(repos)], NOTIFY_TIMEOUT_MS)
    })
  }

  #rules(resend: boolean) {
    return { timeoutMs: this.#timeoutMs, resend, random: this.#random }
  }

  async #fail(error: unknown, call?: WriteCall): Promise<never> {
    if (!(error instanceof Stopped)) throw error
    throw explain(error.failure, {
      shown: this.#pool.shown,
      withheld: this.#pool.withheld,
      unknown: error.unknown,
      call,
    })
  }
}
