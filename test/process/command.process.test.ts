import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { afterAll, describe, expect, it } from 'vitest'
import { SwarmError } from '../../src/contract/errors.ts'
import { type CommandOptions, runCommand } from '../../src/process/index.ts'
import { lives } from '../support/processes.ts'

const scratch = mkdtempSync(join(tmpdir(), 'swarm-command-'))
afterAll(() => rmSync(scratch, { recursive: true }))

const fixture = (name: string) => join(__dirname, '..', 'fixtures', 'bin', name)
const run = (name: string, args: readonly string[] = [], options: Partial<CommandOptions> = {}) =>
  runCommand({ argv: [fixture(name), ...args], cwd: scratch, timeoutMs: 10_000, ...options })

describe('running a command', () => {
  it('hands arguments over as they are: no shell reads them', async () => {
    const args = ['$HOME', '; touch pwned', '`id`', 'a \'b\' "c"', '*', '']
    const result = await run('echo-args', args)
    expect(result).toMatchObject({ ended: 'exited', exitCode: 0, leftProcesses: false })
    expect(JSON.parse(result.stdout.text)).toEqual(args)
    expect(result.durationMs).toBeGreaterThan(0)
  })

  it('tells the exit code, with both outputs in order', async () => {
    const result = await run('exit-with', ['7', 'it', 'broke'])
    expect(result).toMatchObject({ ended: 'exited', exitCode: 7 })
    expect(result.output.text).toBe('it broke\n')
    expect(result.stdout.text).toBe('')
  })

  it('loses no output of a command that ends while this process is busy', async () => {
    const file = (name: string) => join(scratch, name)
    const start = (name: string, echo?: Writable) => {
      const script = `echo $$ > ${name}.new; mv ${name}.new ${name}.pid; until [ -e ${name}.go ]; do sleep 0.01; done; echo ${name}`
      return runCommand({ argv: ['sh', '-c', script], cwd: scratch, timeoutMs: 20_000, echo })
    }
    const busyUntil = (holds: () => boolean) => {
      while (!holds());
    }
    /** Lets it write and end, and does nothing else meanwhile. */
    const letEnd = (name: string) => {
      const pid = Number(readFileSync(file(`${name}.pid`), 'utf8'))
      writeFileSync(file(`${name}.go`), '')
      busyUntil(() => !lives(pid))
    }
    const later = () => {
      letEnd('second')
      setImmediate(() => {
        const end = performance.now() + 800
        busyUntil(() => performance.now() > end)
      })
    }
    // what can be read is told before what has ended: the second one writes and ends in between, and then all is busy
    const busy = new Writable({
      write(_chunk, _encoding, done) {
        later()
        done()
      },
    })
    const first = start('first', busy)
    const second = start('second')
    while (!existsSync(file('first.pid')) || !existsSync(file('second.pid')))
      await new Promise((resolve) => setTimeout(resolve, 10))
    letEnd('first')
    expect((await second).stdout.text).toBe('second\n')
    expect((await first).stdout.text).toBe('first\n')
  })

  it('tells a signal from an exit code', async () => {
    const result = await run('die-by', ['SEGV'])
    expect(result).toMatchObject({ ended: 'signaled', signal: 'SIGSEGV' })
    expect(result.exitCode).toBeUndefined()
  })

  it('gives stdin as text, also more than a pipe holds', async () => {
    const input = 'ä'.repeat(1_000_000)
    const result = await run('read-stdin', [], { input })
    expect(result.stdout.text).toBe(`2000000 ${createHash('sha256').update(input).digest('hex')}`)
  })

  it('does not mind a command that leaves its input unread', async () => {
    expect(await run('exit-with', ['0'], { input: 'x'.repeat(5_000_000) })).toMatchObject({ exitCode: 0 })
  })

  it('keeps the beginning and the end of long output', async () => {
    const { output } = await run('noise', ['200000'], { maxOutputBytes: 4_096 })
    expect(output.text).toMatch(/^line 1 äöü\nline 2 äöü\n/)
    expect(output.text).toMatch(/line 200000 the last\n$/)
    expect(output.bytes).toBeGreaterThan(2_000_000)
    expect(output.bytes - output.cutBytes).toBeLessThanOrEqual(4_096)
    expect(output.text).not.toContain('\ufffd')
  })
})

describe('the deadline', () => {
  it('ends the whole group, also children that ignore SIGTERM', async () => {
    const started = performance.now()
    const result = await run('stubborn', [], { timeoutMs: 500, graceMs: 300 })
    expect(result).toMatchObject({ ended: 'timed_out', signal: 'SIGKILL' })
    expect(result.exitCode).toBeUndefined()
    const pids = result.output.text.trim().split(' ').map(Number)
    expect(pids).toHaveLength(2)
    expect(pids.filter(lives)).toEqual([])
    expect(performance.now() - started).toBeLessThan(3_000)
  })

  it('lets a command clean up, and it is a timeout all the same', async () => {
    const result = await run('polite', [], { timeoutMs: 400 })
    expect(result).toMatchObject({ ended: 'timed_out', output: { text: 'started\ncleaned up\n' } })
    expect(result.durationMs).toBeLessThan(2_000)
  })

  it('bounds the wait for a pipe that a process outside the group holds open', async () => {
    const started = performance.now()
    const result = await run('escapes')
    const pid = Number(result.output.text)
    try {
      expect(result).toMatchObject({ ended: 'exited', exitCode: 0 })
      expect(performance.now() - started).toBeLessThan(3_000)
      expect(lives(pid)).toBe(true)
    } finally {
      process.kill(pid, 'SIGKILL')
    }
  })

  it('ends what a command leaves behind', async () => {
    const result = await run('leaves-child')
    expect(result).toMatchObject({ ended: 'exited', exitCode: 3, leftProcesses: true })
    expect(lives(Number(result.output.text))).toBe(false)
  })
})

describe('aborting', () => {
  it('ends the group', async () => {
    const abort = new AbortController()
    setTimeout(() => abort.abort(), 400)
    const result = await run('stubborn', [], { signal: abort.signal, graceMs: 100 })
    expect(result.ended).toBe('aborted')
    expect(result.output.text.trim().split(' ').map(Number).filter(lives)).toEqual([])
  })

  it('does not start what is aborted already', async () => {
    expect(await run('noise', ['5'], { signal: AbortSignal.abort() })).toMatchObject({
      ended: 'aborted',
      output: { bytes: 0 },
    })
  })
})

describe('the environment', () => {
  const envOf = async (options: Partial<CommandOptions>) =>
    JSON.parse((await run('print-env', [], options)).stdout.text)

  it('adds, replaces and removes variables', async () => {
    process.env.SWARM_TEST_KEPT = 'kept'
    process.env.SWARM_TEST_GONE = 'gone'
    const env = await envOf({ env: { SWARM_STAGE: 'qa', SWARM_TEST_GONE: undefined } })
    delete process.env.SWARM_TEST_KEPT
    delete process.env.SWARM_TEST_GONE
    expect(env).toMatchObject({ SWARM_STAGE: 'qa', SWARM_TEST_KEPT: 'kept', PATH: process.env.PATH })
    expect(env).not.toHaveProperty('SWARM_TEST_GONE')
  })

  it('keeps the database’s password to itself unless asked', async () => {
    const secret = {
      DATABASE_URL: 'postgres://swarm:hunter2@db/x',
      PGPASSWORD: 'hunter2',
      OTHER: 'postgresql://h/x?password=hunter2',
    }
    const before = { ...process.env }
    Object.assign(process.env, secret, { PLAIN_URL: 'postgres://swarm@db/x' })
    try {
      const env = await envOf({})
      expect(JSON.stringify(env)).not.toContain('hunter2')
      expect(env).toHaveProperty('PLAIN_URL')
      expect(await envOf({ withDatabase: true })).toMatchObject(secret)
    } finally {
      process.env = before
    }
  })
})

describe('what cannot be started', () => {
  const refusal = async (argv: readonly string[], cwd = scratch) => {
    const error = await runCommand({ argv, cwd, timeoutMs: 1_000 }).catch((e: unknown) => e)
    return error instanceof SwarmError ? { code: error.code, message: error.message, ctx: error.ctx } : error
  }

  it('names a missing binary', async () => {
    expect(await refusal(['no-such-binary-here', '--x'])).toEqual({
      code: 'DEPENDENCY',
      message: 'no-such-binary-here is not installed or not on the PATH',
      ctx: { binary: 'no-such-binary-here' },
    })
  })
  it('names a file that may not be executed', async () => {
    expect(await refusal([__filename])).toMatchObject({
      code: 'DEPENDENCY',
      message: `${__filename} may not be executed`,
    })
  })
  it('names a missing directory, not the binary', async () => {
    expect(await refusal(['true'], '/no/such/dir')).toMatchObject({
      code: 'DEPENDENCY',
      ctx: { cwd: '/no/such/dir' },
    })
  })
  it('refuses an empty command', async () => {
    expect(await refusal([])).toMatchObject({ code: 'INVALID' })
  })
})
