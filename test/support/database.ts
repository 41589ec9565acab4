import type postgres from 'postgres'
import { afterAll, inject } from 'vitest'
import { cloneTemplate, plainClient } from './template.ts'

export interface TestDatabase {
  readonly name: string
  readonly url: string
  /** For the test's own statements. */
  readonly sql: postgres.Sql
}

/** A database of the test file's own, with the schema; dropped when the file is done. */
export async function testDatabase(): Promise<TestDatabase> {
  const { name, url, drop } = await cloneTemplate(inject('serverUrl'))
  const sql = plainClient(url, 4)
  afterAll(async () => {
    await sql.end({ timeout: 1 })
    await drop()
  })
  return { name, url, sql }
}
