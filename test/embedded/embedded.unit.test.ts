import { spawnSync } from 'node:child_process'
import {
  appendFileSync,
  closeSync,
  existsSync,
  linkSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { concernsOf } from '../../src/embedded/concerns.ts'
import { tickOf } from '../../src/embedded/keeper.ts'
import { giveSign, keepingOf, silenceOf, takeKeeping } from '../../src/embedded/keeper-file.ts'
import { mayBeAlive, tryLock } from '../../src/embedded/lock.ts'
import { boundLog, logTail, openLog } from '../../src/embedded/log-file.ts'
import { whereabouts } from '../../src/embedded/machine.ts'
import { pathsOf, type ServerPaths } from '../../src/embedded/paths.ts'
import { parsePidFile } from '../../src/embedded/pidfile.ts'
import { markStopped, type Pointer, readPointer, writePointer } from '../../src/embedded/pointer.ts'
import { identityOf, writeRecord } from '../../src/embedded/record.ts'
import { initdbSettings, serverArguments } from '../../src/embedded/settings.ts'
import { chooseUser } from '../../src/embedded/user.ts'

const RECORD = 'a'.repeat(32)
const STATE_HOME = process.env.XDG_STATE_HOME
let dir: string
let paths: ServerPaths

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'swarm-unit-'))
  const made = pathsOf(join(dir, '.swarm'), true)
  if (!made) throw new Error('no place')
  paths = made
  process.env.XDG_STATE_HOME = join(dir, 'state')
  const swarm = identityOf(paths.swarmDir)
  writeRecord({ id: RECORD, swarm, data: { ...swarm, path: paths.dataPath }, accepted: [] })
})

afterEach(() => {
  process.env.XDG_STATE_HOME = STATE_HOME
  rmSync(dir, { recursive: true, force: true })
})

function makePointer(changes: Partial<Pointer> = {}): Pointer {
  return {
    record: RECORD,
    swarm_inode: paths.inode,
    data_dir: 'pg',
    socket_dir: '/tmp/swarm-1/a',
    port: 5432,
    uid: 1,
    cluster: 'swarm-a',
    pid: 4_000_000,
    started_at: '2026-01-01T00:00:00.000Z',
    ...whereabouts(),
    flock: false,
    keeper_pid: null,
    idle_stop_ms: 1,
    ...changes,
  }
}

test('postmaster.pid is read at every stage of its writing', () => {
  const text = '123\n/data\n1700000000\n5432\n/tmp/s\n\n  1 2\nready   \n'
  expect(parsePidFile(text)).toEqual({
    pid: 123,
    dataDir: '/data',
    startedAt: 1_700_000_000,
    port: 5432,
    socketDir: '/tmp/s',
    status: 'ready',
  })
  expect(parsePidFile('123\n/data\n')).toMatchObject({ pid: 123, socketDir: '', status: '' })
  // a single-user backend writes its number negated
  expect(parsePidFile('-123\n/data\n')).toMatchObject({ pid: 123 })
  expect(parsePidFile('')).toBeNull()
  expect(parsePidFile('x\n')).toBeNull()
})

describe('the user of a server that root starts', () => {
  const others =
    'root:x:0:0::/root:/bin/sh\nnobody:x:65534:65533::/:\npostgres:x:101:104::/:\ndev:x:1000:1000::/home/dev:\n'
  const own = `${others}swarm:x:998:997::/:\n`
  const dev = { uid: 1000, gid: 1000 }
  const swarm = { uid: 998, gid: 997 }
  const root = { uid: 0, gid: 0 }

  test.each([
    ['the owner of the data', own, { uid: 7, gid: 8 }, dev, undefined, { uid: 7, gid: 8 }],
    ['the one that is configured', own, null, root, 'dev', dev],
    ['the owner of .swarm', own, null, { uid: 1000, gid: 5 }, undefined, dev],
    ['swarm', own, root, root, undefined, swarm],
    [
      'swarm, not an owner whom the system does not know: initdb refuses',
      own,
      null,
      { uid: 4242, gid: 1 },
      undefined,
      swarm,
    ],
    ['one to be made, never postgres or nobody, which others are', others, null, root, undefined, undefined],
    ['one to be made where no list of users is', '', null, null, undefined, undefined],
  ])('is %s', (_name, list, dataOwner, swarmOwner, configured, expected) => {
    expect(chooseUser(list, dataOwner, swarmOwner, configured)).toEqual(expected)
  })

  test.each(['postgres', 'nobody', 'root', 'missing'])('cannot be configured to be %s', (name) => {
    expect(() => chooseUser(own, null, null, name)).toThrow(/SWARM_SERVER_USER/)
  })
})

describe('whether a server out of sight may be alive', () => {
  const here = { machine: 'a', boot_id: 'b1', pid_ns: 'p1' }
  const fresh = 1_000
  const stale = 600_000
  test.each([
    ['same place, no flock, its processes are seen', { ...here, flock: false }, stale, false, true, true],
    [
      'same place, no flock, its number is somebody else’s',
      { ...here, flock: false },
      fresh,
      false,
      false,
      false,
    ],
    ['it held the flock, and now we do', { ...here, pid_ns: 'p2', flock: true }, fresh, true, false, false],
    [
      'another container without flock, lately alive',
      { ...here, pid_ns: 'p2', flock: false },
      fresh,
      true,
      false,
      true,
    ],
    [
      'another container without flock, long silent',
      { ...here, pid_ns: 'p2', flock: false },
      stale,
      true,
      false,
      false,
    ],
    ['this machine before its last boot', { ...here, boot_id: 'b0', flock: true }, fresh, true, true, false],
    [
      'another machine, lately alive',
      { ...here, machine: 'z', boot_id: 'b9', flock: true },
      fresh,
      true,
      false,
      true,
    ],
    [
      'another machine, long silent',
      { ...here, machine: 'z', boot_id: 'b9', flock: true },
      stale,
      true,
      false,
      false,
    ],
  ])('%s', (_name, pointer, silentMs, flocked, isSeen, expected) => {
    expect(mayBeAlive(pointer, here, silentMs, flocked, () => isSeen)).toBe(expected)
  })

  test('a server on another machine keeps the lock from us until it has been silent for long', () => {
    writePointer(paths.swarmDir, makePointer({ machine: 'elsewhere', boot_id: 'other', flock: true }))
    expect(tryLock(paths)).toBeNull()
    const old = new Date(Date.now() - 600_000)
    utimesSync(join(paths.swarmDir, 'postgres.json'), old, old)
    const lock = tryLock(paths)
    expect(lock).not.toBeNull()
    lock?.release()
  })
})

describe('the lock where there is no flock', () => {
  const held = () => `${paths.lockFile}.held`

  test('one has it, and after it is released another', () => {
    const lock = tryLock(paths, [])
    expect(lock).toMatchObject({ fd: null })
    expect(tryLock(paths, [])).toBeNull()
    lock?.release()
    expect(existsSync(held())).toBe(false)
    tryLock(paths, [])?.release()
  })

  test('a claim is taken over when its process is dead, also when it was made before the last boot', () => {
    const dead = spawnSync('true').pid
    for (const claim of [
      { ...whereabouts(), pid: dead },
      { ...whereabouts(), pid: process.pid, boot_id: 'before' },
    ]) {
      writeFileSync(held(), JSON.stringify(claim))
      const lock = tryLock(paths, [])
      expect(lock).not.toBeNull()
      lock?.release()
      expect(readdirSync(paths.swarmDir).filter((name) => name.includes('.held'))).toEqual([])
    }
  })

  test('a claim of another container, or one half written, holds while it is fresh', () => {
    const old = new Date(Date.now() - 700_000)
    for (const text of [JSON.stringify({ ...whereabouts(), pid: 1, pid_ns: 'other' }), '{"pid"']) {
      writeFileSync(held(), text)
      expect(tryLock(paths, [])).toBeNull()
      utimesSync(held(), old, old)
      const lock = tryLock(paths, [])
      expect(lock).not.toBeNull()
      lock?.release()
    }
  })
})

describe('what in the files of data would run code or lead elsewhere', () => {
  const concernsIn = (files: Readonly<Record<string, string>>) => {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text)
    return concernsOf(dir)
  }

  test.each([
    ["#shared_preload_libraries = x\nshared_preload_libraries = ''\nlogging_collector = off\nport = 1\n", []],
    ["SHARED_preload_libraries='a'", ["postgresql.conf: shared_preload_libraries = 'a'"]],
    ["\t archive_command\t'cp'  # why\r\n", ["postgresql.conf: archive_command = 'cp'  # why"]],
    ["include 'more.conf'", ["postgresql.conf: include = 'more.conf'"]],
    ["include_dir='d'", ["postgresql.conf: include_dir = 'd'"]],
    ["primary_conninfo = 'password=s3cret'", ['postgresql.conf: primary_conninfo']],
    ["restore_command = '\u001b[31m'", ["postgresql.conf: restore_command = '?[31m'"]],
  ])('%j', (text, expected) => {
    expect(concernsIn({ 'postgresql.conf': text })).toEqual(expected)
  })

  test('signal files, links and tablespaces', () => {
    symlinkSync('/etc', join(dir, 'base'))
    symlinkSync('/etc/passwd', join(dir, 'postgresql.conf'))
    expect(concernsIn({ 'recovery.signal': '', backup_label: '' })).toEqual([
      'postgresql.conf is no plain file',
      'recovery.signal',
      'backup_label',
      'base is a link',
    ])
  })
})

test('a lock file that is a link is not followed', () => {
  const target = join(dir, 'target')
  writeFileSync(target, '')
  symlinkSync(target, paths.lockFile)
  expect(() => tryLock(paths)).toThrow('cannot be opened')
})

describe('the pointer', () => {
  test('is read back, and marked when its server has stopped', () => {
    const pointer = makePointer()
    writePointer(paths.swarmDir, pointer)
    expect(readPointer(paths.swarmDir)).toEqual(pointer)
    markStopped(paths.swarmDir, 1)
    expect(readPointer(paths.swarmDir)?.pid).toBe(pointer.pid)
    markStopped(paths.swarmDir, 4_000_000)
    expect(readPointer(paths.swarmDir)).toEqual({ ...pointer, pid: null })
    expect(readdirSync(paths.swarmDir)).toEqual(['postgres.json'])
  })

  test.each(['', '{', '[]', 'null', '{"pid":1}', JSON.stringify({ data_dir: 1 })])(
    'is nothing when it says %j',
    (text) => {
      writeFileSync(join(paths.swarmDir, 'postgres.json'), text)
      expect(readPointer(paths.swarmDir)).toBeNull()
    },
  )

  test('of another .swarm is nothing', () => {
    writePointer(paths.swarmDir, makePointer({ swarm_inode: paths.inode + 1 }))
    expect(readPointer(paths.swarmDir)).toBeNull()
  })

  test('that names no record of this user is nothing', () => {
    writePointer(paths.swarmDir, makePointer({ record: 'b'.repeat(32) }))
    expect(readPointer(paths.swarmDir)).toBeNull()
  })
})

describe('the file of the keeper', () => {
  test('tells it from a later one, and that its .swarm is gone', () => {
    const first = takeKeeping(paths)
    expect(keepingOf(first.fd, first.token)).toBe('ours')
    const second = takeKeeping(paths)
    expect(keepingOf(first.fd, first.token)).toBe('taken')
    expect(keepingOf(second.fd, second.token)).toBe('ours')
    rmSync(paths.swarmDir, { recursive: true })
    expect(keepingOf(second.fd, second.token)).toBe('homeless')
    closeSync(first.fd)
    closeSync(second.fd)
  })

  test('holds the last sign of life, also of one that may not write to .swarm', () => {
    const { fd } = takeKeeping(paths)
    const pointer = join(paths.swarmDir, 'postgres.json')
    writeFileSync(pointer, '{}')
    utimesSync(pointer, 1, 1)
    giveSign(fd)
    expect(silenceOf(paths.swarmDir)).toBeLessThan(60_000)
    giveSign(fd, true)
    expect(silenceOf(paths.swarmDir)).toBeGreaterThan(1e12)
    closeSync(fd)
  })
})

describe('a file of ours', () => {
  test('is not opened through a link, nor when it has a second name', () => {
    const outside = join(dir, 'outside')
    for (const file of [paths.lockFile, paths.logFile, join(paths.swarmDir, 'postgres.keeper')]) {
      const open = () =>
        file === paths.lockFile
          ? tryLock(paths)
          : file === paths.logFile
            ? openLog(paths)
            : takeKeeping(paths)
      symlinkSync(outside, file)
      expect(open).toThrow('is a link')
      expect(existsSync(outside)).toBe(false)
      writeFileSync(outside, 'x')
      expect(open).toThrow('is a link')
      rmSync(file)
      linkSync(outside, file)
      expect(open).toThrow('has a second name')
      expect(readFileSync(outside, 'utf8')).toBe('x')
      rmSync(file)
      rmSync(outside)
    }
  })

  test('the lock is its owner’s only, also one that an earlier version made', () => {
    writeFileSync(paths.lockFile, '', { mode: 0o644 })
    tryLock(paths)?.release()
    expect(statSync(paths.lockFile).mode & 0o777).toBe(0o600)
    rmSync(paths.lockFile)
    tryLock(paths)?.release()
    expect(statSync(paths.lockFile).mode & 0o777).toBe(0o600)
  })
})

describe('the log', () => {
  test('is put aside at a start when it is long', () => {
    writeFileSync(paths.logFile, 'x'.repeat(1024 * 1024 + 1))
    const log = openLog(paths)
    closeSync(log.fd)
    expect(log.offset).toBe(0)
    expect(statSync(`${paths.logFile}.1`).size).toBe(1024 * 1024 + 1)
  })

  test('is shortened to its newest lines under a running server, which writes on at its new end', () => {
    const log = openLog(paths)
    truncateSync(paths.logFile, 9 * 1024 * 1024)
    appendFileSync(log.fd, 'half of a line\nlast\n')
    boundLog(log.fd)
    appendFileSync(log.fd, 'next\n')
    closeSync(log.fd)
    expect(readFileSync(paths.logFile, 'utf8')).toBe('last\nnext\n')
  })

  test('gives its last lines since the start', () => {
    writeFileSync(paths.logFile, 'old\n')
    const { fd, offset } = openLog(paths)
    appendFileSync(fd, `${Array.from({ length: 30 }, (_, i) => `line ${i}`).join('\n')}\n`)
    closeSync(fd)
    expect(logTail(paths, offset).split('\n')).toHaveLength(20)
    expect(logTail(paths, offset)).toMatch(/^line 10\n.*line 29$/s)
    rmSync(paths.logFile)
    expect(logTail(paths, 0)).toBe('')
  })
})

test('the keeper looks once a minute, and more often when it may stop sooner', () => {
  expect([0, 1_000, 4_000, 30 * 60_000].map(tickOf)).toEqual([60_000, 250, 1_000, 60_000])
})

test('settings that a platform does not have are left out', () => {
  expect(initdbSettings('darwin').join()).not.toContain('client_connection_check_interval')
  expect(initdbSettings('linux').join()).toContain('client_connection_check_interval')
})

test('what the server must be told wins over its files', () => {
  const args = serverArguments('/data', '/sock', 5432, 'swarm-a')
  expect(args).toEqual(
    expect.arrayContaining(['-D', '/data', 'listen_addresses=', 'unix_socket_permissions=0700']),
  )
})
