import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { loadRoot } from '../../src/root/config.ts'
import { isOwnGroup, type Owned, suspicion } from '../../src/root/ownership.ts'

const scratch = mkdtempSync(join(realpathSync(tmpdir()), 'swarm-owner-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))
const isRoot = process.getuid?.() === 0
const SOMEBODY = 65_534

/** A root with a configuration, seen by a user whose own configuration directory is empty. */
function place() {
  const dir = mkdtempSync(join(scratch, 'root-'))
  chmodSync(dir, 0o755)
  mkdirSync(join(dir, '.swarm'))
  const config = join(dir, '.swarm', 'config.toml')
  writeFileSync(config, 'repo = "theirs"\n')
  const home = mkdtempSync(join(scratch, 'home-'))
  return { dir, config, home, env: { HOME: home, XDG_CONFIG_HOME: undefined } }
}

const refused = (problem: string, file: string) =>
  expect.objectContaining({
    code: 'INVALID',
    area: 'configuration',
    message: expect.stringContaining(`${file} ${problem}`),
  })

function failure(run: () => unknown): unknown {
  try {
    return run()
  } catch (error) {
    return error
  }
}

describe('a root is believed only when nobody else can have made it', () => {
  it('is read when it is the user’s own', () => {
    const { dir, env } = place()
    expect(loadRoot(dir, env)).toEqual({ path: dir, config: { repo: 'theirs' } })
  })

  it.runIf(isRoot).each(['', '.swarm', '.swarm/config.toml'])(
    'refuses “%s” of another owner, also for root',
    (name) => {
      const { dir, env } = place()
      const file = join(dir, name)
      chownSync(file, SOMEBODY, SOMEBODY)
      expect(failure(() => loadRoot(dir, env))).toEqual(refused('belongs to another user', file))
    },
  )

  it.each(['', '.swarm', '.swarm/config.toml'])('refuses “%s” that everybody may write', (name) => {
    const { dir, env } = place()
    const file = join(dir, name)
    chmodSync(file, 0o777)
    expect(failure(() => loadRoot(dir, env))).toEqual(refused('can be written by everybody', file))
  })

  it('refuses a .swarm that is a link', () => {
    const { dir, env } = place()
    const other = mkdtempSync(join(scratch, 'linked-'))
    symlinkSync(join(dir, '.swarm'), join(other, '.swarm'))
    expect(failure(() => loadRoot(other, env))).toEqual(refused('is a symbolic link', join(other, '.swarm')))
  })

  it('refuses a configuration that is a link', () => {
    const { dir, env, config } = place()
    rmSync(config)
    symlinkSync('/etc/hostname', config)
    expect(failure(() => loadRoot(dir, env))).toEqual(refused('is a symbolic link', config))
  })

  it('takes what SWARM_ROOT names, or safe_root of the user’s own configuration', () => {
    const { dir, env, home } = place()
    chmodSync(join(dir, '.swarm'), 0o777)
    expect(loadRoot('/', { ...env, SWARM_ROOT: dir })?.path).toBe(dir)
    mkdirSync(join(home, '.config/swarm'), { recursive: true })
    const own = join(home, '.config/swarm/config.toml')
    writeFileSync(own, `safe_root = ["/elsewhere", ${JSON.stringify(dir)}]\n`)
    expect(loadRoot(dir, env)?.path).toBe(dir)
    chmodSync(own, 0o666)
    expect(failure(() => loadRoot(dir, env))).toEqual(
      refused('can be written by everybody', join(dir, '.swarm')),
    )
  })
})

describe('suspicion', () => {
  const mine: Owned = { uid: 1000, gid: 1000, mode: 0o755, isLink: false, isDirectory: true }
  it.each<[string, Partial<Owned>, boolean, string | null]>([
    ['its own directory', {}, false, null],
    ['its own group, of which nobody else is a member', { mode: 0o775 }, true, null],
    ['a group of several', { mode: 0o775 }, false, 'can be written by others (group 1000)'],
    ['a sticky directory', { mode: 0o1777 }, false, null],
    ['a file with that bit', { mode: 0o1777, isDirectory: false }, false, 'can be written by everybody'],
    ['root’s directory, for a user', { uid: 0 }, false, 'belongs to another user (uid 0; you are 1000)'],
  ])('%s', (_name, changed, own, expected) => {
    expect(suspicion({ ...mine, ...changed }, 1000, () => own)).toBe(expected)
  })

  const users =
    'root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nbob:x:1001:100::/home/bob:/bin/sh'
  it.each<[string, number, boolean]>([
    ['ann:x:1000:', 1000, true],
    ['ann:x:1000:ann', 1000, true],
    ['ann:x:1000:ann,bob', 1000, false],
    ['users:x:100:', 100, false],
    ['ann:x:1000:', 4711, false],
  ])('of the groups "%s", %i is the user’s own: %s', (groups, gid, expected) => {
    expect(isOwnGroup(gid, 1000, groups, users)).toBe(expected)
  })
})
