import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import {
  endSession,
  findMarked,
  MARKER_NAME,
  newMarker,
  type Program,
  sampleLiveness,
  startProgram,
} from '../../src/process/index.ts'
import { livenessDelta } from '../../src/process/liveness.ts'
import { lives } from '../support/processes.ts'

const scratch = mkdtempSync(join(tmpdir(), 'swarm-sessions-'))
afterAll(() => rmSync(scratch, { recursive: true }))

const PATH = process.env.PATH ?? '/usr/bin:/bin'
const started: { program: Program; marker: string; pids: readonly number[] }[] = []

/** Runs a shell script as a session; it prints the ids of its processes on one line when all of them run. */
async function session(script: string, env: Readonly<Record<string, string>> = {}) {
  const marker = newMarker()
  const program = await startProgram({
    argv: ['bash', '-c', script],
    cwd: scratch,
    env: { PATH, ...env },
    marker,
  })
  const pids = await new Promise<readonly number[]>((resolve) => {
    let text = ''
    program.stdout.on('data', (chunk) => {
      text += chunk
      if (text.includes('\n')) resolve((text.split('\n')[0] ?? '').trim().split(/\s+/).map(Number))
    })
  })
  started.push({ program, marker, pids })
  const end = (options: Partial<Parameters<typeof endSession>[0]> = {}) =>
    endSession({ pid: program.pid, marker, exited: program.exited, graceMs: 400, killMs: 2_000, ...options })
  return { marker, program, pids, end }
}

afterEach(() => {
  for (const { program, pids } of started.splice(0))
    for (const pid of [program.pid, ...pids]) if (lives(pid)) process.kill(pid, 'SIGKILL')
})

const linux = process.platform === 'linux'

describe('starting a program', () => {
  it('gives it nothing of this process’s environment, its directory as PWD, and the marker', async () => {
    const { marker, pids, end } = await session('echo $$; exec sleep 60', { HOME: '/nowhere' })
    const env = readFileSync(`/proc/${pids[0]}/environ`, 'utf8').split('\0').filter(Boolean)
    const names = env.map((entry) => entry.split('=')[0]).sort()
    // bash adds OLDPWD, SHLVL and _ by itself
    expect(names.filter((name) => !['OLDPWD', 'SHLVL', '_'].includes(name ?? ''))).toEqual(
      ['HOME', 'PATH', 'PWD', MARKER_NAME].sort(),
    )
    expect(env).toContain(`PWD=${scratch}`)
    expect(env).toContain(`${MARKER_NAME}=${marker}`)
    await end()
  })
})

describe.runIf(linux)('ending a session leaves nothing of it', () => {
  it('ends children in sessions of their own, which no signal to the group reaches', async () => {
    const { pids, end, marker } = await session('setsid sleep 300 & a=$!; sleep 300 & echo $$ $a $!; wait')
    expect(findMarked(marker)?.map(({ pid }) => pid)).toEqual(expect.arrayContaining([...pids]))
    const ending = await end()
    expect(pids.filter(lives)).toEqual([])
    expect(ending).toMatchObject({ left: [], canSweep: true })
    expect(ending.steps).toEqual(['SIGTERM', 'sweep'])
  })

  it('ends what forked twice and left, after its first process has gone', async () => {
    const { program, pids, end } = await session(
      'out=$(setsid bash -c "sleep 300 >&- 2>&- & echo \\$!"); echo $out; exit 0',
    )
    await program.exited
    expect(pids.filter(lives)).toHaveLength(1)
    const ending = await end()
    expect(ending.swept.map(({ pid }) => pid)).toEqual(pids)
    expect(pids.filter(lives)).toEqual([])
  })

  it('kills what ignores SIGTERM, in the group and outside', async () => {
    const { pids, end } = await session(
      'trap "" TERM; setsid bash -c "trap \\"\\" TERM; while :; do sleep 1; done" & echo $$ $!; while :; do sleep 1; done',
    )
    const began = performance.now()
    const ending = await end()
    expect(ending.steps).toEqual(['SIGTERM', 'SIGKILL', 'sweep'])
    expect(pids.filter(lives)).toEqual([])
    expect(ending.left).toEqual([])
    expect(performance.now() - began).toBeLessThan(5_000)
  })

  it('ends what is started while it is being ended', async () => {
    const { marker, pids, end } = await session(
      'trap "" TERM; echo $$; while :; do setsid sleep 200 & sleep 0.02; done',
    )
    const ending = await end()
    expect(ending.left).toEqual([])
    expect(findMarked(marker)).toEqual([])
    expect(pids.filter(lives)).toEqual([])
  })

  it('finds a child with an empty environment as long as a process above it runs', async () => {
    const { pids, end } = await session(
      'setsid env -i bash -c "trap \\"\\" TERM; while :; do sleep 1; done" & echo $$ $!; wait',
    )
    const ending = await end()
    expect(pids.filter(lives)).toEqual([])
    expect(ending.left).toEqual([])
  })

  it('cannot find a process with an empty environment whose parent has gone', async () => {
    const { program, marker, pids, end } = await session(
      'out=$(setsid env -i bash -c "sleep 300 >&- 2>&- & echo \\$!"); echo $out; exit 0',
    )
    await program.exited
    expect(findMarked(marker)).toEqual([])
    expect(await end()).toMatchObject({ steps: [], swept: [], left: [] })
    expect(pids.filter(lives)).toEqual(pids)
  })

  it('asks by the program’s own protocol first, and needs no signal when that is heard', async () => {
    const { program, pids, end } = await session('echo $$; read -r line; exit 0')
    const ending = await end({ interrupt: () => void program.stdin.write('stop\n') })
    expect(ending.steps).toEqual(['interrupt'])
    expect(pids.filter(lives)).toEqual([])
  })

  it('does not touch another session', async () => {
    const other = await session('echo $$; exec sleep 300')
    const { end } = await session('echo $$; exec sleep 300')
    await end()
    expect(other.pids.filter(lives)).toEqual(other.pids)
    await other.end()
  })

  it('has nothing to do when all has ended by itself', async () => {
    const { program, end } = await session('echo $$; exit 0')
    await program.exited
    expect(await end()).toEqual({ steps: [], swept: [], left: [], canSweep: true })
  })
})

describe.runIf(linux)('how alive a session is', () => {
  const until = async (what: () => boolean) => {
    while (!what()) await new Promise((resolve) => setTimeout(resolve, 20))
  }

  /** True when a process sleeps, as the program of that name where one is said. */
  const isAsleep = (pid: number, name = ''): boolean => {
    const [, comm = '', state] = /\((.*)\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? []
    return state === 'S' && (name === '' || comm === name)
  }

  it('tells a child that works in a session of its own from one that sleeps', async () => {
    const busy = await session('setsid bash -c "while :; do :; done" & echo $!; wait')
    const idle = await session('setsid sleep 300 & echo $!; wait')
    // what its start costs is over once the child is the program that sleeps, and both do nothing
    await until(() => isAsleep(Number(idle.pids[0]), 'sleep') && isAsleep(Number(idle.program.pid)))
    // one look at all processes serves for 400 ms: it may be older than these sessions
    await until(() => [busy, idle].every(({ marker }) => sampleLiveness(marker)?.processes.length === 2))
    const before = { busy: sampleLiveness(busy.marker), idle: sampleLiveness(idle.marker) }
    if (!before.busy || !before.idle) throw new Error('no /proc')
    const { busy: busyBefore, idle: idleBefore } = before
    const since = (marker: string, from: typeof busyBefore) => {
      const now = sampleLiveness(marker)
      if (!now) throw new Error('no /proc')
      return livenessDelta(from, now)
    }
    await until(() => since(busy.marker, busyBefore).cpuMs >= 50)
    expect(since(idle.marker, idleBefore)).toMatchObject({ cpuMs: 0, ioBytes: 0, processes: 2, started: 0 })
    expect(since(busy.marker, busyBefore).processes).toBe(2)
    await Promise.all([busy.end(), idle.end()])
  })

  it('counts what short-lived children have used', async () => {
    const { marker, end } = await session(
      'echo $$; while :; do head -c 200000 /dev/zero | sha256sum >/dev/null; done',
    )
    const before = sampleLiveness(marker)
    if (!before) throw new Error('no /proc')
    await until(() => livenessDelta(before, sampleLiveness(marker) ?? before).cpuMs >= 30)
    await end()
  })
})
