import postgres from 'postgres'
import type { Param } from '../contract/context.ts'
import { Connector } from './connector.ts'
import { type ClientOptions, driverOptions } from './driver-options.ts'
import { Failure } from './failure.ts'
import { type Queryable, type Row, unsafe } from './queryable.ts'
import { toFailure } from './sqlstate.ts'
import { Transaction } from './transaction.ts'

/** How long the others in flight may go on when one of them has shown that the client cannot be trusted. */
const RETIRE_GRACE_MS = 1_000
const CLOSE_GRACE_MS = 1_000

/**
 * One client of the driver, made to be thrown away: after any connection error the driver's state cannot be trusted, so the
 * client is retired and the pool makes another. Every query has a deadline of ours. The caller must not have more queries under
 * way than `max`: the driver's own queue can wedge, and its `begin` fails there. Throws `Failure` only.
 */
export class Client implements Queryable {
  readonly #connector: Connector
  readonly #sql: postgres.Sql
  readonly #prepare: boolean
  readonly #startupPath: boolean
  #busy = 0
  #retired = false
  #backendPid: number | undefined
  #destroyed = false

  constructor(options: ClientOptions) {
    this.#connector = new Connector(options.connect, options.connectTimeoutMs, options.max)
    this.#prepare = options.connect.prepare
    this.#startupPath = options.connect.startupPath
    this.#sql = postgres(driverOptions(options, this.#connector))
    this.#connector.prepare()
  }

  get retired(): boolean {
    return this.#retired
  }

  /** The process id that the server, or a pooler before it, gave for the connection used last. */
  get backendPid(): number | undefined {
    return this.#backendPid
  }

  query(statement: string, params: readonly Param[], timeoutMs: number): Promise<readonly Row[]> {
    if (this.#startupPath) return this.call(statement, params, timeoutMs)
    return this.begin((transaction) => transaction.query(statement, params, timeoutMs), timeoutMs)
  }

  call(statement: string, params: readonly Param[], timeoutMs: number): Promise<readonly Row[]> {
    return this.#track(async () => {
      const query = unsafe(this.#sql, statement, params, this.#prepare)
      const rows = await this.#bounded(query, timeoutMs)
      this.#backendPid = backendOf(query)?.pid
      return rows
    })
  }

  async script(statements: string, timeoutMs: number): Promise<void> {
    await this.#track(() => this.#bounded(this.#sql.unsafe(statements), timeoutMs))
  }

  /**
   * Runs `work` in a transaction and bounds it: `timeoutMs` for the whole of it here, the same for each statement on the server,
   * and the server ends it when this process stops talking. When the connection dies while COMMIT is under way, the failure
   * says `sent`; before that nothing has been done. What `work` throws itself is rolled back and rethrown.
   */
  begin<T>(work: (transaction: Transaction) => Promise<T>, timeoutMs: number): Promise<T> {
    return this.#track(async () => {
      const deadline = performance.now() + timeoutMs
      let committing = false
      let done: { readonly value: T } | undefined
      let thrown: { readonly error: unknown } | undefined
      const transaction = new Transaction(this.#prepare, (query, ms) => {
        return this.#bounded(query, Math.min(ms, deadline - performance.now()))
      })
      const run = this.#sql.begin(async (sql) => {
        try {
          await transaction.open(sql, timeoutMs)
          done = { value: await work(transaction) }
          committing = true
        } catch (error) {
          thrown = { error }
          throw error
        }
      })
      try {
        await this.#bounded(run, timeoutMs)
      } catch (error) {
        const { failure: first } = transaction
        // `work` may have made an error of its own of what another attempt can mend, or gone on in spite of it
        if (first && (first.passing || !thrown)) throw first
        if (thrown) throw thrown.error
        const failure = toFailure(error, true)
        throw committing ? failure : failure.undone()
      }
      if (!done) throw new Failure('other', 'NO_RESULT', 'the transaction ended without a result', true)
      return done.value
    })
  }

  /** Takes no new work; ends when what is under way has ended, at the latest after a second. */
  retire(): void {
    if (this.#retired) return
    this.#retired = true
    if (this.#busy === 0) this.destroy()
    else setTimeout(() => this.destroy(), RETIRE_GRACE_MS).unref()
  }

  /** Says goodbye to the server and fails whatever is under way. Does not keep the process running. */
  destroy(): void {
    if (this.#destroyed) return
    this.#retired = true
    this.#destroyed = true
    this.#sql.end({ timeout: 0 }).catch(() => {})
    this.#connector.keepAlive(false)
    setTimeout(() => this.#connector.destroy(), CLOSE_GRACE_MS).unref()
  }

  async #track<T>(work: () => Promise<T>): Promise<T> {
    this.#busy += 1
    this.#connector.keepAlive(true)
    try {
      return await work()
    } finally {
      this.#busy -= 1
      if (this.#busy === 0) {
        this.#connector.keepAlive(false)
        if (this.#retired) this.destroy()
      }
    }
  }

  #bounded<T>(query: PromiseLike<T>, timeoutMs: number): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => {
          const backend = backendOf(query)
          if (backend) this.#connector.cancel(backend.pid, backend.secret)
          this.retire()
          reject(new Failure('deadline', 'DEADLINE', 'no answer before the deadline', wasSent(query)))
        },
        Math.max(0, timeoutMs),
      )
      query.then(
        (value) => {
          clearTimeout(timer)
          this.#connector.answered()
          resolve(value)
        },
        (error: unknown) => {
          clearTimeout(timer)
          const failure = toFailure(error, wasSent(query))
          if (failure.breaksClient) this.retire()
          reject(failure)
        },
      )
    })
  }
}

/** True once the driver has given the statement to a connection. */
function wasSent(query: object): boolean {
  return !('state' in query) || query.state !== null
}

function backendOf(query: object): { pid: number; secret: number } | undefined {
  const state: unknown = 'state' in query ? query.state : undefined
  if (typeof state !== 'object' || state === null || !('pid' in state) || !('secret' in state))
    return undefined
  const { pid, secret } = state
  return typeof pid === 'number' && typeof secret === 'number' ? { pid, secret } : undefined
}
