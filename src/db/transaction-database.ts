import type { Database, Param, WriteCall, WriteReply } from '../contract/context.ts'
import { SwarmError } from '../contract/errors.ts'
import { explain } from './explain.ts'
import { Failure } from './failure.ts'
import type { Transaction } from './transaction.ts'
import { runCall } from './writes.ts'

export interface TransactionContext {
  readonly transaction: Transaction
  readonly shown: string
  /** Milliseconds a statement may take; the transaction as a whole has its own bound. */
  readonly timeoutMs: number
  /** Repos to notify for after COMMIT. */
  readonly changed: Set<string>
}

/** A database as `work` of a transaction sees it: everything on one connection, nothing done before COMMIT. */
export class TransactionDatabase implements Database {
  readonly #context: TransactionContext

  constructor(context: TransactionContext) {
    this.#context = context
  }

  async write(call: WriteCall): Promise<WriteReply> {
    const { transaction, timeoutMs, changed } = this.#context
    const reply = await this.#explained(() => runCall(transaction, call, timeoutMs), call)
    if (reply.changed) changed.add(call.repo)
    return reply
  }

  /** One by one: a statement that raises would end the transaction for the others. */
  async append(calls: readonly WriteCall[]): Promise<readonly PromiseSettledResult<WriteReply>[]> {
    const results: PromiseSettledResult<WriteReply>[] = []
    for (const call of calls) {
      const [result] = await Promise.allSettled([this.write(call)])
      results.push(result)
    }
    return results
  }

  read<Row>(statement: string, params: readonly Param[] = []): Promise<Row[]> {
    const { transaction, timeoutMs } = this.#context
    return this.#explained(async () => {
      const rows = await transaction.query(statement, params, timeoutMs)
      // the caller wrote the statement and names the shape of its rows
      return [...rows] as Row[]
    })
  }

  /** A part that can fail on its own: a throw undoes what it did and leaves the rest. */
  transaction<T>(work: (db: Database, attempt: { readonly contended: boolean }) => Promise<T>): Promise<T> {
    return this.#explained(() => this.#context.transaction.savepoint(() => work(this, { contended: false })))
  }

  script(sql: string): Promise<void> {
    const { transaction, timeoutMs } = this.#context
    return this.#explained(() => transaction.script(sql, timeoutMs))
  }

  async waitForChange(): Promise<void> {
    throw new SwarmError('INVALID', 'a request that waits cannot be part of a transaction', {
      ctx: { kind: 'Custom', field: 'wait_ms' },
    })
  }

  async #explained<T>(work: () => Promise<T>, call?: WriteCall): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      throw explain(error, { shown: this.#context.shown, unknown: false, call })
    }
  }
}
