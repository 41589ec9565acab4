import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import {
  adoptEmbedded,
  embeddedFound,
  embeddedPointer,
  embeddedStatus,
  ensureEmbedded,
  resetEmbedded,
  stopEmbedded,
} from '../../src/embedded/index.ts'
import { isAlive } from '../../src/embedded/processes.ts'
import { runSwarm } from '../support/swarm.ts'
import { chownTree, makeRoot, mustPid, query, scratch } from './support.ts'

/* Repositories that somebody else wrote: whatever `.swarm/` they ship, nothing of it is started, reached, stopped or deleted. */

const OURS = process.env.XDG_STATE_HOME
let homes = 0

// each makes two clusters or more, which takes long where both cores are busy
vi.setConfig({ testTimeout: 120_000 })

beforeEach(() => {
  process.env.XDG_STATE_HOME = join(scratch, `victim-${++homes}`)
})
afterEach(() => {
  process.env.XDG_STATE_HOME = OURS
})

/** What another user of another machine has made: a database with its record in that user's home, stopped. */
async function makeElsewhere(): Promise<{ readonly dir: string; readonly swarmDir: string }> {
  const victim = process.env.XDG_STATE_HOME
  process.env.XDG_STATE_HOME = join(scratch, `attacker-${homes}`)
  const made = makeRoot('attacker-')
  await ensureEmbedded(made.swarmDir)
  await stopEmbedded(made.swarmDir)
  process.env.XDG_STATE_HOME = victim
  return made
}

/** A clone of what somebody shipped, with its modes, as an archive keeps them. */
async function makeClone(): Promise<{
  readonly dir: string
  readonly swarmDir: string
  readonly pg: string
}> {
  const [shipped, clone] = [await makeElsewhere(), makeRoot('clone-')]
  const pg = join(clone.swarmDir, 'pg')
  const owner = statSync(join(shipped.swarmDir, 'pg'))
  mkdirSync(clone.swarmDir)
  cpSync(join(shipped.swarmDir, 'pg'), pg, { recursive: true })
  cpSync(join(shipped.swarmDir, 'postgres.json'), join(clone.swarmDir, 'postgres.json'))
  chownTree(pg, owner)
  writeFileSync(join(clone.swarmDir, 'config.toml'), 'repo = "shipped"\n')
  return { ...clone, pg }
}

/** Every verb that could start, reach or end a server, through the program; each must be refused, and say how to go on. */
async function expectRefused(dir: string, says: RegExp): Promise<void> {
  for (const args of [
    ['status'],
    ['init'],
    ['db', 'start'],
    ['db', 'status'],
    ['db', 'stop'],
    ['db', 'reset', '--force'],
    ['init-local-db'],
  ]) {
    const ran = await runSwarm(args, { cwd: dir })
    expect({ args, code: ran.code, said: ran.stdout }).toEqual({
      args,
      code: 7,
      said: expect.stringMatching(says),
    })
    expect(ran.stdout).not.toContain('"retryable":true')
  }
}

test('a shipped data directory that would load a library and write a file is not started', async () => {
  const { dir, swarmDir, pg } = await makeClone()
  appendFileSync(
    join(pg, 'postgresql.auto.conf'),
    `shared_preload_libraries = 'auto_explain'\nexternal_pid_file = '${join(pg, 'marker')}'\n`,
  )
  await expectRefused(dir, /db adopt/)
  expect(existsSync(join(pg, 'marker'))).toBe(false)
  expect(existsSync(join(pg, 'postmaster.pid'))).toBe(false)
  expect(existsSync(join(swarmDir, 'postgres.log'))).toBe(false)
  expect(existsSync(join(pg, 'PG_VERSION'))).toBe(true)

  // what it would accept is shown, and needs force
  expect(await embeddedFound(swarmDir)).toMatchObject({
    data_dir: pg,
    owner_uid: statSync(pg).uid,
    data_version: '18',
    adopted: false,
    concerns: [
      "postgresql.auto.conf: shared_preload_libraries = 'auto_explain'",
      expect.stringContaining('external_pid_file'),
    ],
  })
  const dry = await runSwarm(['db', 'adopt', '--dry'], { cwd: dir })
  expect(dry.stdout).toContain('shared_preload_libraries')
  const ran = await runSwarm(['db', 'adopt'], { cwd: dir })
  expect({ code: ran.code, said: ran.stdout }).toEqual({
    code: 8,
    said: expect.stringContaining('auto_explain'),
  })
  await expect(ensureEmbedded(swarmDir)).rejects.toMatchObject({ code: 'DEPENDENCY', retryable: false })
  rmSync(join(pg, 'swarm-id'))
  await expect(ensureEmbedded(swarmDir)).rejects.toMatchObject({ code: 'DEPENDENCY', retryable: false })
})

test('a shipped recovery.signal with a restore_command runs nothing', async () => {
  const { dir, swarmDir, pg } = await makeClone()
  writeFileSync(join(pg, 'recovery.signal'), '')
  appendFileSync(join(pg, 'postgresql.conf'), `\nRestore_Command 'touch ${join(pg, 'ran')}; false'\n`)
  await expectRefused(dir, /db adopt/)
  expect(readdirSync(pg)).not.toContain('ran')
  expect(existsSync(join(pg, 'postmaster.pid'))).toBe(false)
  expect((await embeddedFound(swarmDir)).concerns).toEqual([
    expect.stringContaining('postgresql.conf: restore_command'),
    'recovery.signal',
  ])
})

test('a link to the data of a neighbour is not followed: its server runs on, its data stay', async () => {
  const neighbour = makeRoot('neighbour-')
  const server = await ensureEmbedded(neighbour.swarmDir)
  await query(server, 'create table theirs (n int)')
  const clone = makeRoot('clone-')
  mkdirSync(clone.swarmDir)
  writeFileSync(join(clone.swarmDir, 'config.toml'), 'repo = "shipped"\n')
  const link = join(clone.swarmDir, 'pg')
  symlinkSync(join('..', '..', neighbour.dir.slice(scratch.length + 1), '.swarm', 'pg'), link)
  cpSync(join(neighbour.swarmDir, 'postgres.json'), join(clone.swarmDir, 'postgres.json'))
  await expectRefused(clone.dir, /is a link/)
  await expect(adoptEmbedded(clone.swarmDir, true)).rejects.toMatchObject({ code: 'DEPENDENCY' })
  expect(isAlive(mustPid(server))).toBe(true)
  expect(
    await query(server, `select to_regnamespace('swarm')::text as t, count(*)::int as n from theirs`),
  ).toEqual([{ t: null, n: 0 }])
  expect(lstatSync(link).isSymbolicLink()).toBe(true)

  // without the link it gets data of its own
  rmSync(link)
  expect((await ensureEmbedded(clone.swarmDir)).pid).not.toBe(server.pid)
  await stopEmbedded(clone.swarmDir)
})

test('a .swarm that is a link to that of a neighbour is not followed', async () => {
  const neighbour = makeRoot('neighbour-')
  const server = await ensureEmbedded(neighbour.swarmDir)
  writeFileSync(join(neighbour.swarmDir, 'config.toml'), 'repo = "theirs"\n')
  const clone = makeRoot('clone-')
  symlinkSync(neighbour.swarmDir, clone.swarmDir)
  expect(await embeddedPointer(clone.swarmDir)).toBeNull()
  for (const verb of [stopEmbedded, resetEmbedded, embeddedStatus, ensureEmbedded, adoptEmbedded]) {
    await expect(verb(clone.swarmDir)).rejects.toMatchObject({ code: 'DEPENDENCY', retryable: false })
  }
  expect(isAlive(mustPid(server))).toBe(true)
})

test('a forged postgres.json leads to no server and to no process of a neighbour', async () => {
  const neighbour = makeRoot('neighbour-')
  const server = await ensureEmbedded(neighbour.swarmDir)
  const clone = makeRoot('clone-')
  mkdirSync(clone.swarmDir)
  const pointer = JSON.parse(readFileSync(join(neighbour.swarmDir, 'postgres.json'), 'utf8'))
  const forge = (changes: Record<string, unknown>) =>
    writeFileSync(
      join(clone.swarmDir, 'postgres.json'),
      JSON.stringify({
        ...pointer,
        swarm_inode: statSync(clone.swarmDir).ino,
        keeper_pid: server.pid,
        ...changes,
      }),
    )
  for (const changes of [{}, { record: 'f'.repeat(32) }, { record: '../../x' }, { record: undefined }]) {
    forge(changes)
    expect(await embeddedPointer(clone.swarmDir)).toBeNull()
    expect(await stopEmbedded(clone.swarmDir)).toEqual({ stopped: false })
    expect(await embeddedStatus(clone.swarmDir)).toMatchObject({ running: false, socket_dir: null })
  }
  // its own server, and not the one that it was pointed to
  forge({})
  const own = await ensureEmbedded(clone.swarmDir)
  expect(own).toMatchObject({ started: true })
  expect(own.socketDir).not.toBe(server.socketDir)
  await stopEmbedded(clone.swarmDir)
  forge({})
  await resetEmbedded(clone.swarmDir)
  expect(isAlive(mustPid(server))).toBe(true)
  expect(await query(server, 'select 1 as one')).toMatchObject([{ one: 1 }])
  expect(existsSync(server.socketDir)).toBe(true)
})

test('data made here are not started once their files name code to run, until that is accepted', async () => {
  const { dir, swarmDir } = makeRoot()
  const { dataDir } = await ensureEmbedded(swarmDir)
  await stopEmbedded(swarmDir)
  // as a pull may do, which replaces ignored files
  appendFileSync(join(dataDir, 'postgresql.auto.conf'), `session_preload_libraries = 'auto_explain'\n`)
  await expect(ensureEmbedded(swarmDir)).rejects.toMatchObject({
    code: 'DEPENDENCY',
    retryable: false,
    ctx: { concerns: ["postgresql.auto.conf: session_preload_libraries = 'auto_explain'"] },
  })
  writeFileSync(join(dir, '.swarm', 'config.toml'), 'repo = "mine"\n')
  expect((await runSwarm(['db', 'adopt'], { cwd: dir })).code).toBe(8)
  const ran = await runSwarm(['db', 'adopt', '--force'], { cwd: dir })
  expect(ran.envelopes[0] ?? JSON.parse(ran.stdout)).toMatchObject({
    ok: true,
    d: { changed: true, concerns: [expect.any(String)] },
  })
  expect(await ensureEmbedded(swarmDir)).toMatchObject({ started: true })
  expect(await adoptEmbedded(swarmDir)).toBe(false)
})

test('data of version 0.1, which have no record, are adopted with everything in them, also while they are served', async () => {
  const { swarmDir } = makeRoot()
  const server = await ensureEmbedded(swarmDir)
  await query(server, 'create table kept (n int); insert into kept values (7)')
  // version 0.1 wrote neither
  rmSync(process.env.XDG_STATE_HOME ?? '', { recursive: true })
  rmSync(join(server.dataDir, 'swarm-id'))
  expect(await embeddedPointer(swarmDir)).toBeNull()
  await expect(ensureEmbedded(swarmDir)).rejects.toMatchObject({
    code: 'DEPENDENCY',
    retryable: false,
    message: expect.stringContaining('db adopt'),
  })
  expect(await adoptEmbedded(swarmDir)).toBe(true)
  expect(await ensureEmbedded(swarmDir)).toMatchObject({ started: false, pid: server.pid })
  await stopEmbedded(swarmDir)
  expect(await query(await ensureEmbedded(swarmDir), 'select n from kept')).toMatchObject([{ n: 7 }])
})

test('a state directory that others may write to, or none, is no place for records', async () => {
  const { dir, swarmDir } = makeRoot()
  const state = join(dir, 'state')
  mkdirSync(join(state, 'swarm', 'embedded'), { recursive: true, mode: 0o777 })
  chmodSync(join(state, 'swarm', 'embedded'), 0o777)
  process.env.XDG_STATE_HOME = state
  await expect(ensureEmbedded(swarmDir)).rejects.toMatchObject({
    code: 'DEPENDENCY',
    message: expect.stringContaining('XDG_STATE_HOME'),
  })
  expect(readdirSync(swarmDir).filter((name) => name.startsWith('pg'))).toEqual([])
})

test('reset forgets the record, and a directory at the same place is not taken for the one before', async () => {
  const { swarmDir } = makeRoot()
  await ensureEmbedded(swarmDir)
  const records = () => readdirSync(join(process.env.XDG_STATE_HOME ?? '', 'swarm', 'embedded'))
  expect(records()).toHaveLength(1)
  const mode = lstatSync(join(process.env.XDG_STATE_HOME ?? '', 'swarm', 'embedded', records()[0] ?? '')).mode
  expect(mode & 0o777).toBe(0o600)
  await resetEmbedded(swarmDir)
  expect(records()).toEqual([])
})
