import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { scratchRepository } from '../support/git.ts'

const RUNNER = join(__dirname, '..', '..', 'examples', 'runners', 'bwrap')
/** Whether bubblewrap is here and may make namespaces. */
const works = spawnSync('bwrap', ['--ro-bind', '/', '/', '--unshare-pid', 'true']).status === 0
if (!works) process.stderr.write('bubblewrap does not run here: its runner is not tested\n')

const scratch = realpathSync(mkdtempSync(join(tmpdir(), 'swarm-bwrap-')))
const repository = scratchRepository({})
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

/** A worktree of the repository, as a session has it, and how a shell runs in it. */
function session(name: string) {
  const dir = join(scratch, name)
  repository.git(['worktree', 'add', '-q', '-b', name, dir])
  const home = join(scratch, `${name}-home`)
  const tmp = join(scratch, `${name}-tmp`)
  for (const made of [home, tmp]) mkdirSync(made)
  const env = { PATH: process.env.PATH, HOME: home, TMPDIR: tmp, GIT_CONFIG_GLOBAL: '/dev/null' }
  const command = (script: string) => [RUNNER, 'sh', '-c', script, 'sh'] as const
  return {
    dir,
    home,
    sh(script: string, more: Readonly<Record<string, string>> = {}) {
      const [file, ...args] = command(script)
      const { status, stdout, stderr } = spawnSync(file, args, {
        cwd: dir,
        env: { ...env, ...more },
        encoding: 'utf8',
        input: 'what stdin says',
      })
      return { status, stdout, stderr }
    },
    start(script: string) {
      const [file, ...args] = command(script)
      return spawn(file, args, { cwd: dir, env, stdio: ['ignore', 'pipe', 'inherit'] })
    },
  }
}

const COMMIT = 'git -c user.name=a -c user.email=a@example.com commit -qm "it is done"'

describe.skipIf(!works)('an agent under bubblewrap', () => {
  it('works and commits in its worktree, with a HOME and TMPDIR to write to', () => {
    const { dir, home, sh } = session('works')
    const run = sh(
      `cat > "a'b.txt" && git add -A && ${COMMIT} && touch "$HOME/h" "$TMPDIR/t" && echo said; exit 7`,
    )
    expect(run).toMatchObject({ status: 7, stdout: 'said\n' })
    expect(readFileSync(join(dir, "a'b.txt"), 'utf8')).toBe('what stdin says')
    expect(repository.git(['log', '-1', '--format=%s', 'works'])).toBe('it is done')
    expect(existsSync(join(home, 'h'))).toBe(true)
  })

  it('changes nothing else: no other file, no hook, no configuration of git', () => {
    const { sh } = session('tries')
    const other = join(scratch, 'other.txt')
    writeFileSync(other, 'mine')
    const common = join(repository.root, '.git')
    const config = readFileSync(join(common, 'config'), 'utf8')
    for (const attempt of [
      `echo evil > '${other}'`,
      `echo evil > '${join(scratch, 'new.txt')}'`,
      `echo evil > '${join(repository.root, 'evil.txt')}'`,
      `echo evil > '${join(common, 'hooks', 'post-checkout')}'`,
      `echo evil >> '${join(common, 'config')}'`,
      'git config core.fsmonitor evil',
      'git config --worktree core.fsmonitor evil || exit 1; git config extensions.worktreeConfig true',
      'echo "gitdir: /evil" > .git',
      'touch /etc/evil',
    ])
      expect([attempt, sh(attempt).status === 0]).toEqual([attempt, false])
    expect(readFileSync(other, 'utf8')).toBe('mine')
    expect(readFileSync(join(common, 'config'), 'utf8')).toBe(config)
    expect(existsSync(join(common, 'hooks', 'post-checkout'))).toBe(false)
  })

  it('sees none of the operator’s home directory but what it is given', () => {
    const { sh } = session('looks')
    const operator = spawnSync('getent', ['passwd', String(process.getuid?.())], {
      encoding: 'utf8',
    }).stdout.split(':')[5]
    expect(sh(`ls -A '${operator}'`).stdout).toBe('')
    const seen = join(scratch, 'seen')
    mkdirSync(seen)
    writeFileSync(join(seen, 'tool'), 'x')
    expect(
      sh(`ls '${seen}'; echo x > '${seen}/tool'`, { SWARM_BWRAP_SEES: `${seen}:/nothing` }),
    ).toMatchObject({
      status: 2,
      stdout: 'tool\n',
    })
  })

  it('has ended with all that it started when its runner is killed', async () => {
    const { dir, start } = session('ends')
    const child = start('sh -c "echo begun; exec sleep 600" & wait')
    await once(child.stdout, 'data')
    // its output is held open as long as anything that it has started lives
    const closed = once(child, 'close')
    child.kill('SIGKILL')
    await closed
    expect(spawnSync('pgrep', ['-f', `chdir ${dir}`]).status).toBe(1)
  })
})

it('says what is missing', () => {
  const run = (args: readonly string[], PATH: string) =>
    spawnSync(RUNNER, args, { env: { PATH }, encoding: 'utf8' })
  expect(run([], '/usr/bin:/bin')).toMatchObject({
    status: 64,
    stderr: 'bwrap: name the program to be run\n',
  })
  const bare = join(scratch, 'bin')
  mkdirSync(bare)
  expect(spawnSync('/bin/sh', [RUNNER, 'true'], { env: { PATH: bare }, encoding: 'utf8' })).toMatchObject({
    status: 69,
    stderr: 'bwrap: bubblewrap is not installed\n',
  })
})
