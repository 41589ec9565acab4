import type postgres from 'postgres'
import type { Param } from '../contract/context.ts'
import { OWN_PATH } from './driver-options.ts'
import { Failure } from './failure.ts'
import { type Queryable, type Row, unsafe } from './queryable.ts'
import { toFailure } from './sqlstate.ts'

type Bound = <T>(query: PromiseLike<T>, timeoutMs: number) => Promise<T>

/** The statements of one transaction. */
export class Transaction implements Queryable {
  readonly #prepare: boolean
  readonly #bound: Bound
  #sql: postgres.TransactionSql | undefined
  #failure: Failure | undefined

  constructor(prepare: boolean, bound: Bound) {
    this.#prepare = prepare
    this.#bound = bound
  }

  /** The first statement that failed; the transaction cannot commit after it. */
  get failure(): Failure | undefined {
    return this.#failure
  }

  /** Time-outs and a search_path that end with the transaction, so that they also pass a pooler. */
  async open(sql: postgres.TransactionSql, timeoutMs: number): Promise<void> {
    this.#sql = sql
    const ms = String(Math.max(1, Math.ceil(timeoutMs)))
    const bounds = `select pg_catalog.set_config('search_path', '${OWN_PATH}', true), pg_catalog.set_config('statement_timeout', $1, true),
      pg_catalog.set_config('idle_in_transaction_session_timeout', $1, true)`
    await this.query(bounds, [ms], timeoutMs)
  }

  query(statement: string, params: readonly Param[], timeoutMs: number): Promise<readonly Row[]> {
    return this.#run((sql) => unsafe(sql, statement, params, this.#prepare), timeoutMs)
  }

  call(statement: string, params: readonly Param[], timeoutMs: number): Promise<readonly Row[]> {
    return this.query(statement, params, timeoutMs)
  }

  async script(statements: string, timeoutMs: number): Promise<void> {
    await this.#run((sql) => sql.unsafe(statements), timeoutMs)
  }

  /** Runs `work` so that a throw undoes only what it did. */
  async savepoint<T>(work: () => Promise<T>): Promise<T> {
    const outer = this.#sql
    if (!outer) throw notOpen()
    const before = this.#failure
    let done: { readonly value: T } | undefined
    try {
      await outer.savepoint(async (sql) => {
        this.#sql = sql
        done = { value: await work() }
      })
    } catch (error) {
      // rolled back to the savepoint: what failed inside no longer counts, unless the connection itself has gone
      if (!this.#failure?.breaksClient) this.#failure = before
      throw error
    } finally {
      this.#sql = outer
    }
    if (!done) throw notOpen()
    return done.value
  }

  async #run<T>(start: (sql: postgres.TransactionSql) => PromiseLike<T>, timeoutMs: number): Promise<T> {
    if (!this.#sql) throw notOpen()
    try {
      return await this.#bound(start(this.#sql), timeoutMs)
    } catch (error) {
      // nothing of a transaction is done before its COMMIT
      const undone = toFailure(error, true).undone()
      this.#failure ??= undone
      throw undone
    }
  }
}

function notOpen(): Failure {
  return new Failure('other', 'NO_TRANSACTION', 'the transaction is not open', false)
}
