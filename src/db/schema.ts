import type { Database } from '../contract/context.ts'
import { SwarmError } from '../contract/errors.ts'
import { readSchemaFiles, type SchemaFiles } from './schema-files.ts'

declare const SWARM_SCHEMA: string | undefined

/** Which schema a database has, or a program knows: the number of the highest step, and the hash of the functions. */
export interface SchemaBuild {
  readonly version: number
  /** Null in a database of version 1, which kept none. */
  readonly functions: string | null
}

let known: SchemaBuild | undefined

/** The schema that this program knows. The build writes it into the bundle; from the sources it is read from the files. */
export function knownSchema(): SchemaBuild {
  known ??= typeof SWARM_SCHEMA === 'string' ? parseBuild(SWARM_SCHEMA) : buildOf(readSchemaFiles(__dirname))
  return known
}

/** `version:hash`, as `swarm.access` answers it. */
export function parseBuild(text: string): SchemaBuild {
  const [version = '', functions = ''] = text.split(':')
  return { version: Number(version), functions: functions === '' ? null : functions }
}

/**
 * All of the schema as one script, right for an empty database and for one of any earlier version: the steps that it lacks, the tables of
 * schema.sql, the functions in the order of their names, of which the last fixes their search_path. It is meant for one transaction, and refuses a database of a newer version.
 */
export function schemaSql(): string {
  const files = readSchemaFiles(__dirname)
  const { version, hash } = files
  return [
    PREPARE,
    `do $guard$ begin
  if to_regclass('swarm.swarm_config') is not null then
    if (select schema_version from swarm.swarm_config) > ${version} then
      raise exception 'this database has a newer schema version than ${version}' using errcode = 'SW001',
        detail = '{"refused": {"code": "DEPENDENCY", "msg": "a newer swarm has upgraded this database meanwhile: install the newer swarm"}}';
    end if;
  end if;
end $guard$;`,
    dropOldFunctions(hash),
    ...files.steps.map(({ number, sql }) => guardedStep(number, sql)),
    files.tables,
    ...files.functions,
    `update swarm.swarm_config set schema_version = ${version}, functions_hash = '${hash}'
  where schema_version is distinct from ${version} or functions_hash is distinct from '${hash}';`,
  ].join('\n')
}

/** Two processes that initialise at once would collide on the catalogues: the second waits, then finds all in place. */
const PREPARE = `select pg_catalog.set_config('search_path', 'pg_catalog', true);
select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('swarm:schema'));`

/** The nested IF is planned only where the table exists. */
function guardedStep(number: number, sql: string): string {
  return `do $guard$ begin
  if to_regclass('swarm.swarm_config') is not null then
    if (select schema_version from swarm.swarm_config) < ${number} then
      execute $step$
${sql}$step$;
      update swarm.swarm_config set schema_version = ${number};
    end if;
  end if;
end $guard$;`
}

/**
 * Functions with other parameters than today's would stay beside them, and those whose body was bound when they were made hold the columns
 * that they name as they are: so all go before the steps, each after those that call it. Those that a default or a view needs are only
 * replaced. A database of version 1 kept no hash.
 */
function dropOldFunctions(hash: string): string {
  return `do $guard$ declare f regprocedure; v_found boolean := true; begin
  if to_regclass('swarm.swarm_config') is not null then
    if (select to_jsonb(c) ->> 'functions_hash' from swarm.swarm_config c) is distinct from '${hash}' then
      while v_found loop
        v_found := false;
        for f in select p.oid from pg_proc p where p.pronamespace = to_regnamespace('swarm')
            and not exists (select from pg_depend d where d.refclassid = 'pg_proc'::regclass and d.refobjid = p.oid) loop
          execute format('drop routine %s', f);
          v_found := true;
        end loop;
      end loop;
    end if;
  end if;
end $guard$;`
}

/** What a database has; null when it has none of swarm's tables. */
export async function schemaOf(db: Database): Promise<SchemaBuild | null> {
  const [found] = await db.read<{ there: boolean }>(
    `select to_regclass('swarm.swarm_config') is not null as there`,
  )
  if (!found?.there) return null
  // the column is missing in a database of version 1
  const [row] = await db.read<SchemaBuild>(
    `select schema_version as version, to_jsonb(c) ->> 'functions_hash' as functions from swarm.swarm_config c limit 1`,
  )
  return row ?? null
}

/** True when this program has the right to bring a database to its own schema: the version is not newer, and something differs. */
export function isBehind(found: SchemaBuild | null): boolean {
  return found === null || found.version < knownSchema().version
}

/**
 * Creates or upgrades the schema. Safe at any time, by several processes at once. A database of a newer swarm is
 * refused: an older one would take its functions back.
 */
export async function applySchema(db: Database): Promise<{ readonly before: SchemaBuild | null }> {
  const before = await schemaOf(db)
  if (before !== null && before.version > knownSchema().version) throw newerSchema(before.version)
  await db.script(schemaSql())
  return { before }
}

/** The refusal of a database that a newer swarm has upgraded. */
export function newerSchema(version: number): SwarmError {
  const known = knownSchema().version
  return new SwarmError(
    'DEPENDENCY',
    `the database has schema version ${version}, this swarm knows ${known}: install the newer swarm`,
    { ctx: { dependency: 'schema', version, known }, fix: { cmd: 'doctor' }, retryable: false },
  )
}

/** The refusal of a database that an earlier swarm made and nobody has upgraded. */
export function olderSchema(version: number): SwarmError {
  const known = knownSchema().version
  return new SwarmError(
    'DEPENDENCY',
    `the database has schema version ${version}, this swarm needs ${known}: upgrade it`,
    { ctx: { dependency: 'schema', version, known }, fix: { cmd: 'init-db' }, retryable: false },
  )
}

function buildOf({ version, hash }: SchemaFiles): SchemaBuild {
  return { version, functions: hash }
}
