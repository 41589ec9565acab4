import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import postgres from 'postgres'
import { expect, test } from 'vitest'
import { embeddedStatus, ensureEmbedded, stopEmbedded } from '../../src/embedded/index.ts'
import { tryLock } from '../../src/embedded/lock.ts'
import { pathsOf, type ServerPaths } from '../../src/embedded/paths.ts'
import { isAlive, makersOf, serverProcesses, waitUntil } from '../../src/embedded/processes.ts'
import { startEmbedded } from '../../src/embedded/target.ts'
import {
  canContain,
  makeBundle,
  makeRoot,
  mustPid,
  query,
  runTool,
  serverOf,
  sessionOf,
  startTool,
  untilGone,
} from './support.ts'

function mustPaths(swarmDir: string): ServerPaths {
  const paths = pathsOf(swarmDir, false)
  if (!paths) throw new Error(`${swarmDir} is missing`)
  return paths
}

test('the server outlives its starter and does not hear Ctrl-C in its terminal', async () => {
  const { swarmDir } = makeRoot()
  const bundle = await makeBundle()
  const starter = startTool(bundle, ['ensure', swarmDir], { linger: true })
  const server = serverOf({ value: await starter.answer })
  const pid = mustPid(server)
  expect(sessionOf(pid)).toBe(pid)
  // a terminal signals the whole foreground group
  process.kill(-(starter.child.pid ?? 0), 'SIGINT')
  await expect(starter.done).resolves.toMatchObject({ code: null })
  expect(await query(server, 'select 1 as one')).toMatchObject([{ one: 1 }])
  expect(await ensureEmbedded(swarmDir)).toMatchObject({ started: false, pid })
})

test('after SIGKILL of the postmaster everything acknowledged is there, and no old backend', async () => {
  const { swarmDir } = makeRoot()
  const server = await ensureEmbedded(swarmDir)
  await query(server, 'create table kept (n int); insert into kept select generate_series(1, 1000)')
  const { socketDir: host, port, user, database } = server
  const busy = postgres({ host, port, user, database, max: 1, onnotice: () => {} })
  const backend = (await busy`select pg_backend_pid() as pid`)[0]?.pid
  // computes, and so does not look whether its postmaster lives
  const work = busy`select count(*) from generate_series(1, 100000000000) where random() < 0`.catch(
    () => 'ended',
  )
  await untilActive(server, backend)
  process.kill(mustPid(server), 'SIGKILL')
  await untilGone(server.pid, 5_000)
  expect(isAlive(backend)).toBe(true)
  expect(serverProcesses(server.dataDir, null)).toMatchObject({ postmasters: [] })
  expect(serverProcesses(server.dataDir, null).orphans).toContain(backend)
  expect(tryLock(mustPaths(swarmDir))).toBeNull()

  const again = await ensureEmbedded(swarmDir)
  expect(again).toMatchObject({ started: true, socketDir: server.socketDir })
  expect(isAlive(backend)).toBe(false)
  expect(await query(again, 'select count(*)::int as n from kept')).toMatchObject([{ n: 1000 }])
  expect(await work).toBe('ended')
  await busy.end({ timeout: 1 })
})

test('eight processes that find it killed get one server again', async () => {
  const { swarmDir } = makeRoot()
  const bundle = await makeBundle()
  const server = await ensureEmbedded(swarmDir)
  process.kill(mustPid(server), 'SIGKILL')
  const rans = await Promise.all(Array.from({ length: 8 }, () => runTool(bundle, ['ensure', swarmDir])))
  expect(rans.map((ran) => ran.code)).toEqual(Array(8).fill(0))
  expect(rans.filter((ran) => serverOf(ran).started)).toHaveLength(1)
  expect(new Set(rans.map((ran) => serverOf(ran).pid)).size).toBe(1)
})

test('a process id of somebody else in postmaster.pid and in the lock of the socket fools nobody', async () => {
  const [mine, other] = [makeRoot(), makeRoot()]
  const server = await ensureEmbedded(mine.swarmDir)
  const decoy = await ensureEmbedded(other.swarmDir)
  await stopEmbedded(mine.swarmDir)
  // as a boot or a new container leaves them: the number now belongs to a living Postgres of the same user
  const lines = readFileSync(join(decoy.dataDir, 'postmaster.pid'), 'utf8').replace(
    decoy.dataDir,
    server.dataDir,
  )
  writeFileSync(join(server.dataDir, 'postmaster.pid'), lines.replace(decoy.socketDir, server.socketDir))
  writeFileSync(join(server.socketDir, '.s.PGSQL.5432.lock'), lines)
  writeFileSync(join(server.socketDir, '.s.PGSQL.5432'), '')

  const again = await ensureEmbedded(mine.swarmDir)
  expect(again.started).toBe(true)
  expect(again.pid).not.toBe(decoy.pid)
  expect(await query(again, 'select 1 as one')).toMatchObject([{ one: 1 }])
  expect(await embeddedStatus(other.swarmDir)).toMatchObject({ running: true, pid: decoy.pid })
})

test('a starter that died before it wrote the pointer leaves a server that the next one finds', async () => {
  const { swarmDir } = makeRoot()
  const server = await ensureEmbedded(swarmDir)
  rmSync(join(swarmDir, 'postgres.json'))
  const found = await ensureEmbedded(swarmDir)
  expect(found).toEqual({ ...server, started: false })
})

test('a starter killed while it creates the cluster leaves nothing half made', async () => {
  const { swarmDir } = makeRoot()
  const bundle = await makeBundle()
  const starter = startTool(bundle, ['ensure', swarmDir])
  const drafts = () =>
    existsSync(swarmDir) ? readdirSync(swarmDir).filter((name) => name.startsWith('pg.init-')) : []
  expect(await waitUntil(() => drafts().length > 0, 5_000)).toBe(true)
  starter.child.kill('SIGKILL')
  await expect(starter.done).rejects.toThrow('no answer')
  expect(existsSync(join(swarmDir, 'pg'))).toBe(false)
  const server = await ensureEmbedded(swarmDir)
  expect(server.started).toBe(true)
  expect(drafts()).toEqual([])
})

test('an initdb that outlives its starter is ended before its draft is removed', async () => {
  const { swarmDir } = makeRoot()
  const bundle = await makeBundle()
  const starter = startTool(bundle, ['ensure', swarmDir])
  const makers = () =>
    (existsSync(swarmDir) ? readdirSync(swarmDir) : [])
      .filter((name) => name.startsWith('pg.init-'))
      .flatMap((name) => makersOf(join(swarmDir, name)))
  expect(await waitUntil(() => makers().length > 1, 20_000)).toBe(true)
  const left = makers()
  // so that it is there as long as nobody ends it
  for (const pid of left) process.kill(pid, 'SIGSTOP')
  try {
    starter.child.kill('SIGKILL')
    await expect(starter.done).rejects.toThrow('no answer')
    expect(await ensureEmbedded(swarmDir)).toMatchObject({ started: true })
    expect(left.filter(isAlive)).toEqual([])
  } finally {
    for (const pid of left.filter(isAlive)) process.kill(pid, 'SIGKILL')
  }
  expect(readdirSync(swarmDir).filter((name) => name.startsWith('pg.init-'))).toEqual([])
})

test('a running server whose socket was deleted is started again', async () => {
  const { swarmDir } = makeRoot()
  const server = await ensureEmbedded(swarmDir)
  rmSync(server.socketDir, { recursive: true })
  const again = await ensureEmbedded(swarmDir)
  expect(again.started).toBe(true)
  expect(isAlive(mustPid(server))).toBe(false)
  expect(await query(again, 'select 1 as one')).toMatchObject([{ one: 1 }])
})

test('a server that does not start is reported with its log, after three tries', async () => {
  const { swarmDir } = makeRoot()
  const server = await ensureEmbedded(swarmDir)
  await stopEmbedded(swarmDir)
  appendFileSync(join(server.dataDir, 'postgresql.conf'), '\nno_such_setting = 1\n')
  await expect(ensureEmbedded(swarmDir)).rejects.toMatchObject({
    name: 'SwarmError',
    code: 'DEPENDENCY',
    retryable: false,
    fix: { cmd: 'doctor' },
    ctx: {
      attempts: 3,
      log: expect.stringContaining('unrecognized configuration parameter "no_such_setting"'),
    },
  })
  expect(serverProcesses(server.dataDir, null)).toEqual({ postmasters: [], orphans: [] })
  const lock = tryLock(mustPaths(swarmDir))
  expect(lock).not.toBeNull()
  lock?.release()
})

test('data of another major version is refused, with the way to export it', async () => {
  const { swarmDir } = makeRoot()
  const server = await ensureEmbedded(swarmDir)
  await stopEmbedded(swarmDir)
  writeFileSync(join(server.dataDir, 'PG_VERSION'), '17\n')
  await expect(ensureEmbedded(swarmDir)).rejects.toMatchObject({
    code: 'DEPENDENCY',
    retryable: false,
    message: expect.stringContaining('pg_dump'),
    ctx: { found: '17', expected: '18', data_dir: server.dataDir },
  })
  expect(existsSync(server.dataDir)).toBe(true)
})

test('a directory that is no data directory is not touched', async () => {
  const { swarmDir } = makeRoot()
  await ensureEmbedded(swarmDir)
  await stopEmbedded(swarmDir)
  const version = join(swarmDir, 'pg', 'PG_VERSION')
  rmSync(version)
  await expect(ensureEmbedded(swarmDir)).rejects.toMatchObject({
    code: 'DEPENDENCY',
    message: expect.stringContaining('no Postgres data directory'),
  })
  expect(statSync(join(swarmDir, 'pg', 'base')).isDirectory()).toBe(true)
})

test('while a server runs its lock is taken, and it is free once the server has stopped', async () => {
  const { swarmDir } = makeRoot()
  await ensureEmbedded(swarmDir)
  const paths = mustPaths(swarmDir)
  expect(tryLock(paths)).toBeNull()
  await stopEmbedded(swarmDir)
  const lock = tryLock(paths)
  expect(lock).not.toBeNull()
  expect(tryLock(paths)).toBeNull()
  lock?.release()
})

async function untilActive(server: Parameters<typeof query>[0], pid: unknown): Promise<void> {
  for (const deadline = performance.now() + 10_000; performance.now() < deadline; ) {
    const rows = await query(
      server,
      `select state from pg_stat_activity where pid = ${Number(pid)} and state = 'active'`,
    )
    if (rows.length > 0) return
  }
  throw new Error('the backend is not active')
}

test('a killed postmaster that nobody reaps, as in a container without init, does not stop the next start', async () => {
  const { swarmDir } = makeRoot()
  const server = await ensureEmbedded(swarmDir)
  await stopEmbedded(swarmDir)
  const zombie = await makeZombie(statSync(server.dataDir))
  writeFileSync(
    join(server.dataDir, 'postmaster.pid'),
    `${zombie.pid}\n${server.dataDir}\n1\n5432\n${server.socketDir}\n\n 0 0\nready\n`,
  )
  try {
    expect(isAlive(zombie.pid)).toBe(false)
    expect(await ensureEmbedded(swarmDir)).toMatchObject({ started: true })
  } finally {
    zombie.end()
  }
})

test.runIf(canContain)(
  'two containers that share the directory: one server, and the other takes over when it dies',
  async () => {
    const { swarmDir } = makeRoot()
    const bundle = await makeBundle()
    const first = startTool(bundle, ['ensure', swarmDir], { inContainer: true, linger: true })
    expect(await first.answer).toMatchObject({ started: true })
    const second = await runTool(bundle, ['ensure', swarmDir], { inContainer: true })
    expect(second.value).toMatchObject({
      code: 'DEPENDENCY',
      message: expect.stringContaining('another container'),
    })
    expect((await runTool(bundle, ['reset', swarmDir], { inContainer: true })).value).toMatchObject({
      code: 'DEPENDENCY',
    })

    process.kill(-(first.child.pid ?? 0), 'SIGKILL')
    const third = startTool(bundle, ['ensure', swarmDir], { inContainer: true, linger: true })
    expect(await third.answer).toMatchObject({ started: true })
    process.kill(-(third.child.pid ?? 0), 'SIGKILL')
  },
)

/** A zombie of a user: its parent has become a program that does not know of it, before it ended. */
async function makeZombie({ uid, gid }: { uid: number; gid: number }): Promise<{ pid: number; end(): void }> {
  const parent = spawn('sh', ['-c', 'sleep 0.3 & echo $!; exec sleep 60'], { cwd: '/', uid, gid })
  const [chunk]: Buffer[] = await once(parent.stdout, 'data')
  const pid = Number(chunk?.toString('utf8'))
  if (!(await waitUntil(() => !isAlive(pid), 5_000))) throw new Error('there is no zombie')
  process.kill(pid, 0)
  return { pid, end: () => void parent.kill() }
}

test('a start that loses its connection while it applies the schema applies it again, and leaves nothing unknown', async () => {
  const { swarmDir } = makeRoot()
  const server = await ensureEmbedded(swarmDir)
  const blocker = postgres({
    host: server.socketDir,
    port: server.port,
    user: server.user,
    database: server.database,
    max: 1,
    onnotice: () => {},
  })
  try {
    let starting: ReturnType<typeof startEmbedded> | undefined
    await blocker.begin(async (sql) => {
      await sql`select pg_advisory_xact_lock(hashtext('swarm:schema'))`
      starting = startEmbedded(swarmDir)
      // the answer is looked at below
      starting.catch(() => {})
      const cut = () =>
        query(
          server,
          `select pg_terminate_backend(pid) as cut from pg_locks where locktype = 'advisory' and not granted`,
        )
      await expect.poll(cut).toEqual([{ cut: true }])
    })
    expect(await starting).toMatchObject({ started: false })
    expect(await query(server, `select to_regclass('swarm.bead_claims') is not null as made`)).toEqual([
      { made: true },
    ])
  } finally {
    await blocker.end({ timeout: 1 })
  }
})
