import { randomUUID } from 'node:crypto'
import postgres from 'postgres'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { WriteCall } from '../../src/contract/context.ts'
import { type OpenDatabase, openDatabase } from '../../src/db/database.ts'
import { Listener, type ListenerOptions } from '../../src/db/listener.ts'
import { parseUrl } from '../../src/db/url.ts'
import { waitForWake } from '../../src/db/waiting.ts'
import { proxyTo } from '../support/proxy.ts'
import { type ScratchServer, scratchServer } from '../support/scratch-server.ts'
import { STAND_IN } from '../support/stand-in.ts'

let server: ScratchServer
let admin: postgres.Sql
const opened: { close(): unknown }[] = []

beforeAll(async () => {
  server = await scratchServer()
  admin = postgres(server.url, { max: 1, onnotice: () => {} })
  await admin.unsafe(STAND_IN)
})

afterEach(async () => {
  for (const each of opened.splice(0)) await each.close()
})

afterAll(async () => {
  await admin.end()
  await server.close()
})

let sessions = 0
function open(url = server.url, onWarn?: (message: string) => void): OpenDatabase {
  sessions += 1
  const db = openDatabase(
    { kind: 'url', url },
    { connectTimeoutMs: 2_000, holder: `s-${sessions}`, ...(onWarn ? { onWarn } : {}) },
  )
  opened.push(db)
  return db
}

function listen(options: Partial<ListenerOptions> = {}): Listener {
  sessions += 1
  const listener = new Listener({
    connect: parseUrl(server.url),
    connectTimeoutMs: 2_000,
    holder: `l-${sessions}`,
    probe: async () => {},
    onWarn: () => {},
    random: Math.random,
    ...options,
  })
  opened.push(listener)
  return listener
}

const call = (repo: string, cmd: string, args: WriteCall['args'] = {}): WriteCall => ({
  repo,
  cmd,
  args,
  key: randomUUID(),
})
const onPort = (port: number) => server.url.replace(String(server.port), String(port))
const never = () => new AbortController().signal
const notify = (repo: string) => admin`select pg_notify('swarm', ${repo})`
const listening = (listener: Listener) =>
  expect.poll(() => listener.state, { interval: 5, timeout: 5_000 }).toBe('listening')

/** Resolves with the milliseconds that `work` took. */
async function timed(work: Promise<unknown>): Promise<number> {
  const started = performance.now()
  await work
  return performance.now() - started
}

describe('at rest', () => {
  const channels = async (listener: Listener, session: string) => {
    const [row] = await admin<
      { query: string }[]
    >`select query from pg_stat_activity where application_name = ${`swarm listen ${session}`}`
    return { state: listener.state, last: row?.query }
  }

  it('asks for no notifications while they come and nobody waits, and for them again when somebody does', async () => {
    const listener = listen({ holder: 'rests' })
    let woken = 0
    listener.onWake('a', () => {})()
    const stop = listener.onWake('a', () => {
      woken += 1
    })
    await listening(listener)
    stop()
    await expect
      .poll(
        async () => {
          await notify('b')
          return channels(listener, 'rests')
        },
        { interval: 20, timeout: 5_000 },
      )
      .toEqual({ state: 'resting', last: 'unlisten *' })
    const before = listener.version('a')
    const again = listener.onWake('a', () => {
      woken += 1
    })
    await listening(listener)
    // what came meanwhile was not heard: whoever waits is woken
    expect(woken).toBe(2)
    expect(listener.version('a')).toBeGreaterThan(before)
    await notify('a')
    await expect.poll(() => woken).toBe(3)
    again()
  })

  it('a connection that died at rest is made again', async () => {
    const listener = listen({ holder: 'dies' })
    listener.onWake('a', () => {})()
    await listening(listener)
    await expect
      .poll(
        async () => {
          await notify('b')
          return listener.state
        },
        { interval: 20, timeout: 5_000 },
      )
      .toBe('resting')
    await admin`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'swarm listen dies'`
    let woken = 0
    const stop = listener.onWake('a', () => {
      woken += 1
    })
    await listening(listener)
    await notify('a')
    await expect.poll(() => woken).toBeGreaterThan(1)
    stop()
  })
})

describe('waitForChange', () => {
  it('is woken by another process that notifies for the same repo, and by no other', async () => {
    const waiter = open()
    const writer = open()
    await waiter.waitForChange('a', 1, never())
    await listening(await waiter.listener())
    const waiting = timed(waiter.waitForChange('a', 60_000, never()))
    writer.notify('b')
    writer.notify('a')
    expect(await waiting).toBeLessThan(300)
    const unheard = timed(waiter.waitForChange('a', 200, never()))
    writer.notify('b')
    expect(await unheard).toBeGreaterThan(150)
  })

  it('is woken by its own process at once', async () => {
    const db = open()
    await listening(await warm(db))
    const waiting = timed(db.waitForChange('a', 60_000, never()))
    setImmediate(() => db.notify('a'))
    expect(await waiting).toBeLessThan(100)
  })

  it('looks again after a second in any case, or earlier when told so', async () => {
    const db = open()
    await listening(await warm(db))
    expect(await timed(db.waitForChange('a', 50, never()))).toBeLessThan(500)
    const ms = await timed(db.waitForChange('a', 60_000, never()))
    expect(ms).toBeGreaterThan(900)
    expect(ms).toBeLessThan(1_500)
  })

  it('ends when its signal aborts, before or while it waits', async () => {
    const db = open()
    const stop = new AbortController()
    const waiting = timed(db.waitForChange('a', 60_000, stop.signal))
    setTimeout(() => stop.abort(), 50)
    expect(await waiting).toBeLessThan(500)
    expect(await timed(db.waitForChange('a', 60_000, stop.signal))).toBeLessThan(50)
  })

  it('does not sleep through what was announced while the same waiter was reading', async () => {
    const db = open()
    const listener = await warm(db)
    await listening(listener)
    const signal = never()
    await waitForWake(listener, 'a', 1, signal)
    const before = listener.version('a')
    await notify('a')
    await expect.poll(() => listener.version('a'), { interval: 2 }).toBeGreaterThan(before)
    expect(await timed(waitForWake(listener, 'a', 60_000, signal))).toBeLessThan(50)
    expect(await timed(waitForWake(listener, 'a', 300, signal))).toBeGreaterThan(250)
  })

  it('serves a hundred waiters over one connection', async () => {
    const db = open()
    await listening(await warm(db))
    const stop = new AbortController()
    const waits = Array.from({ length: 100 }, () => db.waitForChange('many', 60_000, stop.signal))
    const [row] =
      await admin`select count(*)::int as n from pg_stat_activity where application_name like 'swarm listen%' and state is not null`
    expect(row?.n).toBe(1)
    const waiting = timed(Promise.all(waits))
    await notify('many')
    expect(await waiting).toBeLessThan(300)
  })

  it('is told through SWARM_LISTEN_URL when the database is behind a pooler', async () => {
    const db = openDatabase(
      { kind: 'url', url: `${server.url}?pgbouncer=true` },
      { connectTimeoutMs: 2_000, holder: 'direct', listen: { kind: 'url', url: server.url } },
    )
    opened.push(db)
    await listening(await warm(db))
  })
})

describe('notify', () => {
  it('sends at once when it is quiet, and then at most every 10 ms, each repo once', async () => {
    const heard: string[] = []
    const ear = postgres(server.url, { max: 1 })
    await ear.listen('swarm', (repo) => heard.push(repo))
    const db = open()
    await db.read('select 1')
    const ms = timed(expect.poll(() => heard.length, { interval: 1 }).toBe(1))
    db.notify('first')
    expect(await ms).toBeLessThan(100)
    const started = performance.now()
    const until = started + 200
    const heardOfX = () => heard.filter((repo) => repo === 'x').length
    // as long as it takes to hear of several: how fast they come is not what is asked
    while (performance.now() < until || (heardOfX() <= 3 && performance.now() < until + 10_000)) {
      for (const repo of ['x', 'y']) for (let i = 0; i < 50; i += 1) db.notify(repo)
      await new Promise((resolve) => setImmediate(resolve))
    }
    const most = (performance.now() - started) / 10 + 2
    await db.close()
    await expect.poll(() => heard.at(-1)).toBe('y')
    expect(heardOfX()).toBeGreaterThan(3)
    expect(heardOfX()).toBeLessThanOrEqual(most)
    await ear.end()
  })

  it('is flushed by close, comes after COMMIT, and not at all after a rollback', async () => {
    const heard: string[] = []
    const ear = postgres(server.url, { max: 1 })
    await ear.listen('swarm', (repo) => heard.push(repo))
    const db = open()
    await db.transaction(async (tx) => tx.write(call('committed', 'bump')))
    await db
      .transaction(async (tx) => {
        await tx.write(call('undone', 'bump'))
        throw new Error('no')
      })
      .catch(() => {})
    db.notify('last')
    await db.close()
    await expect.poll(() => heard).toEqual(['committed', 'last'])
    await ear.end()
  })

  it('comes along with a write, and not with one that changed nothing', async () => {
    const heard: string[] = []
    const ear = postgres(server.url, { max: 1 })
    await ear.listen('swarm', (repo) => heard.push(repo))
    const db = open()
    const first = call('first', 'bump')
    expect(await db.write(first)).toMatchObject({ changed: true })
    await expect.poll(() => heard).toEqual(['first'])
    expect(await db.write({ ...first })).toMatchObject({ changed: false, replayed: true })
    expect(await db.write(call('idle', 'idle'))).toMatchObject({ changed: false })
    await db.write(call('refused', 'refuse', { code: 'CONFLICT', msg: 'no' })).catch(() => {})
    for (const repo of ['quiet', 'busy']) await db.write(call(repo, 'bump'))
    await db.close()
    await expect.poll(() => heard).toEqual(['first', 'quiet', 'busy'])
    await ear.end()
  })

  it('does not fail anybody when the database is away', async () => {
    const db = open('postgres://u@127.0.0.1:1/db')
    db.notify('a')
    await db.close()
  })
})

describe('the listening connection', () => {
  it('is made again when its backend is killed, and wakes everybody then', async () => {
    const listener = listen()
    let woken = 0
    listener.onWake('a', () => {
      woken += 1
    })
    await listening(listener)
    expect(woken).toBe(1)
    const killed =
      await admin`select pg_terminate_backend(pid) from pg_stat_activity where application_name = ${`swarm listen l-${sessions}`}`
    expect(killed.length).toBe(1)
    await expect.poll(() => woken, { interval: 5, timeout: 2_000 }).toBe(2)
    await notify('a')
    await expect.poll(() => woken, { interval: 5 }).toBe(3)
  })

  it('is back within two seconds of the server being ready', async () => {
    const listener = listen()
    let woken = 0
    listener.onWake(null, () => {
      woken += 1
    })
    await listening(listener)
    await server.stop('SIGINT')
    await expect.poll(() => listener.state).toBe('connecting')
    // long enough for a back-off that grows to have grown
    await new Promise((resolve) => setTimeout(resolve, 4_000))
    const before = woken
    await server.start()
    expect(
      await timed(expect.poll(() => woken, { interval: 5, timeout: 5_000 }).toBeGreaterThan(before)),
    ).toBeLessThan(2_000)
    expect(listener.state).toBe('listening')
  })

  it('finds a half-open connection by its heartbeat', async () => {
    const proxy = await proxyTo(server.port)
    const listener = listen({ connect: parseUrl(onPort(proxy.port)), heartbeatMs: 100, answerMs: 200 })
    let woken = 0
    listener.onWake('a', () => {
      woken += 1
    })
    await listening(listener)
    // several heartbeats pass and change nothing
    await new Promise((resolve) => setTimeout(resolve, 600))
    expect([proxy.accepted, woken]).toEqual([1, 1])
    proxy.freeze()
    proxy.thaw()
    await expect.poll(() => woken, { timeout: 3_000 }).toBeGreaterThan(1)
    await notify('a')
    await expect.poll(() => woken).toBe(3)
    listener.close()
    await proxy.close()
  })

  it('gives way to polling where notifications do not pass, and says so once', async () => {
    const proxy = await proxyTo(server.port, { pooler: 'transaction' })
    const warnings: string[] = []
    const listener = listen({
      connect: parseUrl(onPort(proxy.port)),
      probe: async (channel) => void (await admin`select pg_notify(${channel}, 'probe')`),
      onWarn: (message) => warnings.push(message),
      answerMs: 300,
    })
    listener.onWake('a', () => {})
    await expect.poll(() => listener.state).toBe('polling')
    expect(await timed(waitForWake(listener, 'a', 60_000, never()))).toBeLessThan(1_500)
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain('SWARM_LISTEN_URL')
    listener.close()
    await proxy.close()
  })

  it('goes on listening behind a pooler that passes notifications', async () => {
    const proxy = await proxyTo(server.port, { pooler: 'session' })
    const warnings: string[] = []
    const db = open(onPort(proxy.port), (message) => warnings.push(message))
    await listening(await warm(db))
    expect(warnings).toEqual([])
    await db.close()
    await proxy.close()
  })

  it('is the same for one who comes and goes', async () => {
    const db = open()
    const listener = await db.listener()
    await waitForWake(listener, 'a', 1, never())
    await listening(listener)
    const waiting = timed(waitForWake(listener, 'a', 60_000, never()))
    await notify('a')
    expect(await waiting).toBeLessThan(300)
  })

  it('polls at once where the URL says so', async () => {
    const warnings: string[] = []
    const db = open(`${server.url}?pgbouncer=true`, (message) => warnings.push(message))
    expect((await db.listener()).state).toBe('polling')
    expect(warnings).toHaveLength(1)
  })
})

/** The listener of a database, with a subscriber that keeps it connected. */
async function warm(db: OpenDatabase): Promise<Listener> {
  const listener = await db.listener()
  listener.onWake('nobody', () => {})
  return listener
}
