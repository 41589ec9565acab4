import { describe, expect, it } from 'vitest'
import { loaders } from '../../src/commands/registry.ts'
import { gateHash } from '../../src/contract/gates.ts'
import { testDatabase } from '../support/database.ts'
import { allPages, column, matches, openSession, rowsOf } from './look-support.ts'

const { url, sql } = await testDatabase()

const VERBS = [
  'status',
  'state',
  'monitor',
  'history',
  'artifacts',
  'resume',
  'resume-context',
  'agents',
  'beads',
  'workflows',
  'locks',
  'outbox',
  'ack',
  'next',
  'ready',
  'describe',
  'prompt',
  'spawn-prompts',
  'load-profile',
  'help',
]

describe.each(VERBS)('%s', (verb) => {
  it('answers its examples', async () => {
    const command = await loaders[verb]?.()
    expect(command?.examples.length).toBeGreaterThan(0)
    for (const [at, example] of (command?.examples ?? []).entries()) {
      const session = openSession(url, `example-${verb}-${at}`)
      for (const given of example.given ?? []) await session.ask(given)
      const d = await session.ask(example.in)
      expect(matches(d, example.out), `${JSON.stringify(d)} is not ${JSON.stringify(example.out)}`).toBe(true)
    }
  })
})

describe('lists', () => {
  const session = openSession(url, 'lists')
  const ids = Array.from({ length: 23 }, (_, at) => `bead-${at}`)

  it('give every bead once, page after page', async () => {
    await session.ask({
      cmd: 'enqueue',
      beads: ids.map((bead_id, at) => ({
        bead_id,
        title: at % 2 ? 'odd' : 'even',
        description: 'a long text',
        priority: at % 5,
        bead_type: at % 3 ? 'task' : 'bug',
        labels: at % 4 ? [] : ['four'],
      })),
    })
    const rows = await allPages(session, { cmd: 'beads', limit: 5 }, 'beads')
    expect(column(rows, 'bead_id').toSorted()).toEqual(ids.toSorted())
    expect(rows.every((row) => !('description' in row))).toBe(true)
  })

  it('filter beads by every field at once', async () => {
    const ask = async (filter: Record<string, string | number>) =>
      column(
        rowsOf(await session.ask({ cmd: 'beads', limit: 100, ...filter }), 'beads'),
        'bead_id',
      ).toSorted()
    const where = (test: (at: number) => boolean) => ids.filter((_, at) => test(at)).toSorted()
    expect(await ask({ label: 'four' })).toEqual(where((at) => at % 4 === 0))
    expect(await ask({ bead_type: 'bug' })).toEqual(where((at) => at % 3 === 0))
    expect(await ask({ priority: 'p1' })).toEqual(where((at) => at % 5 === 1))
    expect(await ask({ search: 'EVEN' })).toEqual(where((at) => at % 2 === 0))
    expect(await ask({ search: 'LONG text' })).toHaveLength(23)
    expect(await ask({ search: '100%' })).toEqual([])
    expect(await ask({ status: 'completed' })).toEqual([])
    expect(await ask({ label: 'four', bead_type: 'bug', search: 'even', status: 'pending' })).toEqual(
      where((at) => at % 12 === 0),
    )
  })

  it('give descriptions with full', async () => {
    const [row] = rowsOf(await session.ask({ cmd: 'beads', full: true, limit: 1 }), 'beads')
    expect(row).toMatchObject({ description: 'a long text', metadata: {}, fence: 0 })
  })

  it('give ready beads in the order in which they are claimed', async () => {
    const d = await session.ask({ cmd: 'ready', limit: 100 })
    expect(d.ready).toBe(23)
    const inOrder = column(rowsOf(d, 'beads'), 'bead_id')
    await session.ask({ cmd: 'register', count: 3 })
    for (const id of inOrder.slice(0, 3)) {
      const agent = inOrder.indexOf(id) + 1
      expect(await session.ask({ cmd: 'claim-next', agent_id: agent })).toMatchObject({
        bead: { bead_id: id },
      })
    }
    expect((await session.ask({ cmd: 'ready' })).ready).toBe(20)
    expect(rowsOf(await session.ask({ cmd: 'ready' }), 'beads')).toHaveLength(20)
  })

  it('page agents and filter them', async () => {
    await session.ask({ cmd: 'register', name: 'ada', role: 'reviewer' })
    const rows = await allPages(session, { cmd: 'agents', limit: 1 }, 'agents')
    expect(column(rows, 'agent_id')).toEqual([1, 2, 3, 4])
    expect(rowsOf(await session.ask({ cmd: 'agents', role: 'reviewer' }), 'agents')).toMatchObject([
      { agent_id: 4, name: 'ada' },
    ])
    expect(rowsOf(await session.ask({ cmd: 'agents', status: 'working' }), 'agents')).toHaveLength(3)
    const [full] = rowsOf(await session.ask({ cmd: 'agents', full: true, limit: 1 }), 'agents')
    expect(full).toMatchObject({ unread: 0, implementation_attempt: 0, stage: 'contract' })
  })

  it('list only locks that are held, and page them', async () => {
    for (const resource of ['a', 'b', 'c']) await session.ask({ cmd: 'lock', resource, agent: 1 })
    for (const agent of [1, 2]) await session.ask({ cmd: 'lock', resource: 'shared', agent, mode: 'shared' })
    await sql`update swarm.resource_locks set until_at = clock_timestamp() - interval '1 second' where repo_id = 'lists' and resource = 'b'`
    const rows = await allPages(session, { cmd: 'locks', limit: 2 }, 'locks')
    expect(column(rows, 'resource')).toEqual(['a', 'c', 'shared', 'shared'])
    expect(rowsOf(await session.ask({ cmd: 'locks', agent: 2 }), 'locks')).toMatchObject([
      { resource: 'shared', mode: 'shared' },
    ])
    expect(rowsOf(await session.ask({ cmd: 'locks', resource: 'a' }), 'locks')).toHaveLength(1)
  })

  it('walk the whole state in pages of any size', async () => {
    const sizes = [1, 2, 7, 1_000]
    for (const limit of sizes) {
      const walk = async (name: string) => allPages(session, { cmd: 'state', limit }, name)
      expect(column(await walk('agents'), 'agent_id')).toEqual([1, 2, 3, 4])
      expect(await walk('claims')).toHaveLength(3)
      expect(await walk('locks')).toHaveLength(4)
      expect(column(await walk('beads'), 'bead_id').toSorted()).toEqual(ids.toSorted())
    }
  })

  it('never show another repo', async () => {
    const other = openSession(url, 'other')
    await other.ask({ cmd: 'register', count: 1 })
    expect(await other.ask({ cmd: 'state' })).toMatchObject({ claims: [], locks: [], beads: [], more: false })
    expect(rowsOf(await other.ask({ cmd: 'agents' }), 'agents')).toHaveLength(1)
    expect(await other.ask({ cmd: 'history' })).toEqual({ attempts: [], more: false })
    expect(await other.ask({ cmd: 'ready' })).toEqual({ beads: [], ready: 0 })
  })

  it('refuse a cursor that is none', async () => {
    const refused = await session.refused({ cmd: 'state', after: 'agents:x' })
    expect(refused.err).toMatchObject({ code: 'INVALID', ctx: { field: 'after' } })
    const after = "claims:it's"
    expect(await session.ask({ cmd: 'state', after, limit: 1 })).toMatchObject({ agents: [], claims: [] })
  })
})

describe('workflows', () => {
  it('show gates with their time-out, and where a stage goes that says so itself', async () => {
    const session = openSession(url, 'flows')
    await session.ask({ cmd: 'register', count: 1 })
    await sql`insert into swarm.workflows (repo_id, name) values ('flows', 'short')`
    await sql`insert into swarm.workflow_stages (repo_id, name, stage, position, gate, gate_hash, timeout_ms, on_pass, max_attempts) values
      ('flows', 'short', 'only', 1, 'make', ${gateHash(['make', 'test'])}, 5000, 'done', 7), ('flows', 'short', 'never', 2, null, null, 3000, null, null)`
    expect(await session.ask({ cmd: 'workflows', name: 'short' })).toEqual({
      workflows: [
        {
          name: 'short',
          stages: [
            {
              stage: 'only',
              gate: 'make',
              gate_hash: gateHash(['make', 'test']),
              timeout_ms: 5_000,
              on_pass: 'done',
              on_fail: 'only',
              max_attempts: 7,
            },
            { stage: 'never', on_pass: 'done', on_fail: 'never', max_attempts: 3 },
          ],
        },
      ],
    })
    expect(rowsOf(await session.ask({ cmd: 'workflows' }), 'workflows')).toHaveLength(2)
    expect(await session.ask({ cmd: 'workflows', name: 'none' })).toEqual({ workflows: [] })
  })
})

describe('status', () => {
  it('counts the events of the last minute only, also behind an older one', async () => {
    const session = openSession(url, 'minute')
    for (let at = 0; at < 3; at++)
      await session.ask({ cmd: 'record-event', event_type: 'progress', entity_id: 'x' })
    await sql`insert into swarm.execution_events (event_type, entity_id, repo_id, created_at)
      values ('progress', 'x', 'minute', '2020-01-01T00:00:00Z')`
    expect(await session.ask({ cmd: 'status' })).toMatchObject({
      events_last_minute: 3,
      beads: {},
      agents: {},
      ready: 0,
    })
    await sql`update swarm.execution_events set created_at = created_at - interval '2 minutes' where repo_id = 'minute'`
    expect(await session.ask({ cmd: 'status' })).toMatchObject({ events_last_minute: 0 })
    await sql`insert into swarm.execution_events (event_type, entity_id, repo_id) select 'progress', 'x', 'minute' from generate_series(1, 1201)`
    expect(await session.ask({ cmd: 'status' })).toMatchObject({ events_last_minute: 1_201 })
  })

  it('never tells a password', async () => {
    const envelope = await openSession(url, 'minute').send({ cmd: 'status', database_url: url })
    expect(JSON.stringify(envelope)).not.toContain(url)
    expect(envelope).toMatchObject({
      ok: true,
      d: { database: { kind: expect.stringMatching(/^(embedded|server)$/) } },
    })
  })
})
