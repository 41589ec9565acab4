import { createServer, type Socket } from 'node:net'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SwarmError } from '../../src/contract/errors.ts'
import { type ConnectTarget, type DatabaseOptions, openDatabase } from '../../src/db/database.ts'
import { proxyTo } from '../support/proxy.ts'
import { type ScratchServer, scratchServer } from '../support/scratch-server.ts'
import { STAND_IN } from '../support/stand-in.ts'

let server: ScratchServer

beforeAll(async () => {
  server = await scratchServer({ hba: ['host all locked all scram-sha-256'] })
  const admin = postgres(server.url, { max: 1, onnotice: () => {} })
  await admin.unsafe(STAND_IN)
  await admin.unsafe(
    `create role locked login password 'hunter2'; create role crowd login connection limit 1`,
  )
  await admin.unsafe('create database empty')
  await admin.end()
})

afterAll(() => server.close())

/** Opens, runs, closes; the error or the rows. */
async function attempt(
  target: string | ConnectTarget,
  options: Partial<DatabaseOptions> = {},
  statement = 'select 1 as one',
) {
  const where: ConnectTarget = typeof target === 'string' ? { kind: 'url', url: target } : target
  const db = openDatabase(where, { connectTimeoutMs: 1_000, holder: 'test', ...options })
  const started = performance.now()
  try {
    const rows = await db.read(statement)
    return { rows, ms: performance.now() - started }
  } catch (error) {
    if (!(error instanceof SwarmError)) throw error
    return { error, ms: performance.now() - started }
  } finally {
    await db.close()
  }
}

const ONE = [{ one: 1 }]

describe('connecting', () => {
  it('takes every form of URL', async () => {
    const { port, socketDir } = server
    const directory = encodeURIComponent(socketDir)
    const urls = [
      `postgresql://postgres@127.0.0.1:${port}/postgres`,
      `postgres://postgres@localhost:${port}/postgres?application_name=x`,
      `postgres://postgres@${directory}:${port}/postgres`,
      `postgres:///postgres?host=${socketDir}&port=${port}&user=postgres`,
      `postgres://postgres@127.0.0.1:1,127.0.0.1:${port}/postgres`,
      `postgres://postgres@127.0.0.1:${port}/postgres?prepare=false`,
      `postgres://postgres@127.0.0.1:${port}/postgres?pgbouncer=true&channel_binding=require`,
      `postgres://postgres@127.0.0.1:${port}/postgres?sslmode=prefer`,
      `postgres://postgres@127.0.0.1:${port}/postgres?target_session_attrs=primary`,
      `postgres://postgres@127.0.0.1:${port}/postgres?options=-c%20search_path%3Dswarm`,
      `postgres://locked:hunter2@127.0.0.1:${port}/postgres`,
    ]
    for (const url of urls) expect({ url, rows: (await attempt(url)).rows }).toEqual({ url, rows: ONE })
  })

  it('takes two round trips and one to see that the search_path arrived, then one for each statement', async () => {
    for (const more of ['', '?prepare=false']) {
      const proxy = await proxyTo(server.port)
      const db = openDatabase(
        { kind: 'url', url: `postgres://postgres@127.0.0.1:${proxy.port}/postgres${more}` },
        { connectTimeoutMs: 1_000, holder: 'test' },
      )
      await db.read('select $1::int as a, $2::text as b', [1, 'x'])
      expect(proxy.roundTrips).toBe(3)
      await db.read('select $1::int as a, $2::text as b', [1, 'x'])
      expect(proxy.roundTrips).toBe(4)
      await db.close()
      await proxy.close()
    }
  })

  it('asks for a standby in vain, and says so', async () => {
    const url = `postgres://postgres@127.0.0.1:${server.port}/postgres?target_session_attrs=standby`
    const { error } = await attempt(url)
    expect(error).toMatchObject({ code: 'DEPENDENCY' })
  })
})

describe('a database that is away', () => {
  it('is DEPENDENCY at once when nobody listens', async () => {
    const { error, ms } = await attempt('postgres://u:hunter2@127.0.0.1:1/db')
    expect(error).toMatchObject({ code: 'DEPENDENCY', retryable: true, exitCode: 7, fix: { cmd: 'doctor' } })
    expect(error?.message).toContain('postgres://u:***@127.0.0.1:1/db')
    expect(error?.ctx).toMatchObject({ reason: 'ECONNREFUSED' })
    expect(ms).toBeLessThan(500)
  })

  it('is DEPENDENCY when its socket or its name does not exist', async () => {
    expect((await attempt('postgres:///db?host=/nowhere')).error).toMatchObject({
      code: 'DEPENDENCY',
      ctx: { reason: 'ENOENT' },
    })
    expect((await attempt('postgres://u@nobody.invalid/db?sslmode=disable')).error).toMatchObject({
      code: 'DEPENDENCY',
    })
  })

  it('is DEPENDENCY after the connect timeout when it takes the connection and says nothing', async () => {
    const silent = await tcpServer(() => {})
    const { error, ms } = await attempt(`postgres://u@127.0.0.1:${silent.port}/db`, { connectTimeoutMs: 400 })
    expect(error).toMatchObject({ code: 'DEPENDENCY', retryable: true, ctx: { reason: 'CONNECT_TIMEOUT' } })
    expect(ms).toBeGreaterThan(350)
    expect(ms).toBeLessThan(1_200)
    await silent.close()
  })

  it('is DEPENDENCY when it hangs up, or speaks something else', async () => {
    for (const greet of [
      (s: Socket) => void s.destroy(),
      (s: Socket) => void s.end('SSH-2.0-OpenSSH_9.2\r\n'),
    ]) {
      const other = await tcpServer(greet)
      const { error, ms } = await attempt(`postgres://u@127.0.0.1:${other.port}/db`, {
        connectTimeoutMs: 400,
      })
      expect(error).toMatchObject({ code: 'DEPENDENCY' })
      expect(ms).toBeLessThan(1_500)
      await other.close()
    }
  })

  it('gets the connect timeout to come back when it was there a moment ago', async () => {
    const url = server.url
    const db = openDatabase({ kind: 'url', url }, { connectTimeoutMs: 10_000, holder: 'test' })
    await db.read('select 1')
    await server.stop('SIGINT')
    const rows = db.read('select 1 as one')
    await server.start()
    expect(await rows).toEqual(ONE)
    await db.close()
  })

  it('is away at once when it has stayed away', async () => {
    const db = openDatabase({ kind: 'url', url: server.url }, { connectTimeoutMs: 300, holder: 'test' })
    await db.read('select 1')
    await server.stop('SIGINT')
    try {
      await expect(db.read('select 1')).rejects.toMatchObject({ code: 'DEPENDENCY' })
      const started = performance.now()
      await expect(db.read('select 1')).rejects.toMatchObject({ code: 'DEPENDENCY' })
      expect(performance.now() - started).toBeLessThan(200)
    } finally {
      await server.start()
    }
    expect(await db.read('select 1 as one')).toEqual(ONE)
    await db.close()
  })
})

describe('a database that refuses', () => {
  it('is UNAUTHORIZED with a wrong password, which is never repeated', async () => {
    const { error } = await attempt(`postgres://locked:wrong-secret@127.0.0.1:${server.port}/postgres`)
    expect(error).toMatchObject({ code: 'UNAUTHORIZED', exitCode: 12, ctx: { sqlstate: '28P01' } })
    expect(JSON.stringify([error?.message, error?.ctx, error?.fix, String(error?.stack)])).not.toContain(
      'wrong-secret',
    )
  })

  it('is UNAUTHORIZED for a user that does not exist', async () => {
    const { error } = await attempt(`postgres://nobody@127.0.0.1:${server.port}/postgres`)
    expect(error).toMatchObject({ code: 'UNAUTHORIZED', ctx: { sqlstate: '28000' } })
  })

  it('is DEPENDENCY without the database', async () => {
    const { error } = await attempt(`postgres://postgres@127.0.0.1:${server.port}/nothing`)
    expect(error).toMatchObject({ code: 'DEPENDENCY', retryable: false, ctx: { sqlstate: '3D000' } })
  })

  it('is DEPENDENCY without the schema, with init-db as the way out', async () => {
    const db = openDatabase(
      { kind: 'url', url: server.url.replace(/postgres$/, 'empty') },
      { connectTimeoutMs: 1_000, holder: 't' },
    )
    const write = () => db.write({ cmd: 'bump', repo: 'r', args: {}, key: 'k' })
    for (const work of [write, () => db.read('select * from swarm.bead_backlog')]) {
      await expect(work()).rejects.toMatchObject({
        code: 'DEPENDENCY',
        retryable: false,
        fix: { cmd: 'init-db' },
      })
    }
    await db.close()
  })

  it('is BUSY when it has no connection left, and works when it has one again', async () => {
    const url = `postgres://crowd@127.0.0.1:${server.port}/postgres`
    const holder = postgres(url, { max: 1 })
    await holder`select 1`
    const { error, ms } = await attempt(url, { connectTimeoutMs: 300 })
    expect(error).toMatchObject({ code: 'BUSY', retryable: true, ctx: { sqlstate: '53300' } })
    expect(ms).toBeLessThan(1_000)
    const waiting = attempt(url, { connectTimeoutMs: 5_000 })
    await holder.end()
    expect((await waiting).rows).toEqual(ONE)
  })
})

describe('the embedded server', () => {
  it('is started once when nobody answers, for all who ask', async () => {
    await server.stop('SIGINT')
    let starts = 0
    const target: ConnectTarget = {
      kind: 'embedded',
      host: server.socketDir,
      port: server.port,
      user: 'postgres',
      database: 'postgres',
      async ensure() {
        starts += 1
        await server.start()
        return undefined
      },
    }
    const db = openDatabase(target, { connectTimeoutMs: 1_000, holder: 'test' })
    expect(await Promise.all([1, 2, 3].map(() => db.read('select 1 as one')))).toEqual([ONE, ONE, ONE])
    expect(starts).toBe(1)
    await server.stop('SIGINT')
    expect(await db.write({ cmd: 'bump', repo: 'r', args: { name: 'embedded' }, key: 'k' })).toMatchObject({
      d: { n: 1 },
    })
    expect(starts).toBe(2)
    await db.close()
  })

  it('passes on why it could not be started', async () => {
    const why = new SwarmError('DEPENDENCY', 'the disk is full')
    const target: ConnectTarget = {
      kind: 'embedded',
      host: '/nowhere',
      port: 1,
      user: 'u',
      database: 'd',
      ensure: () => Promise.reject(why),
    }
    expect((await attempt(target)).error).toBe(why)
  })
})

async function tcpServer(
  greet: (socket: Socket) => void,
): Promise<{ port: number; close: () => Promise<void> }> {
  const sockets = new Set<Socket>()
  const listening = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    greet(socket)
  })
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve))
  const address = listening.address()
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    close: () => {
      for (const socket of sockets) socket.destroy()
      return new Promise((resolve) => listening.close(() => resolve()))
    },
  }
}
