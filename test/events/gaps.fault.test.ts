import type postgres from 'postgres'
import { afterEach, describe, expect, test } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { scratchServer } from '../support/scratch-server.ts'
import { openStream, type Stream, subscriptions } from '../support/stream.ts'
import { makeTemplate, plainClient, withDatabase } from '../support/template.ts'

const database = await testDatabase()
const env = { DATABASE_URL: database.url, SWARM_REPO: 'gaps' }
const subscribe = subscriptions(env)
const sessions: postgres.Sql[] = []

afterEach(async () => {
  await Promise.all(sessions.splice(0).map((sql) => sql.end({ timeout: 0 })))
})

const INSERT = `insert into swarm.execution_events (event_type, entity_id, repo_id) values ('gap', $1, 'gaps') returning seq::float8 as seq`

async function insert(sql: postgres.ISql, entity: string): Promise<number> {
  const [row] = await sql.unsafe<{ seq: number }[]>(INSERT, [entity])
  return row?.seq ?? 0
}

/** A transaction that stays open until it is told how to end. */
async function open(work: (sql: postgres.Sql) => Promise<unknown>) {
  // one connection, so that plain statements make one transaction
  const sql = plainClient(database.url)
  sessions.push(sql)
  await sql.unsafe('begin')
  await work(sql)
  const [row] = await sql<{ pid: number }[]>`select pg_backend_pid() as pid`
  return { pid: row?.pid, end: (how: 'commit' | 'rollback') => sql.unsafe(how) }
}

/** A reader that starts now goes on past a number that is never filled. */
async function goesOnPastAGap(): Promise<void> {
  const stream = subscribe('--from', 'now')
  await stream.line(({ kind }) => kind === 'start', 5_000)
  const gap = await open((sql) => insert(sql, 'gone'))
  await insert(database.sql, 'b')
  await gap.end('rollback')
  await stream.line((d) => entityOf(d) === 'b', 2_000)
}

const entityOf = (d: { readonly entity_id?: unknown }) => d.entity_id

describe('a reader that starts from now, at a gap', () => {
  test('begins once the gap is settled, says who holds it up, and misses nothing after that', async () => {
    let first = 0
    const a = await open(async (sql) => {
      first = await insert(sql, 'a')
    })
    const second = await insert(database.sql, 'b')
    expect(second).toBeGreaterThan(first)
    const stream = subscribe('--from', 'now')
    expect(await stream.line(({ kind }) => kind === 'stalled')).toMatchObject({
      reason: 'open_transaction',
      pid: a.pid,
    })
    expect(stream.kind('start')).toEqual([])
    await a.end('commit')
    const { cursor } = await stream.line(({ kind }) => kind === 'start')
    expect(Number(String(cursor).split(':')[1])).toBeGreaterThanOrEqual(second)
    await insert(database.sql, 'c')
    await stream.line((d) => entityOf(d) === 'c')
    expect(stream.kind('event').map(entityOf)).toEqual(['c'])
  })

  test('whatever commits after the start is sent, also what was begun before', async () => {
    await insert(database.sql, 'before')
    const stream = subscribe('--from', 'now')
    await stream.line(({ kind }) => kind === 'start')
    const a = await open((sql) => insert(sql, 'a'))
    await insert(database.sql, 'b')
    await a.end('commit')
    await stream.line((d) => entityOf(d) === 'b')
    expect(stream.kind('event').map(entityOf)).toEqual(['a', 'b'])
  })

  test('is bounded by wait_ms', async () => {
    const a = await open((sql) => insert(sql, 'a'))
    await insert(database.sql, 'b')
    const stream = subscribe('--from', 'now', '--wait-ms', '400')
    expect(await stream.end()).toBe(13)
    expect(stream.lines.at(-1)).toMatchObject({ ok: false, err: { code: 'TIMEOUT' } })
    await a.end('rollback')
  })
})

describe('a reader at a gap', () => {
  test.each([
    ['commit', ['a', 'b']],
    ['rollback', ['b']],
  ] as const)(
    'waits for the transaction that may fill it, and goes on after its %s',
    async (how, expected) => {
      const stream = subscribe('--from', 'now')
      await stream.line(({ kind }) => kind === 'start')
      const a = await open((sql) => insert(sql, 'a'))
      await insert(database.sql, 'b')
      const stalled = await stream.line(({ kind }) => kind === 'stalled')
      expect(stalled).toMatchObject({ reason: 'open_transaction', pid: a.pid })
      expect(stalled.held_ms).toBeGreaterThanOrEqual(1_000)
      expect(stream.kind('event')).toEqual([])
      await a.end(how)
      await stream.line((d) => entityOf(d) === 'b')
      expect(stream.kind('event').map(entityOf)).toEqual(expected)
    },
  )

  test.each([
    [
      'has written elsewhere',
      async (sql: postgres.Sql) => void (await sql`create table elsewhere (n integer)`),
    ],
    [
      'has an id and only looks at the log',
      async (sql: postgres.Sql) =>
        void (await sql`select pg_current_xact_id(), count(*) from swarm.execution_events`),
    ],
  ])('does not wait for a transaction that %s', async (_what, work) => {
    const other = await open(work)
    await goesOnPastAGap()
    await other.end('rollback')
  })

  test('does not wait, beside such a one, for a session that has locked the log and has no id yet', async () => {
    const other = await open((sql) => sql`select pg_current_xact_id()`)
    const locker = await open((sql) => sql`lock table swarm.execution_events in row exclusive mode`)
    await goesOnPastAGap()
    await Promise.all([other.end('rollback'), locker.end('rollback')])
  })

  test('waits for two that overlap, also when the log goes on in between', async () => {
    const other = await open((sql) => sql`select pg_current_xact_id()`)
    const stream = subscribe('--from', 'now')
    await stream.line(({ kind }) => kind === 'start')
    const a = await open((sql) => insert(sql, 'a'))
    const b = await open((sql) => insert(sql, 'b'))
    await insert(database.sql, 'c')
    await stream.line(({ kind }) => kind === 'stalled')
    await b.end('commit')
    const d = await open((sql) => insert(sql, 'd'))
    await insert(database.sql, 'e')
    expect(stream.kind('event')).toEqual([])
    await a.end('commit')
    await stream.line((one) => entityOf(one) === 'c')
    await d.end('commit')
    await stream.line((one) => entityOf(one) === 'e')
    expect(stream.kind('event').map(entityOf)).toEqual(['a', 'b', 'c', 'd', 'e'])
    await other.end('rollback')
  })

  test('an answer of events ends before the gap, so that its cursor can be gone on from', async () => {
    const before = await insert(database.sql, 'before')
    const a = await open((sql) => insert(sql, 'a'))
    await insert(database.sql, 'b')
    const page = openStream(['events', '--after', String(before)], env)
    await page.end()
    expect(page.lines[0]).toMatchObject({ ok: true, d: { events: [] } })
    await a.end('commit')
    const again = openStream(['events', '--after', String(before)], env)
    await again.end()
    expect(again.lines[0]).toMatchObject({ d: { events: [{ entity_id: 'a' }, { entity_id: 'b' }] } })
  })
})

describe('a prepared transaction', () => {
  test('is waited for, whether it was prepared before the reader looked or after', async () => {
    const server = await scratchServer({ settings: { max_prepared_transactions: '4' } })
    let reader: Stream | undefined
    try {
      await makeTemplate(server.url)
      const url = withDatabase(server.url, 'swarm_test_template')
      const [sql, other, writer] = [plainClient(url), plainClient(url), plainClient(url)]
      sessions.push(sql, other, writer)
      // beside it only the locks say who may still fill a gap
      await other.unsafe('begin; select pg_current_xact_id()')
      const stream = openStream(['subscribe', '--from', 'now'], { DATABASE_URL: url, SWARM_REPO: 'gaps' })
      reader = stream
      await stream.line(({ kind }) => kind === 'start')
      for (const [at, when] of ['before', 'after'].entries()) {
        await writer.unsafe('begin')
        await insert(writer, `first ${when}`)
        if (when === 'before') await writer.unsafe(`prepare transaction 'p'`)
        await insert(sql, `second ${when}`)
        await expect.poll(() => stream.kind('stalled').length, { timeout: 8_000 }).toBeGreaterThan(at)
        if (when === 'after') await writer.unsafe(`prepare transaction 'p'`)
        // long enough for several looks
        await new Promise((resolve) => setTimeout(resolve, 500))
        await sql.unsafe(`commit prepared 'p'`)
        await stream.line((d) => entityOf(d) === `second ${when}`)
      }
      const entities = ['first before', 'second before', 'first after', 'second after']
      expect(stream.kind('event').map(entityOf)).toEqual(entities)
    } finally {
      reader?.process.kill('SIGKILL')
      await reader?.end()
      await server.close()
    }
  })
})
