import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { openPipe } from '../support/swarm.ts'
import { openAt, scratch } from './setup-support.ts'

const { url, sql } = await testDatabase()

// rows are older the smaller their number is
beforeEach(() => sql`truncate swarm.command_audit, swarm.execution_events`)

/** An audit row and an event of so many days ago, marked. */
async function age(mark: string, days: number): Promise<void> {
  await sql`insert into swarm.command_audit (repo_id, cmd, args, ok, ms, t)
    values ('p', ${mark}, '{}', true, 0, clock_timestamp() - make_interval(days => ${days}))`
  await sql`insert into swarm.execution_events (event_type, entity_id, repo_id, payload, created_at)
    values ('note', ${mark}, 'p', '{}', clock_timestamp() - make_interval(days => ${days}))`
}

async function left(mark: string) {
  const [row] = await sql`select
    (select count(*)::int from swarm.command_audit where cmd = ${mark}) as audit,
    (select count(*)::int from swarm.execution_events where entity_id = ${mark}) as events`
  return row
}

test('audit rows go after 30 days where nothing is configured, events stay', async () => {
  const place = openAt(scratch(), { DATABASE_URL: url, SWARM_REPO: 'p' })
  await age('old', 31)
  await age('young', 29)
  expect(await place.ask({ cmd: 'prune', dry: true })).toMatchObject({ dry: true })
  expect(await place.ask({ cmd: 'prune' })).toMatchObject({ events: 0, audit: 1 })
  expect(await left('old')).toEqual({ audit: 0, events: 1 })
  expect(await left('young')).toEqual({ audit: 1, events: 1 })
})

test('audit_retention says otherwise, retention says so for both', async () => {
  const root = scratch()
  mkdirSync(join(root, '.swarm'))
  const configured = (config: string) => {
    writeFileSync(join(root, '.swarm', 'config.toml'), config)
    return openAt(root, { DATABASE_URL: url, SWARM_REPO: 'p', SWARM_ROOT: root })
  }
  await age('both', 60)
  await configured('audit_retention = "90d"\n').ask({ cmd: 'prune' })
  expect(await left('both')).toEqual({ audit: 1, events: 1 })
  await configured('retention = "50d"\naudit_retention = "90d"\n').ask({ cmd: 'prune' })
  expect(await left('both')).toEqual({ audit: 1, events: 0 })
  await configured('retention = "50d"\n').ask({ cmd: 'prune' })
  expect(await left('both')).toEqual({ audit: 0, events: 0 })
})

test('an open pipe removes old audit rows by itself', async () => {
  await age('by itself', 31)
  const pipe = openPipe({ DATABASE_URL: url, SWARM_REPO: 'p' }, scratch())
  try {
    await pipe.ok({ cmd: 'status' })
    await expect.poll(() => left('by itself'), { timeout: 60_000 }).toEqual({ audit: 0, events: 1 })
  } finally {
    await pipe.close()
  }
}, 90_000)
