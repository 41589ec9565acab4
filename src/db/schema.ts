import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Database } from '../contract/context.ts'
import { SwarmError } from '../contract/errors.ts'

/** The version that schema.sql makes or upgrades to. */
export const SCHEMA_VERSION = 1

/** The directory that holds schema.sql and sql/: beside `dist/` in an installed package, two levels up in the sources. */
function sqlHome(): string {
  const beside = join(__dirname, '..')
  return existsSync(join(beside, 'schema.sql')) ? beside : join(__dirname, '..', '..')
}

/** All of the schema as one script: the tables of schema.sql, then the functions of sql/functions in the order of their numbers. */
export function schemaSql(): string {
  const home = sqlHome()
  const functions = join(home, 'sql', 'functions')
  const files = readdirSync(functions)
    .filter((name) => name.endsWith('.sql'))
    .sort()
    .map((name) => join(functions, name))
  return [join(home, 'schema.sql'), ...files].map((file) => readFileSync(file, 'utf8')).join('\n')
}

/** The version that a database has; null when it has none of swarm's tables. */
export async function schemaVersion(db: Database): Promise<number | null> {
  const [found] = await db.read<{ there: boolean }>(
    `select to_regclass('swarm.swarm_config') is not null as there`,
  )
  if (!found?.there) return null
  const [row] = await db.read<{ version: number }>(
    'select schema_version as version from swarm.swarm_config limit 1',
  )
  return row?.version ?? null
}

/**
 * Creates or upgrades the schema. Safe at any time, by several processes at once. A database of a newer swarm is
 * refused: an older schema.sql would take its functions back.
 */
export async function applySchema(db: Database): Promise<{ readonly before: number | null }> {
  const before = await schemaVersion(db)
  if (before !== null && before > SCHEMA_VERSION) throw newerSchema(before)
  await db.script(schemaSql())
  return { before }
}

/** The refusal of a database that a newer swarm has upgraded. */
export function newerSchema(version: number): SwarmError {
  return new SwarmError(
    'DEPENDENCY',
    `the database has schema version ${version}, this swarm knows ${SCHEMA_VERSION}: install the newer swarm`,
    {
      ctx: { dependency: 'schema', version, known: SCHEMA_VERSION },
      fix: { cmd: 'doctor' },
      retryable: false,
    },
  )
}
