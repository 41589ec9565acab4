import type postgres from 'postgres'
import type { Param } from '../contract/context.ts'

/** What a client, or a transaction of it, can run. Rows are objects. Throws `Failure`. */
export interface Queryable {
  /** One statement, with pg_catalog alone as search_path. */
  query(statement: string, params: readonly Param[], timeoutMs: number): Promise<readonly Row[]>
  /** One that names everything with its schema, so that the search_path does not matter: always one round trip. */
  call(statement: string, params: readonly Param[], timeoutMs: number): Promise<readonly Row[]>
  /** Several statements without parameters, in one implicit transaction. */
  script(statements: string, timeoutMs: number): Promise<void>
}

export type Row = Readonly<Record<string, unknown>>

/** The statement as the driver's query; it starts when it is awaited. */
export function unsafe(sql: postgres.ISql, statement: string, params: readonly Param[], prepare: boolean) {
  // `simple` and `describeFirst` are not in the driver's types: always the extended protocol, in one round trip (see
  // scripts/postgres-patch.mjs; without the patch the second is ignored)
  const options = { prepare, simple: false, describeFirst: false }
  return sql.unsafe<Record<string, unknown>[]>(statement, [...params], options)
}
