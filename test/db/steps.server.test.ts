import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import type postgres from 'postgres'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { gateHash } from '../../src/contract/gates.ts'
import { knownSchema, schemaSql } from '../../src/db/schema.ts'
import { openAt, scratch } from '../commands/setup-support.ts'
import { testDatabase } from '../support/database.ts'
import { plainClient, withDatabase } from '../support/template.ts'

/** schema.sql of 0.1.0, whose databases all say version 1. */
const OLD = gunzipSync(readFileSync(join(__dirname, 'fixtures', 'schema-0.1.0.sql.gz'))).toString('utf8')
const { url, sql: admin } = await testDatabase()
const NAME = 't_steps'
const old = { DATABASE_URL: withDatabase(url, NAME), SWARM_REPO: 'r' }
let sql: postgres.Sql

beforeEach(async () => {
  await admin.unsafe(`drop database if exists ${NAME} with (force)`)
  await admin.unsafe(`create database ${NAME} template template0 encoding 'UTF8'`)
  sql = plainClient(old.DATABASE_URL)
  await sql.unsafe(OLD)
  await run('register', { count: 2 })
  await run('enqueue', { beads: ['a', 'b', 'c'].map((bead_id) => ({ bead_id, title: bead_id })) })
  await run('claim-next', { agent_id: 1 })
})

afterEach(async () => {
  await sql.end()
  await admin.unsafe(`drop database if exists ${NAME} with (force)`)
})

async function run(cmd: string, args: postgres.JSONValue): Promise<void> {
  const [row] =
    await sql`select swarm.run('r', ${cmd}, ${JSON.stringify(args)}::text::jsonb, '{"holder":"s"}', gen_random_uuid()::text) as r`
  expect(row?.r.d, JSON.stringify(row?.r)).toBeDefined()
}

/** Everything that the catalogues say of schema swarm. The order of columns is left out: an added one stands last. */
async function catalog(on: postgres.Sql): Promise<readonly string[]> {
  const rows = await on<{ line: string }[]>`
    select format('column %s.%s %s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
        pg_get_expr(d.adbin, d.adrelid)) as line
      from pg_attribute a join pg_class c on c.oid = a.attrelid
      left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
      where c.relnamespace = 'swarm'::regnamespace and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
    union all select format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
      from pg_constraint where connamespace = 'swarm'::regnamespace and contype <> 'n'
    union all select format('index %s', indexdef) from pg_indexes where schemaname = 'swarm'
    union all select format('relation %s %s %s', relkind, relname, reloptions) from pg_class where relnamespace = 'swarm'::regnamespace
    union all select format('function %s %s', p.oid::regprocedure, pg_get_functiondef(p.oid))
      from pg_proc p where p.pronamespace = 'swarm'::regnamespace
    union all select format('type %s %s', t.typname, t.typtype) from pg_type t where t.typnamespace = 'swarm'::regnamespace
    order by 1`
  return rows.map(({ line }) => line)
}

test('a database of 0.1.0 is used by nobody until it is upgraded, and then equals a new one and has its beads', async () => {
  const place = openAt(scratch(), old)
  const refusal = { code: 'DEPENDENCY', fix: { cmd: 'init-db' } }
  expect(await place.refused({ cmd: 'heartbeat', agent_id: 1 })).toMatchObject(refusal)
  expect(await place.refused({ cmd: 'status' })).toMatchObject(refusal)
  const upgraded = await place.ask({ cmd: 'init-db' })
  expect(upgraded).toMatchObject({ schema: 'upgraded', schema_version: knownSchema().version })
  expect(knownSchema().version).toBeGreaterThanOrEqual(2)
  expect(await place.ask({ cmd: 'heartbeat', agent_id: 1 })).toMatchObject({ bead_id: 'a' })
  expect(await place.ask({ cmd: 'status' })).toMatchObject({ beads: { pending: 2, in_progress: 1 } })
  expect(await place.ask({ cmd: 'init-db' })).toMatchObject({ schema: 'kept', changed: false })
  expect(await catalog(sql)).toEqual(await catalog(admin))
})

test('reviews of an older database are for others than the implementer, also of beads that wait for one', async () => {
  await run('complete-stage', { agent_id: 1, outcome: 'passed' })
  await run('complete-stage', { agent_id: 1, outcome: 'passed' })
  await run('release', { agent_id: 1 })
  await openAt(scratch(), old).ask({ cmd: 'init-db' })
  expect(await sql`select stage, independent from swarm.workflow_stages order by position`).toEqual([
    { stage: 'contract', independent: null },
    { stage: 'implement', independent: null },
    { stage: 'qa', independent: 'prefer' },
    { stage: 'red-queen', independent: 'prefer' },
  ])
  expect(await sql`select bead_id, stage, not_for from swarm.bead_backlog order by bead_id limit 2`).toEqual([
    { bead_id: 'a', stage: 'qa', not_for: 1 },
    { bead_id: 'b', stage: 'contract', not_for: null },
  ])
})

test('the gates of an older database become their names and the hashes of their words', async () => {
  const gates: Record<string, readonly string[]> = {
    contract: ['npm', 'test'],
    implement: ['./bin/check it', 'a "b" \\ \t\n\u0001\u007f/é\u2028😀', ''],
    qa: ['/usr/bin/true'],
  }
  for (const [stage, words] of Object.entries(gates))
    await sql`update swarm.workflow_stages set gate = ${JSON.stringify(words)}::text::jsonb where stage = ${stage}`
  await sql.unsafe(schemaSql())
  const rows = await sql`select stage, gate, gate_hash from swarm.workflow_stages order by position`
  expect([...rows]).toEqual([
    { stage: 'contract', gate: 'npm', gate_hash: gateHash(gates.contract ?? []) },
    { stage: 'implement', gate: 'check it', gate_hash: gateHash(gates.implement ?? []) },
    { stage: 'qa', gate: 'true', gate_hash: gateHash(gates.qa ?? []) },
    { stage: 'red-queen', gate: null, gate_hash: null },
  ])
})

test('what init-db prints upgrades a database as init-db does', async () => {
  const place = openAt(scratch(), old)
  const { sql: script } = await place.ask({ cmd: 'init-db', print: true })
  expect(await place.refused({ cmd: 'status' })).toMatchObject({ code: 'DEPENDENCY' })
  await sql.unsafe(String(script))
  expect(await catalog(sql)).toEqual(await catalog(admin))
})

test('the script itself refuses a database that a newer swarm has upgraded meanwhile', async () => {
  await sql.unsafe(schemaSql())
  await sql`update swarm.swarm_config set schema_version = 999, functions_hash = 'newer'`
  const before = await catalog(sql)
  await expect(sql.unsafe(schemaSql())).rejects.toMatchObject({ code: 'SW001' })
  expect(await catalog(sql)).toEqual(before)
  // nor does a verb use it
  expect(await openAt(scratch(), old).refused({ cmd: 'status' })).toMatchObject({
    code: 'DEPENDENCY',
    ctx: { version: 999 },
  })
})

test('doctor tells functions of another build, and init-db brings them back', async () => {
  await sql.unsafe(schemaSql())
  await sql`update swarm.swarm_config set functions_hash = 'other'`
  await sql.unsafe(`create function swarm.left_over() returns int language sql return 1;
    create function swarm.left_above() returns int language sql return swarm.left_over()`)
  const place = openAt(scratch(), old)
  const found = await place.ask({ cmd: 'doctor' })
  expect(found.healthy).toBe(false)
  expect(JSON.stringify(found.checks)).toContain('those of another build')
  expect(await place.ask({ cmd: 'status' })).toMatchObject({ beads: { pending: 2 } })
  expect(await place.ask({ cmd: 'init-db' })).toMatchObject({ schema: 'upgraded' })
  expect(await catalog(sql)).toEqual(await catalog(admin))
})

test('a step changes columns that the functions of before name', async () => {
  await sql.unsafe(schemaSql())
  await sql`create function swarm.left_over() returns bigint language sql
    begin atomic select count(*) from swarm.bead_backlog where status = 'pending'; end`
  await sql`update swarm.swarm_config set schema_version = 2, functions_hash = 'other'`
  await sql.unsafe(schemaSql())
  expect(await catalog(sql)).toEqual(await catalog(admin))
})
