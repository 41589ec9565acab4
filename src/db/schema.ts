import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Database } from '../contract/context.ts'

/** The text of schema.sql: beside `dist/` in an installed package, two levels up in the sources. */
export function schemaSql(): string {
  const beside = join(__dirname, '..', 'schema.sql')
  return readFileSync(existsSync(beside) ? beside : join(__dirname, '..', '..', 'schema.sql'), 'utf8')
}

/** Creates or upgrades the schema. Safe at any time, by several processes at once. */
export async function applySchema(db: Database): Promise<void> {
  await db.script(schemaSql())
}
