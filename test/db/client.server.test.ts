import { randomUUID } from 'node:crypto'
import postgres from 'postgres'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Database, WriteCall } from '../../src/contract/context.ts'
import { SwarmError } from '../../src/contract/errors.ts'
import { type OpenDatabase, openDatabase } from '../../src/db/database.ts'
import { groupCalls } from '../../src/db/writes.ts'
import { proxyTo, type TestProxy } from '../support/proxy.ts'
import { type ScratchServer, scratchServer } from '../support/scratch-server.ts'
import { STAND_IN } from '../support/stand-in.ts'

let server: ScratchServer
let admin: postgres.Sql
let db: OpenDatabase

beforeAll(async () => {
  server = await scratchServer()
  admin = postgres(server.url, { max: 2, onnotice: () => {} })
  await admin.unsafe(STAND_IN)
  db = openDatabase({ kind: 'url', url: server.url }, { connectTimeoutMs: 3_000, holder: 'test', max: 4 })
})

beforeEach(async () => {
  await admin.unsafe(
    `truncate swarm.operations, swarm.counters, swarm.bumps; select setval('swarm.attempts', 1, false)`,
  )
})

afterAll(async () => {
  await db.close()
  await admin.end()
  await server.close()
})

const call = (cmd: string, args: WriteCall['args'] = {}, more: Partial<WriteCall> = {}): WriteCall => ({
  cmd,
  args,
  repo: 'r',
  key: randomUUID(),
  ...more,
})

async function errorOf(work: Promise<unknown>): Promise<SwarmError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!(error instanceof SwarmError)) throw new Error(`expected a SwarmError, got ${String(error)}`)
  return error
}

async function counter(name = 'main'): Promise<number> {
  const [row] = await admin`select n::int from swarm.counters where name = ${name}`
  return row?.n ?? 0
}

describe('write', () => {
  it('answers, and answers the same again under the same key', async () => {
    const write = call('bump', { name: 'a', text: 'ü"\\ \u2028' }, { proc: { holder: 's' }, rid: 7 })
    const first = await db.write(write)
    expect(first).toEqual({
      d: { n: 1, args: write.args, proc: { holder: 's' }, rid: '7' },
      replayed: false,
      changed: true,
    })
    expect(await db.write(write)).toEqual({ ...first, replayed: true, changed: false })
    expect(await counter('a')).toBe(1)
  })

  it('throws a refusal with everything it says', async () => {
    const refused = {
      code: 'CONFLICT',
      area: 'stage',
      msg: 'another stage',
      ctx: { a: 1 },
      fix: { cmd: 'show' },
      needs: ['x'],
    }
    const error = await errorOf(db.write(call('refuse', refused)))
    expect(error).toMatchObject({
      code: 'CONFLICT',
      area: 'stage',
      message: 'another stage',
      fix: { cmd: 'show' },
    })
    expect(error.ctx).toEqual({ a: 1, needs: ['x'] })
    expect(error.exitCode).toBe(6)
  })

  it('makes INTERNAL of what the database raises, with the SQLSTATE and without secrets', async () => {
    const error = await errorOf(db.write(call('raise', { why: 'postgres://u:hunter2@h/db' })))
    expect(error).toMatchObject({ code: 'INTERNAL', area: 'database', exitCode: 3 })
    expect(error.ctx).toMatchObject({ sqlstate: 'P0001' })
    expect(error.message).toContain('no good: postgres://u:***@h/db')
    expect(JSON.stringify([error.message, error.ctx, error.fix])).not.toContain('hunter2')
  })

  it('sends deadlock victims again and never shows them', async () => {
    expect(await db.write(call('contend', { times: 3 }))).toMatchObject({ d: { n: 1 } })
    expect(await counter()).toBe(1)
  })

  it.each(['P0001', '57014', '40P01', '53100'])('was done when %s came after its commit', async (state) => {
    // a client of its own: the first write of a quiet one wakes along the way
    const fresh = openDatabase({ kind: 'url', url: server.url }, { connectTimeoutMs: 3_000, holder: 'late' })
    const reply = await fresh.write(call('late', { state }))
    await fresh.close()
    expect(reply).toMatchObject({ d: { n: 1 }, replayed: true, changed: true })
    expect(await counter()).toBe(1)
  })

  it('gives up contention at the deadline, as BUSY with the same request as fix', async () => {
    const hasty = openDatabase(
      { kind: 'url', url: server.url },
      { connectTimeoutMs: 3_000, holder: 't', statementTimeoutMs: 2_000 },
    )
    const write = call('contend', { times: 1_000_000 })
    const error = await errorOf(hasty.write(write))
    await hasty.close()
    expect(error).toMatchObject({ code: 'BUSY', retryable: true, ctx: { sqlstate: '40P01' } })
    expect(error.fix).toEqual({ cmd: 'contend', repo: 'r', times: 1_000_000, idem: write.key })
  })

  it('says at the deadline that the outcome is unknown, ends the statement there, and goes on working', async () => {
    const hasty = openDatabase(
      { kind: 'url', url: server.url },
      { connectTimeoutMs: 3_000, holder: 't', statementTimeoutMs: 400 },
    )
    const write = call('slow', { seconds: 20 })
    const started = performance.now()
    const error = await errorOf(hasty.write(write))
    expect(performance.now() - started).toBeLessThan(1_500)
    expect(error).toMatchObject({ code: 'TIMEOUT', retryable: true })
    expect(error.ctx).toMatchObject({ outcome: 'unknown', idem: write.key })
    expect(error.fix).toEqual({ cmd: 'slow', repo: 'r', seconds: 20, idem: write.key })
    expect(await hasty.write(call('bump'))).toMatchObject({ d: { n: 1 } })
    await expect
      .poll(
        async () =>
          (
            await admin`select 1 from pg_stat_activity where query like '%swarm.run%' and state = 'active' and pid <> pg_backend_pid()`
          ).length,
      )
      .toBe(0)
    await hasty.close()
  })

  it('is settled under its key when its connection is killed in the middle', async () => {
    const write = call('slow', { seconds: 0.5 })
    const reply = db.write(write)
    await expect.poll(() => killBackends('%swarm.run%')).toBe(1)
    expect(await reply).toMatchObject({ d: { n: 1 } })
    expect(await counter()).toBe(1)
  })
})

describe('a reply that is lost', () => {
  let proxy: TestProxy
  let far: OpenDatabase

  beforeEach(async () => {
    proxy = await proxyTo(server.port)
    const url = server.url.replace(String(server.port), String(proxy.port))
    far = openDatabase({ kind: 'url', url }, { connectTimeoutMs: 3_000, holder: 'far' })
    await far.read('select 1')
  })

  afterEach(async () => {
    await far.close()
    await proxy.close()
  })

  it('is got by sending the write again, which is not done twice, and those who wait are woken', async () => {
    const heard: string[] = []
    const ear = postgres(server.url, { max: 1 })
    await ear.listen('swarm', (repo) => heard.push(repo))
    await far.write(call('bump'))
    proxy.cutNextAnswer()
    expect(await far.write(call('bump'))).toMatchObject({ d: { n: 2 }, replayed: true })
    expect(await counter()).toBe(2)
    // the first write and the second; the one that is sent again may wake once more
    await expect.poll(() => heard.length).toBeGreaterThanOrEqual(2)
    await ear.end()
  })

  it('is got for a group of appends, too', async () => {
    await far.append([call('bump'), call('bump')])
    proxy.cutNextAnswer()
    const results = await far.append([call('bump'), call('bump')])
    expect(results.map((r) => r.status === 'fulfilled' && [r.value.d.n, r.value.replayed])).toEqual([
      [3, true],
      [4, true],
    ])
  })

  it('is TIMEOUT with an unknown outcome when the database does not come back', async () => {
    const url = server.url.replace(String(server.port), String(proxy.port))
    const hasty = openDatabase(
      { kind: 'url', url },
      { connectTimeoutMs: 300, holder: 'far', statementTimeoutMs: 800 },
    )
    await hasty.write(call('bump'))
    proxy.cutNextAnswer('for good')
    const write = call('bump')
    const started = performance.now()
    expect(await errorOf(hasty.write(write))).toMatchObject({
      code: 'TIMEOUT',
      ctx: { outcome: 'unknown', idem: write.key },
    })
    expect(performance.now() - started).toBeGreaterThan(600)
    expect(await db.write(write)).toMatchObject({ d: { n: 2 }, replayed: true })
    await hasty.close()
  })

  it('of a COMMIT makes a keyed transaction run again, and any other fail as unknown', async () => {
    const keyed = [call('bump'), call('bump')]
    const runs: boolean[] = []
    const commitCut = (calls: readonly WriteCall[]) => async (tx: Database) => {
      const replies = []
      for (const each of calls) replies.push(await tx.write(each))
      runs.push(replies.every((reply) => reply.replayed))
      if (runs.length === 1) proxy.cutNextAnswer()
    }
    await far.transaction(commitCut(keyed), { keyed: true })
    expect(runs).toEqual([false, true])
    expect(await counter()).toBe(2)
    runs.length = 0
    const error = await errorOf(far.transaction(commitCut([call('bump')])))
    expect(error).toMatchObject({ code: 'DEPENDENCY', retryable: false, ctx: { outcome: 'unknown' } })
    expect(runs).toEqual([false])
    expect(await counter()).toBe(3)
  })
})

describe('append', () => {
  it('sends a group as one statement and answers in order', async () => {
    const calls = [1, 2, 3].map((i) => call('bump', { i }))
    const results = await db.append(calls)
    expect(results.map((r) => r.status === 'fulfilled' && r.value.d.args)).toEqual([
      { i: 1 },
      { i: 2 },
      { i: 3 },
    ])
    const [row] = await admin`select last_value::int as n from swarm.attempts`
    expect(row?.n).toBe(1)
  })

  it('runs them one by one when the statement raises', async () => {
    const results = await db.append([
      call('bump'),
      call('raise', { why: 'me' }),
      call('refuse', { code: 'NOTFOUND', msg: 'who' }),
      call('bump'),
    ])
    expect(results.map((r) => (r.status === 'fulfilled' ? r.value.d.n : r.reason.code))).toEqual([
      1,
      'INTERNAL',
      'NOTFOUND',
      2,
    ])
    expect(await counter()).toBe(2)
  })

  it('does not put the same key twice into one statement, nor more than 64', async () => {
    const twice = call('bump')
    const [a, b] = [call('bump'), call('bump', {}, { repo: 'other', key: twice.key })]
    expect(groupCalls([twice, a, b, twice, a])).toEqual([
      [twice, a, b],
      [twice, a],
    ])
    expect(groupCalls(Array.from({ length: 130 }, () => call('bump'))).map((group) => group.length)).toEqual([
      64, 64, 2,
    ])
    const results = await db.append([twice, call('bump'), twice])
    expect(results.map((r) => r.status === 'fulfilled' && [r.value.d.n, r.value.replayed])).toEqual([
      [1, false],
      [2, false],
      [1, true],
    ])
  })

  it('gives each its own way out at the deadline', async () => {
    const hasty = openDatabase(
      { kind: 'url', url: server.url },
      { connectTimeoutMs: 3_000, holder: 't', statementTimeoutMs: 300 },
    )
    const calls = [call('bump'), call('slow', { seconds: 20 })]
    const results = await hasty.append(calls)
    await hasty.close()
    expect(results.map((r) => r.status === 'rejected' && [r.reason.code, r.reason.fix.idem])).toEqual(
      calls.map((c) => ['TIMEOUT', c.key]),
    )
  })
})

describe('read', () => {
  it('sends parameters as their text and gives rows as objects, the first time and again', async () => {
    const statement = `select $1::text as t, $2::int as i, $3::boolean as b, $4::jsonb as j, $5::text as n,
      $6::timestamptz = '2026-01-02T03:04:05.678901Z' as at, $7::float8 as f, count(*) as c from generate_series(1, $2::int)`
    const params = ['x\ty', 3, false, '{"a":["1"]}', null, '2026-01-02T03:04:05.678901Z', 1.5]
    for (let time = 0; time < 3; time += 1) {
      const rows = await db.read(statement, params)
      expect(rows).toEqual([
        { t: 'x\ty', i: 3, b: false, j: { a: ['1'] }, n: null, at: true, f: 1.5, c: '3' },
      ])
    }
  })

  it('runs again when its connection is killed', async () => {
    const rows = db.read('select 1 as one from pg_sleep(0.5)')
    await expect.poll(() => killBackends('%pg_sleep(0.5)%')).toBe(1)
    expect(await rows).toEqual([{ one: 1 }])
  })

  it('goes on after a statement is no longer what it was', async () => {
    await db.script('drop table if exists public.shape; create table public.shape (a int)')
    await db.read('select * from public.shape')
    await db.script('alter table public.shape add column b int; insert into public.shape values (1, 2)')
    expect(await db.read('select * from public.shape')).toEqual([{ a: 1, b: 2 }])
  })

  it('serves more readers than connections, the slow not holding up the quick', async () => {
    const slow = [1, 2, 3].map(() => db.read('select pg_sleep(1)'))
    const started = performance.now()
    await Promise.all(Array.from({ length: 50 }, (_, i) => db.read('select $1::int as i', [i])))
    expect(performance.now() - started).toBeLessThan(700)
    await Promise.all(slow)
  })
})

describe('transaction', () => {
  it('does all or nothing', async () => {
    await db.transaction(async (tx) => {
      await tx.write(call('bump'))
      await tx.write(call('bump'))
    })
    await expect(
      db.transaction(async (tx) => {
        await tx.write(call('bump'))
        throw new Error('changed my mind')
      }),
    ).rejects.toThrow('changed my mind')
    expect(await counter()).toBe(2)
  })

  it('throws a refusal through, and rolls back', async () => {
    const refused = db.transaction(async (tx) => {
      await tx.write(call('bump'))
      return tx.write(call('refuse', { code: 'NOTFOUND', msg: 'no such bead' }))
    })
    expect(await errorOf(refused)).toMatchObject({ code: 'NOTFOUND', message: 'no such bead' })
    expect(await counter()).toBe(0)
  })

  it('does not commit when a statement failed and nobody cared', async () => {
    const swallowed = db.transaction(async (tx) => {
      await tx.write(call('bump'))
      await tx.write(call('raise', { why: 'x' })).catch(() => {})
      return 'fine'
    })
    expect(await errorOf(swallowed)).toMatchObject({ code: 'INTERNAL' })
    expect(await counter()).toBe(0)
  })

  it('undoes only the inner part when that fails', async () => {
    await db.transaction(async (tx) => {
      await tx.write(call('bump'))
      await tx.transaction((inner) => inner.write(call('raise', { why: 'x' }))).catch(() => {})
      await tx.transaction((inner) => inner.write(call('bump')))
    })
    expect(await counter()).toBe(2)
  })

  it('runs again when its connection dies before COMMIT', async () => {
    let runs = 0
    await db.transaction(async (tx) => {
      runs += 1
      await tx.write(call('bump'))
      if (runs === 1) await expect.poll(() => killBackends('%swarm.run%')).toBe(1)
      await tx.write(call('bump'))
    })
    expect(runs).toBe(2)
    expect(await counter()).toBe(2)
  })

  it('runs again when it was a deadlock victim, also when that was swallowed', async () => {
    await db.transaction(async (tx) => {
      await tx.write(call('contend', { times: 2 })).catch(() => {})
    })
    expect(await counter()).toBe(1)
  })

  it('is bounded as a whole, and leaves no transaction behind', async () => {
    const hasty = openDatabase(
      { kind: 'url', url: server.url },
      { connectTimeoutMs: 3_000, holder: 'bounded', statementTimeoutMs: 400 },
    )
    const endless = hasty.transaction(async (tx) => {
      await tx.write(call('bump'))
      await new Promise(() => {})
    })
    expect(await errorOf(endless)).toMatchObject({ code: 'TIMEOUT' })
    await expect
      .poll(
        async () =>
          (await admin`select 1 from pg_stat_activity where application_name = 'swarm bounded'`).length,
      )
      .toBe(0)
    expect(await counter()).toBe(0)
    await hasty.close()
  })

  it('does without prepared statements once a pooler has lost one', async () => {
    const pooled = openDatabase(
      { kind: 'url', url: server.url },
      { connectTimeoutMs: 3_000, holder: 'pooled' },
    )
    let runs = 0
    const name = await pooled.transaction(async (tx) => {
      runs += 1
      await tx.write(call('bump'))
      await tx.script('deallocate all')
      await tx.write(call('bump'))
      const [row] = await tx.read<{ n: number }>('select count(*)::int as n from pg_prepared_statements')
      return row?.n
    })
    expect([runs, name, await counter()]).toEqual([2, 0, 2])
    await pooled.close()
  })

  it('waits its turn when every connection is taken', async () => {
    const slow = [1, 2, 3, 4].map(() => db.read('select pg_sleep(0.3)'))
    const many = Array.from({ length: 8 }, () => db.transaction((tx) => tx.write(call('bump'))))
    await Promise.all([...slow, ...many])
    expect(await counter()).toBe(8)
  })

  it('appends one by one inside', async () => {
    const results = await db.transaction((tx: Database) =>
      tx.append([call('bump'), call('refuse', { code: 'EXISTS', msg: 'm' })]),
    )
    expect(results.map((r) => r.status)).toEqual(['fulfilled', 'rejected'])
  })

  it('refuses to wait inside', async () => {
    const waiting = db.transaction((tx) => tx.waitForChange('r', 100, new AbortController().signal))
    expect(await errorOf(waiting)).toMatchObject({ code: 'INVALID' })
  })
})

describe('script', () => {
  it('runs several statements in one transaction', async () => {
    await db.script('create table public.s (a int); insert into public.s values (1);')
    const failing = db.script('insert into public.s values (2); select 1 / 0;')
    expect(await errorOf(failing)).toMatchObject({ code: 'INTERNAL', ctx: { sqlstate: '22012' } })
    expect(await db.read('select a from public.s')).toEqual([{ a: 1 }])
  })
})

/** Ends the active backends whose statement is like this; how many. */
async function killBackends(like: string): Promise<number> {
  const rows = await admin`
    select pg_terminate_backend(pid) from pg_stat_activity
    where query like ${like} and pid <> pg_backend_pid() and state in ('active', 'idle in transaction') and usename is not null`
  return rows.length
}

describe('close', () => {
  it('ends what is under way, and nothing is tried again', async () => {
    const closing = openDatabase(
      { kind: 'url', url: server.url },
      { connectTimeoutMs: 60_000, holder: 'closing', statementTimeoutMs: 60_000 },
    )
    const reading = errorOf(closing.read('select pg_sleep(60)'))
    await expect
      .poll(async () => {
        const [row] = await admin`select count(*)::int as n from pg_stat_activity
          where application_name = 'swarm closing' and state = 'active'`
        return row?.n
      })
      .toBe(1)
    await closing.close()
    expect(await reading).toMatchObject({ code: 'DEPENDENCY' })
  })
})
