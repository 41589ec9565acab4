import { spawnSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import postgres from 'postgres'
import { expect, test } from 'vitest'
import { embeddedStatus, ensureEmbedded, stopEmbedded } from '../../src/embedded/index.ts'
import { isAlive, waitUntil } from '../../src/embedded/processes.ts'
import {
  isRoot,
  makeBundle,
  makeClosedHome,
  makeRoot,
  mustPid,
  query,
  runTool,
  serverOf,
  sessionOf,
  track,
  untilGone,
} from './support.ts'

async function startKept(idleStopMs: number) {
  const place = makeRoot()
  const bundle = await makeBundle()
  const keeper = [process.execPath, [bundle, 'keep', place.swarmDir]] as const
  const server = await ensureEmbedded(place.swarmDir, { idleStopMs, keeper })
  const { keeper_pid } = await embeddedStatus(place.swarmDir)
  if (keeper_pid === null) throw new Error('there is no keeper')
  return { ...place, server, keeper, keeperPid: keeper_pid }
}

test('the server stops after its idle time, its keeper with it, and starts again when asked', async () => {
  const { swarmDir, server, keeper, keeperPid } = await startKept(1_500)
  expect(sessionOf(keeperPid)).toBe(keeperPid)
  await query(server, 'create table kept (n int)')
  const quiet = performance.now()
  await untilGone(server.pid, 10_000)
  expect(performance.now() - quiet).toBeGreaterThan(1_000)
  await untilGone(keeperPid, 5_000)
  expect(await embeddedStatus(swarmDir)).toMatchObject({ running: false, pid: null, keeper_pid: null })
  const again = await ensureEmbedded(swarmDir, { idleStopMs: 60_000, keeper })
  expect(await query(again, 'select n from kept')).toEqual([])
})

test('clients that come and go between two looks keep it up', async () => {
  const { server } = await startKept(3_000)
  const until = performance.now() + 5_000
  while (performance.now() < until) {
    await query(server, 'select pg_sleep(0.05)')
    await waitUntil(() => !isAlive(mustPid(server)), 400)
  }
  expect(isAlive(mustPid(server))).toBe(true)
})

test('a statement that runs keeps it up; a client that is connected and silent does not', async () => {
  const { server } = await startKept(1_500)
  const { socketDir: host, port, user, database } = server
  const sql = postgres({ host, port, user, database, max: 1, onnotice: () => {} })
  await sql`select pg_sleep(4)`
  expect(isAlive(mustPid(server))).toBe(true)
  await untilGone(server.pid, 10_000)
  await sql.end({ timeout: 1 })
})

test('stopping the server ends its keeper', async () => {
  const { swarmDir, keeperPid } = await startKept(60_000)
  await stopEmbedded(swarmDir)
  await untilGone(keeperPid, 2_000)
})

test('a keeper sees the death of its server, and notes it', async () => {
  const { swarmDir, server, keeperPid } = await startKept(2_000)
  process.kill(mustPid(server), 'SIGKILL')
  await untilGone(keeperPid, 5_000)
  expect((await embeddedStatus(swarmDir)).running).toBe(false)
})

test('a keeper that was killed is replaced by the next start', async () => {
  const { swarmDir, server, keeper, keeperPid } = await startKept(60_000)
  process.kill(keeperPid, 'SIGKILL')
  await untilGone(keeperPid, 5_000)
  expect(await ensureEmbedded(swarmDir, { idleStopMs: 60_000, keeper })).toMatchObject({
    started: false,
    pid: server.pid,
  })
  const replaced = (await embeddedStatus(swarmDir)).keeper_pid
  expect(replaced).not.toBeNull()
  expect(replaced).not.toBe(keeperPid)
})

test('a keeper outlives the process that started it', async () => {
  const { swarmDir } = makeRoot()
  const bundle = await makeBundle()
  const ran = await runTool(bundle, ['ensure', swarmDir, '60000'])
  expect(ran.code).toBe(0)
  const { keeper_pid } = await embeddedStatus(swarmDir)
  expect(keeper_pid !== null && isAlive(keeper_pid)).toBe(true)
})

test.runIf(isRoot)(
  'a keeper that root starts is the user of the server, also where that user can read neither its code nor .swarm',
  async () => {
    const { dir, swarmDir } = track(makeClosedHome({}))
    const bundle = await makeBundle(join(dir, 'bundle'))
    const server = serverOf(await runTool(bundle, ['ensure', swarmDir, '2000']))
    const keeper = (await embeddedStatus(swarmDir)).keeper_pid
    if (keeper === null) throw new Error('there is no keeper')
    const { uid, gid } = statSync(server.dataDir)
    expect(uid).not.toBe(0)
    const ids = () => readFileSync(`/proc/${keeper}/status`, 'utf8')
    // real, effective, saved and that of files: no way back
    const all = (id: number) => Array(4).fill(id).join('\t')
    await expect.poll(ids).toContain(`Uid:\t${all(uid)}\nGid:\t${all(gid)}\n`)
    expect(ids()).toMatch(new RegExp(`^Groups:\\t${gid}? ?$`, 'm'))
    // it still does its work
    await untilGone(server.pid, 10_000)
    await untilGone(keeper, 5_000)
    const again = serverOf(await runTool(bundle, ['ensure', swarmDir, '600000']))
    // without .swarm the data have nobody: the next look ends their server
    rmSync(swarmDir, { recursive: true })
    rmSync(again.socketDir, { recursive: true })
    await untilGone(again.pid, 10_000)
    rmSync(join(again.dataDir, '..'), { recursive: true })
  },
)

test('a keeper shortens the log of its server and nothing else, whatever is put in its place', async () => {
  const { swarmDir, dir, server } = await startKept(4_000)
  const log = join(swarmDir, 'postgres.log')
  const secret = join(dir, 'secret')
  writeFileSync(secret, 'secret')
  truncateSync(secret, 9 * 1024 * 1024)
  symlinkSync(secret, `${log}.1`)
  // keeps it up until it has looked twice
  const busy = query(server, 'select pg_sleep(3)')
  truncateSync(log, 9 * 1024 * 1024)
  await expect.poll(() => statSync(log).size).toBeLessThan(2 * 1024 * 1024)
  rmSync(log)
  symlinkSync(secret, log)
  await busy
  expect(statSync(secret).size).toBe(9 * 1024 * 1024)
  expect(readFileSync(secret, 'latin1').startsWith('secret')).toBe(true)
  await untilGone(server.pid, 15_000)
  expect(readFileSync(secret, 'latin1').startsWith('secret')).toBe(true)
})

test.runIf(process.platform === 'linux')(
  'what a starter was started with is open neither in the server nor in its keeper',
  async () => {
    const { dir, swarmDir } = makeRoot()
    const bundle = await makeBundle()
    const held = join(dir, 'held')
    const fd = openSync(held, 'w')
    // numbers as shell scripts and test runners use them for locks
    const stdio = Array.from({ length: 201 }, (_, at) =>
      [3, 17, 40, 200].includes(at) ? fd : ('ignore' as const),
    )
    const ran = spawnSync(process.execPath, [bundle, 'ensure', swarmDir, '60000'], {
      cwd: '/',
      env: { PATH: process.env.PATH, XDG_STATE_HOME: process.env.XDG_STATE_HOME },
      stdio,
    })
    closeSync(fd)
    expect(ran.status).toBe(0)
    const { pid, keeper_pid } = await embeddedStatus(swarmDir)
    const files = (of: number | null) => {
      const open = `/proc/${of}/fd`
      return readdirSync(open).flatMap((name) => {
        const path = join(open, name)
        return existsSync(path) ? [readlinkSync(path)] : []
      })
    }
    const lock = join(realpathSync(swarmDir), 'postgres.lock')
    expect(files(pid)).toContain(lock)
    expect(files(pid)).not.toContain(held)
    expect(files(keeper_pid)).toContain(join(realpathSync(swarmDir), 'postgres.keeper'))
    expect(files(keeper_pid)).not.toContain(held)
    expect(files(keeper_pid)).not.toContain(lock)
  },
)
