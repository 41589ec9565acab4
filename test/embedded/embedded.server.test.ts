import { cpSync, existsSync, lstatSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import {
  adoptEmbedded,
  embeddedPointer,
  embeddedStatus,
  ensureEmbedded,
  resetEmbedded,
  stopEmbedded,
} from '../../src/embedded/index.ts'
import { embeddedTarget } from '../../src/embedded/target.ts'
import { chownTree, makeBundle, makeRoot, query, readText, runTool, serverOf, track } from './support.ts'

test('the first start makes a server that an agent can use at once', async () => {
  const { swarmDir } = makeRoot()
  expect(await embeddedPointer(swarmDir)).toBeNull()
  const lines: string[] = []
  const server = await ensureEmbedded(swarmDir, { log: (line) => lines.push(line) })
  expect(server).toMatchObject({ started: true, user: 'swarm', database: 'swarm', port: 5432 })
  expect(lines.join('\n')).toMatch(/creating the database cluster.*\n.*starting Postgres 18/)

  const [row] = await query(
    server,
    `select current_user as who, current_database() as db, (select rolsuper from pg_roles where rolname = current_user) as super,
      pg_encoding_to_char(encoding) as encoding, datlocprovider as provider, datlocale as locale,
      lower('ÄÖ') as folded, current_setting('max_connections') as max, current_setting('synchronous_commit') as sync,
      current_setting('jit') as jit, current_setting('listen_addresses') as listen, current_setting('TimeZone') as tz,
      current_setting('idle_in_transaction_session_timeout') as idle
      from pg_database where datname = current_database()`,
  )
  expect(row).toMatchObject({
    who: 'swarm',
    db: 'swarm',
    super: true,
    encoding: 'UTF8',
    provider: 'b',
    locale: 'C.UTF-8',
    folded: 'äö',
    max: '1000',
    sync: 'on',
    jit: 'off',
    listen: '',
    tz: 'UTC',
    idle: '1min',
  })
})

test('only its user can reach the socket, and its path stays short', async () => {
  const { swarmDir } = makeRoot()
  const server = await ensureEmbedded(swarmDir)
  const dir = lstatSync(server.socketDir)
  expect(dir.isDirectory()).toBe(true)
  expect(dir.mode & 0o777).toBe(0o700)
  expect(dir.uid).toBe(statSync(server.dataDir).uid)
  expect(dir.uid).not.toBe(0)
  expect(server.socketDir.length).toBeLessThanOrEqual(80)
  expect(lstatSync(join(swarmDir, 'postgres.log')).mode & 0o777).toBe(0o600)
})

test('a second start finds it running; a restart keeps the data', async () => {
  const { swarmDir } = makeRoot()
  const first = await ensureEmbedded(swarmDir)
  await query(first, 'create table kept (n int); insert into kept values (7)')
  const again = await ensureEmbedded(swarmDir)
  expect(again).toEqual({ ...first, started: false })
  expect(await embeddedPointer(swarmDir)).toMatchObject({ pid: first.pid, url: first.url })

  expect(await stopEmbedded(swarmDir)).toEqual({ stopped: true })
  expect(await stopEmbedded(swarmDir)).toEqual({ stopped: false })
  expect(await embeddedPointer(swarmDir)).toMatchObject({ pid: null })
  const second = await ensureEmbedded(swarmDir)
  expect(second).toMatchObject({ started: true, socketDir: first.socketDir })
  expect(second.pid).not.toBe(first.pid)
  expect(await query(second, 'select n from kept')).toMatchObject([{ n: 7 }])
})

test('the status tells what runs, and starts nothing', async () => {
  const { swarmDir } = makeRoot()
  expect(await embeddedStatus(swarmDir)).toMatchObject({ running: false, pid: null, data_dir: null })
  expect(existsSync(swarmDir)).toBe(false)
  const server = await ensureEmbedded(swarmDir, { idleStopMs: 5_000 })
  const status = await embeddedStatus(swarmDir)
  expect(status).toMatchObject({
    running: true,
    state: 'ready',
    pid: server.pid,
    version: '18.4',
    data_dir: server.dataDir,
    socket_dir: server.socketDir,
    connections: 0,
    log_file: join(swarmDir, 'postgres.log'),
    idle_stop_ms: 5_000,
  })
  expect(Math.abs(Date.now() - Date.parse(status.since ?? ''))).toBeLessThan(30_000)
  expect(status.size_bytes).toBeGreaterThan(1e6)
  await stopEmbedded(swarmDir)
  expect(await embeddedStatus(swarmDir)).toMatchObject({ running: false, state: 'away', pid: null })
})

test('a connection target knows where the server is, and can start it', async () => {
  const { swarmDir } = makeRoot()
  const target = await embeddedTarget(swarmDir, undefined)
  const server = await embeddedPointer(swarmDir)
  expect(target).toMatchObject({ kind: 'embedded', host: server?.socketDir, port: 5432, user: 'swarm' })
  await stopEmbedded(swarmDir)
  expect(await target.ensure()).toMatchObject({ host: server?.socketDir })
  expect((await embeddedStatus(swarmDir)).running).toBe(true)
})

test('eight processes at the same moment get one server', async () => {
  const { swarmDir } = makeRoot()
  const bundle = await makeBundle()
  const cold = await Promise.all(Array.from({ length: 8 }, () => runTool(bundle, ['ensure', swarmDir])))
  expect(cold.map((ran) => ran.code)).toEqual(Array(8).fill(0))
  expect(cold.filter((ran) => serverOf(ran).started)).toHaveLength(1)
  expect(new Set(cold.map((ran) => serverOf(ran).pid)).size).toBe(1)

  await stopEmbedded(swarmDir)
  const warm = await Promise.all(Array.from({ length: 8 }, () => runTool(bundle, ['ensure', swarmDir])))
  expect(warm.filter((ran) => serverOf(ran).started)).toHaveLength(1)
  expect(readText(join(swarmDir, 'postgres.log')).match(/starting PostgreSQL/g)).toHaveLength(2)
})

test('starting and stopping at the same time ends in one state or the other, with all data', async () => {
  const { swarmDir } = makeRoot()
  const bundle = await makeBundle()
  await query(await ensureEmbedded(swarmDir), 'create table kept (n int)')
  const verbs = ['ensure', 'stop', 'ensure', 'stop', 'ensure', 'ensure']
  const rans = await Promise.all(verbs.map((verb) => runTool(bundle, [verb, swarmDir])))
  expect(rans.map((ran) => [ran.code, ran.value.message])).toEqual(verbs.map(() => [0, undefined]))
  const server = await ensureEmbedded(swarmDir)
  expect(await query(server, 'select n from kept')).toEqual([])
})

test('two working copies have two servers', async () => {
  const [one, two] = [makeRoot(), makeRoot()]
  const [first, second] = await Promise.all([ensureEmbedded(one.swarmDir), ensureEmbedded(two.swarmDir)])
  await query(first, 'create table mine (n int)')
  expect(first.socketDir).not.toBe(second.socketDir)
  expect(await query(second, `select to_regclass('mine') as mine`)).toMatchObject([{ mine: null }])
})

test('a path of 200 characters, with spaces, quotes and letters of other scripts', async () => {
  const { dir } = makeRoot()
  const hard = join(dir, `it's "one" $HOME `, 'ünïcödé')
  const long = join(hard, 'x'.repeat(Math.max(1, 200 - hard.length - 1)))
  mkdirSync(long, { recursive: true })
  expect(long.length).toBeGreaterThanOrEqual(200)
  const { swarmDir } = track(long)
  const server = await ensureEmbedded(swarmDir)
  expect(server.dataDir).toBe(join(swarmDir, 'pg'))
  expect(await query(server, 'select 1 as one')).toMatchObject([{ one: 1 }])
})

test('a copy of a working copy, once adopted, gets a server of its own, also while the original runs', async () => {
  const original = makeRoot()
  const server = await ensureEmbedded(original.swarmDir)
  await query(server, 'create table told (n int); checkpoint')
  const copy = makeRoot()
  cpSync(original.swarmDir, copy.swarmDir, {
    recursive: true,
    verbatimSymlinks: true,
    filter: (path) => !path.includes('.s.PGSQL'),
  })
  expect(await embeddedPointer(copy.swarmDir)).toBeNull()
  // as `cp -a` by root would
  chownTree(join(copy.swarmDir, 'pg'), statSync(server.dataDir))
  await expect(ensureEmbedded(copy.swarmDir)).rejects.toMatchObject({
    code: 'DEPENDENCY',
    retryable: false,
    message: expect.stringContaining('db adopt'),
  })
  expect(await adoptEmbedded(copy.swarmDir)).toBe(true)
  const own = await ensureEmbedded(copy.swarmDir)
  expect(own.pid).not.toBe(server.pid)
  expect(own.socketDir).not.toBe(server.socketDir)
  await query(own, 'create table only_here (n int)')
  expect(await query(server, `select to_regclass('only_here') as t`)).toMatchObject([{ t: null }])
})

test('a working copy that is moved while its server runs keeps it', async () => {
  const { dir, swarmDir } = makeRoot()
  const server = await ensureEmbedded(swarmDir)
  const moved = track(`${dir}-moved`)
  renameSync(dir, moved.dir)
  expect(await embeddedPointer(moved.swarmDir)).toMatchObject({
    pid: server.pid,
    dataDir: join(moved.swarmDir, 'pg'),
  })
  expect(await ensureEmbedded(moved.swarmDir)).toMatchObject({ pid: server.pid, started: false })
  expect(await stopEmbedded(moved.swarmDir)).toEqual({ stopped: true })
  expect(await ensureEmbedded(moved.swarmDir)).toMatchObject({ started: true })
})

test('reset deletes the data and the next start makes an empty server', async () => {
  const { swarmDir } = makeRoot()
  const server = await ensureEmbedded(swarmDir)
  await query(server, 'create table gone (n int)')
  await resetEmbedded(swarmDir)
  expect(existsSync(server.dataDir)).toBe(false)
  expect(existsSync(server.socketDir)).toBe(false)
  expect(await embeddedPointer(swarmDir)).toBeNull()
  const fresh = await ensureEmbedded(swarmDir)
  expect(await query(fresh, `select to_regclass('gone') as gone`)).toMatchObject([{ gone: null }])
  await resetEmbedded(swarmDir)
  await resetEmbedded(swarmDir)
  rmSync(swarmDir, { recursive: true })
  await resetEmbedded(swarmDir)
})
