import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { openPipe, runSwarm } from '../support/swarm.ts'

const { url, sql } = await testDatabase()
const role = `worker_${randomBytes(4).toString('hex')}`
const cwd = mkdtempSync(join(tmpdir(), 'swarm-least-'))

/* These are the grants that docs/SECURITY.md lists. */
await sql.unsafe(`
  create role ${role} login password 'least' nosuperuser nocreatedb nocreaterole;
  grant usage on schema swarm to ${role};
  grant select, insert, update, delete on all tables in schema swarm to ${role};
  grant usage, select on all sequences in schema swarm to ${role};
  grant execute on all routines in schema swarm to ${role};`)

afterAll(async () => {
  await sql.unsafe(`drop owned by ${role}; drop role ${role}`)
  rmSync(cwd, { recursive: true, force: true })
})

function asRole(): string {
  const at = new URL(url)
  at.username = role
  at.password = 'least'
  // where the user stands in the query it goes before the other one
  if (at.searchParams.has('user')) at.searchParams.set('user', role)
  return at.href
}

test('a role with USAGE, DML, sequences and EXECUTE runs the whole loop, and cannot change the tables', async () => {
  const env = { DATABASE_URL: asRole(), SWARM_REPO: 'least' }
  const pipe = openPipe(env, cwd)
  await pipe.ok({ cmd: 'register', count: 2 })
  await pipe.ok({
    cmd: 'enqueue',
    beads: [
      { bead_id: 'a', title: 'A' },
      { bead_id: 'b', title: 'B', depends_on: ['a'] },
    ],
  })
  expect(await pipe.ok({ cmd: 'claim-next', agent_id: 1 })).toMatchObject({ bead: { bead_id: 'a' } })
  await pipe.ok({ cmd: 'heartbeat', agent_id: 1, note: 'half' })
  await pipe.ok({ cmd: 'send', agent_id: 1, to: 2, body: 'hello' })
  await pipe.ok({ cmd: 'broadcast', from: 1, msg: 'hello' })
  expect(await pipe.ok({ cmd: 'inbox', agent_id: 2 })).toMatchObject({ messages: [{ body: 'hello' }] })
  await pipe.ok({ cmd: 'lock', agent: 1, resource: 'x' })
  await pipe.ok({ cmd: 'unlock', agent: 1, resource: 'x' })
  await pipe.ok({ cmd: 'batch', ops: [{ cmd: 'record-event', event_type: 'progress', entity_id: 'x' }] })
  for (const stage of ['implement', 'qa']) {
    expect(await pipe.ok({ cmd: 'complete-stage', agent_id: 1, outcome: 'passed' })).toMatchObject({ stage })
  }
  // agent 2 has come: it reviews
  expect(await pipe.ok({ cmd: 'claim-next', agent_id: 2 })).toMatchObject({ stage: 'qa' })
  for (const stage of ['red-queen', 'done']) {
    expect(await pipe.ok({ cmd: 'complete-stage', agent_id: 2, outcome: 'passed' })).toMatchObject({ stage })
  }
  expect(await pipe.ok({ cmd: 'wait', bead_id: 'a' })).toMatchObject({})
  expect(await pipe.ok({ cmd: 'run-once', agent_id: 2, command: ['true'] })).toMatchObject({
    ran: { bead_id: 'b' },
  })
  await pipe.ok({ cmd: 'release', agent_id: 2 })
  await pipe.ok({ cmd: 'cancel', bead_id: 'b' })
  await pipe.ok({ cmd: 'reopen', bead_id: 'b' })
  await pipe.ok({ cmd: 'subscribe', cursor: 'reader', from: 'beginning', until: 'idle:1s' })
  await pipe.ok({ cmd: 'prune', before: '2020-01-01T00:00:00Z' })
  const { token } = await pipe.ok<{ token: string }>({ cmd: 'token', action: 'create', role: 'operator' })
  expect(await pipe.ok({ cmd: 'hello', token })).toMatchObject({ role: 'operator' })
  expect(await pipe.ok({ cmd: 'status' })).toMatchObject({ beads: { completed: 1 } })
  await pipe.close()

  const more = await runSwarm(['init-db'], { env, cwd })
  expect(more.code).not.toBe(0)
  const [kept] = await sql`select count(*)::integer as n from swarm.command_audit where repo_id = 'least'`
  expect(kept?.n).toBeGreaterThan(10)
})

test('the same role without DML is refused, so it is these grants that carry the loop', async () => {
  await sql.unsafe(`revoke insert on swarm.operations from ${role}`)
  const shot = await runSwarm(['register', '--count', '1'], {
    env: { DATABASE_URL: asRole(), SWARM_REPO: 'bare' },
    cwd,
  })
  expect(shot.code).not.toBe(0)
  await sql.unsafe(`grant insert on swarm.operations to ${role}`)
})
