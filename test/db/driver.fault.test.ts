import { join } from 'node:path'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { program } from '../support/program.ts'
import { pick, seeded, seedOfRun } from '../support/random.ts'
import { type ScratchServer, scratchServer } from '../support/scratch-server.ts'
import { STAND_IN } from '../support/stand-in.ts'

const CRASH = join(__dirname, 'programs', 'driver-crash.ts')
const LOAD = join(__dirname, 'programs', 'driver-load.ts')
const SECONDS = 4

let server: ScratchServer

beforeAll(async () => {
  server = await scratchServer()
})

afterAll(() => server.close())

async function withAdmin<T>(work: (admin: postgres.Sql) => Promise<T>): Promise<T> {
  const admin = postgres(server.url, { max: 1, onnotice: () => {} })
  try {
    return await work(admin)
  } finally {
    await admin.end({ timeout: 1 })
  }
}

describe('the driver, when a connection dies with a write pending', () => {
  it('ends the process as it comes', async () => {
    const plain = await program(CRASH, { patched: false })
    const ended = await plain.run([server.url], 20_000)
    plain.remove()
    expect(ended.code).not.toBe(0)
    expect(ended.stderr).toContain("Cannot read properties of null (reading 'write')")
  })

  it('fails the query and lives, patched', async () => {
    const patched = await program(CRASH)
    const ended = await patched.run([server.url], 20_000)
    patched.remove()
    expect(ended).toMatchObject({ code: 0, stderr: '' })
    expect(ended.stdout).toContain('CONNECTION_CLOSED')
  })
})

describe('a process that has nothing left to do', () => {
  it('ends by itself, idle connections or not, and stdout is its own', async () => {
    const heard: string[] = []
    const ear = postgres(server.url, { max: 1 })
    await ear.listen('swarm', (repo) => heard.push(repo))
    const exit = await program(join(__dirname, 'programs', 'driver-exit.ts'))
    const ended = await exit.run([server.url], 20_000)
    exit.remove()
    expect(ended).toMatchObject({ code: 0, stdout: 'done\n', stderr: '' })
    expect(ended.ms).toBeLessThan(3_000)
    await expect.poll(() => heard).toContain('last')
    await ear.end()
  })
})

describe('under load', () => {
  const cases = [
    ['backends are killed', killBackends],
    ['the server is killed and started again', crashServer],
    ['the server is shut down and started again', restartServer],
  ] as const

  it.each(cases)(
    'no acknowledged write is lost or done twice, and nothing hangs, while %s',
    async (what, fault) => {
      await withAdmin(async (admin) => {
        await admin.unsafe(`drop schema if exists swarm cascade; ${STAND_IN}`)
      })
      const random = seeded(seedOfRun(what))
      const load = await program(LOAD)
      let running = true
      const process = load.run([server.url, String(SECONDS), '6'], 150_000).finally(() => {
        running = false
      })
      const faults = await fault(random, () => running)
      const ended = await process
      load.remove()
      expect(ended, ended.stderr).toMatchObject({ code: 0, signal: null, stderr: '' })
      const { acknowledged, failures, longest, reads, replays } = JSON.parse(ended.stdout)
      const summary = `${faults} faults, ${acknowledged.length} writes, ${reads} reads, ${replays} replays, longest ${Math.round(longest)} ms`
      globalThis.process.stderr.write(`${what}: ${summary}\n`)
      expect(failures).toEqual({})
      expect(faults).toBeGreaterThan(0)
      expect(reads).toBeGreaterThan(0)
      await withAdmin(async (admin) => {
        const rows = await admin`select key, count(*)::int as n from swarm.bumps group by key`
        const done = new Map(rows.map((row) => [row.key, row.n]))
        const [row] = await admin`select n::int from swarm.counters where name = 'load'`
        expect(acknowledged.filter((key: string) => done.get(key) !== 1)).toEqual([])
        expect(row?.n).toBe(acknowledged.length)
      })
    },
    180_000,
  )
})

/**
 * Kills one backend of the load every few milliseconds, the next only when something was written since: where a connection
 * takes long, none would live long enough otherwise.
 */
async function killBackends(random: () => number, running: () => boolean): Promise<number> {
  let killed = 0
  await withAdmin(async (admin) => {
    let written = -1
    while (running()) {
      const [counter] = await admin`select n::int from swarm.counters where name = 'load'`
      const progressed = Number(counter?.n ?? 0) !== written
      written = Number(counter?.n ?? 0)
      const backends = await admin`select pid from pg_stat_activity where application_name = 'swarm load'`
      if (progressed && backends.length > 0) {
        await admin`select pg_terminate_backend(${pick(backends, random).pid})`
        killed += 1
      }
      await new Promise((resolve) => setTimeout(resolve, random() * 20))
    }
  })
  return killed
}

async function crashServer(random: () => number, running: () => boolean): Promise<number> {
  return stopAndStart('SIGKILL', random, running)
}

async function restartServer(random: () => number, running: () => boolean): Promise<number> {
  return stopAndStart('SIGINT', random, running)
}

async function stopAndStart(
  signal: 'SIGINT' | 'SIGKILL',
  random: () => number,
  running: () => boolean,
): Promise<number> {
  let stopped = 0
  while (running()) {
    await new Promise((resolve) => setTimeout(resolve, 300 + random() * 700))
    await server.stop(signal)
    stopped += 1
    await server.start()
  }
  return stopped
}
