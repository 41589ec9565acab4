import type postgres from 'postgres'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { plainClient } from '../support/template.ts'

const { url, sql } = await testDatabase()
const AGENT = '{"agent_id":1}'
let first: postgres.Sql
let second: postgres.Sql
let repo = ''
let repos = 0

beforeEach(async () => {
  repo = `keys-${++repos}`
  first = plainClient(url)
  second = plainClient(url)
  await run(sql, 'register', '{"count":2}', 'r')
  await run(sql, 'enqueue', '{"beads":[{"bead_id":"a","title":"a"},{"bead_id":"b","title":"b"}]}', 'e')
})

afterEach(() => Promise.all([first.end({ timeout: 1 }), second.end({ timeout: 1 })]))

async function run(on: postgres.Sql, cmd: string, args: string, key: string) {
  const [row] =
    await on`select swarm.run(${repo}, ${cmd}, ${args}::text::jsonb, '{"holder":"h"}', ${key}, 'x') as r`
  return row?.r
}

/** Resolves once a session of this database waits for the lock of a key. */
async function keyIsWaitedFor(): Promise<void> {
  for (;;) {
    const [row] = await sql`select count(*)::int as n from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock' and wait_event = 'advisory'`
    if (row?.n > 0) return
  }
}

async function counts() {
  const [row] = await sql`select (select count(*)::int from swarm.operations where repo_id = ${repo}) as keys,
    (select count(*)::int from swarm.command_audit where repo_id = ${repo}) as audit,
    (select count(*)::int from swarm.execution_events where repo_id = ${repo} and event_type = 'bead_claimed') as claims`
  return row
}

test('of two that send the same key at once one executes and the other gets its reply', async () => {
  await first`begin`
  const reply = await run(first, 'claim-next', AGENT, 'k')
  expect(reply).toMatchObject({ d: { bead: { bead_id: 'a' }, held: false } })
  const waiting = run(second, 'claim-next', AGENT, 'k')
  await keyIsWaitedFor()
  await first`commit`
  expect(await waiting).toEqual({ ...reply, replayed: true })
  expect(await counts()).toEqual({ keys: 3, audit: 3, claims: 1 })
})

test('the same with the completion of a last stage', async () => {
  await sql`delete from swarm.workflow_stages where repo_id = ${repo} and stage <> 'contract'`
  await run(sql, 'claim-next', AGENT, 'c')
  await first`begin`
  const reply = await run(first, 'complete-stage', '{"agent_id":1,"outcome":"passed"}', 'k')
  expect(reply.d).toEqual({ transition: 'finalize', stage: 'done', attempt: 1, kept: false })
  const waiting = run(second, 'complete-stage', '{"agent_id":1,"outcome":"passed"}', 'k')
  await keyIsWaitedFor()
  await first`commit`
  expect(await waiting).toEqual({ ...reply, replayed: true })
  expect(await counts()).toEqual({ keys: 4, audit: 4, claims: 1 })
})

test('a second one executes when the first has been killed', async () => {
  const [backend] = await first`select pg_backend_pid() as pid`
  await first`begin`
  await run(first, 'claim-next', AGENT, 'k')
  const waiting = run(second, 'claim-next', AGENT, 'k')
  await keyIsWaitedFor()
  await sql`select pg_terminate_backend(${backend?.pid})`
  const reply = await waiting
  expect(reply.d.bead.bead_id).toBe('a')
  expect(reply.replayed).toBeUndefined()
  expect(await counts()).toEqual({ keys: 3, audit: 3, claims: 1 })
})

test('a refusal and an answer without a bead keep no key', async () => {
  expect(await run(sql, 'complete-stage', '{"agent_id":1,"outcome":"passed"}', 'k')).toHaveProperty('refused')
  expect(await run(sql, 'claim-next', '{"agent_id":1,"labels":["no"]}', 'l')).toHaveProperty('transient')
  expect(await counts()).toEqual({ keys: 2, audit: 3, claims: 0 })
  expect(await run(sql, 'claim-next', AGENT, 'k')).toMatchObject({ d: { bead: { bead_id: 'a' } } })
})

test('a key is one request’s, also where the short way would do', async () => {
  await run(sql, 'claim-next', AGENT, 'k')
  await sql`update swarm.agent_state set bead_id = null where repo_id = ${repo}`
  expect(await run(sql, 'claim-next', '{"agent_id":1,"lease_ms":5000}', 'k')).toMatchObject({
    refused: { code: 'CONFLICT', ctx: { field: 'idem', idem: 'k' } },
  })
  expect(await run(sql, 'claim-next', AGENT, 'k')).toMatchObject({ replayed: true })
  expect(await counts()).toMatchObject({ claims: 1 })
})

test('a batch and a single request do not share a key', async () => {
  const ops = `{"ops":[{"cmd":"claim-next","agent_id":1}],"atomic":true}`
  await first`begin`
  const [taken] =
    await first`select swarm.begin_batch(${repo}, ${ops}::text::jsonb, '{"holder":"h"}', 'k', false) as r`
  expect(taken?.r).toBeNull()
  const waiting = run(second, 'claim-next', AGENT, 'k')
  await keyIsWaitedFor()
  await first`commit`
  expect(await waiting).toMatchObject({ refused: { code: 'CONFLICT', ctx: { field: 'idem' } } })
})
