import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { makeYard, until } from './support.ts'

const database = await testDatabase()
const yard = await makeYard(database, { repo: 'drained', script: { pace_ms: 1_500 } })
afterAll(() => yard.scratch.remove())

interface Drained {
  readonly hosts: readonly {
    readonly host_id: string
    readonly draining: boolean
    readonly sessions: number
  }[]
}
interface Status {
  readonly hosts: readonly { readonly host_id: string; readonly draining: boolean }[]
  readonly needs_you: readonly { readonly kind: string; readonly acts: readonly object[] }[]
}

test('a drained host finishes its session and gets no other; let go again it goes on', async () => {
  const { ask, start, landed } = yard
  const beads = ['b1', 'b2'].map((bead_id) => ({ bead_id, title: bead_id }))
  await ask('enqueue', '--json', JSON.stringify({ beads }))
  const run = start('up', '--agents', 'implementer=1,reviewer=1')
  const sessions = () => database.sql<{ host_id: string; bead_id: string; reason: string | null }[]>`
    select host_id, bead_id, reason from swarm.agent_sessions where repo_id = 'drained' and started_at is not null`
  await until(async () => (await sessions()).length > 0)
  const [first] = await sessions()
  const host = first?.host_id ?? ''
  expect(await ask<Drained>('drain', host, '--reason', 'the disk is changed')).toMatchObject({
    hosts: [{ host_id: host, draining: true, sessions: 1 }],
  })
  // said twice it is done once
  await ask('drain', host)
  await until(async () => (await sessions()).every(({ reason }) => reason !== null))
  expect(await sessions()).toMatchObject([{ reason: 'completed' }])
  const status = await ask<Status>('ps')
  expect(status.hosts).toMatchObject([{ host_id: host, draining: true }])
  expect(status.needs_you).toMatchObject([{ kind: 'host', acts: [{ cmd: 'drain', host, off: true }] }])
  const other = first?.bead_id === 'b1' ? 'b2' : 'b1'
  expect(await ask('explain', other)).toMatchObject({
    why: 'no_host',
    waits_for: expect.stringContaining('draining'),
  })
  expect(await sessions()).toHaveLength(1)

  await ask('drain', host, '--off')
  const { code } = await run.ended
  expect(code).toBe(0)
  expect(landed()).toEqual(['demo/b1.txt', 'demo/b2.txt'])
  const told = await database.sql`
    select event_type, payload ->> 'reason' as reason from swarm.execution_events where event_type like 'host_%drained' order by seq`
  expect(told).toEqual([
    { event_type: 'host_drained', reason: 'the disk is changed' },
    { event_type: 'host_undrained', reason: null },
  ])
  await expect(ask('drain', 'nobody')).rejects.toThrow('NOTFOUND')
}, 120_000)

test('a machine that is drained by its name stays so for workers that start there later, until it is let go', async () => {
  const { ask } = yard
  /** As the worker of that name sees itself. */
  const beat = async (host_id: string, name: string) => {
    const host = JSON.stringify({ host_id, name, capacity: {}, adapters: {} })
    const [row] = await database.sql<{ d: { draining: boolean } }[]>`
      select swarm.host_beat('drained', ${host}::text::jsonb, '[]') as d`
    return row?.d.draining
  }
  const leave = (host_id: string) =>
    database.sql`select swarm.host_left('drained', ${host_id}, 'its worker has ended')`
  expect(await beat('builder-1', 'builder')).toBe(false)
  await ask('drain', 'builder', '--reason', 'a new kernel')
  expect(await beat('builder-1', 'builder')).toBe(true)
  await leave('builder-1')
  expect(await beat('builder-2', 'builder')).toBe(true)
  expect(await beat('other-1', 'other')).toBe(false)
  await leave('builder-2')
  expect(await ask('drain', 'builder', '--off')).toEqual({ hosts: [] })
  expect(await beat('builder-3', 'builder')).toBe(false)
  // one worker of a machine is not the machine
  await ask('drain', 'builder-3')
  expect(await beat('builder-3', 'builder')).toBe(true)
  expect(await beat('builder-4', 'builder')).toBe(false)
}, 60_000)
