import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** What schema.sql and sql/ say. */
export interface SchemaFiles {
  /** The number of the highest step. */
  readonly version: number
  /** Of all functions: 16 hex digits. */
  readonly hash: string
  readonly tables: string
  /** In the order of their numbers. */
  readonly steps: readonly { readonly number: number; readonly sql: string }[]
  readonly functions: readonly string[]
}

/** Reads them from beside `dist/` in an installed package, or from two levels up in the sources; `from` is the caller's folder. */
export function readSchemaFiles(from: string): SchemaFiles {
  const beside = join(from, '..')
  const home = existsSync(join(beside, 'schema.sql')) ? beside : join(from, '..', '..')
  const steps = sqlFiles(join(home, 'sql', 'steps')).map(({ name, sql }) => ({
    number: Number.parseInt(name, 10),
    sql,
  }))
  const functions = sqlFiles(join(home, 'sql', 'functions')).map(({ sql }) => sql)
  const hash = createHash('sha256').update(functions.join('\n')).digest('hex').slice(0, 16)
  const tables = readFileSync(join(home, 'schema.sql'), 'utf8')
  return { version: steps.at(-1)?.number ?? 1, hash, tables, steps, functions }
}

function sqlFiles(folder: string): { readonly name: string; readonly sql: string }[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.sql'))
    .sort()
    .map((name) => ({ name, sql: readFileSync(join(folder, name), 'utf8') }))
}
