import postgres from 'postgres'
import { expect, test } from 'vitest'
import { embeddedStatus, ensureEmbedded, stopEmbedded } from '../../src/embedded/index.ts'
import { isAlive, waitUntil } from '../../src/embedded/processes.ts'
import { makeBundle, makeRoot, mustPid, query, runTool, sessionOf, untilGone } from './support.ts'

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
