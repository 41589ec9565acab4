import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { openStream, type Stream } from '../support/stream.ts'
import { BIN, cleanEnv } from '../support/swarm.ts'

const database = await testDatabase()
const streams: Stream[] = []
const env = (repo: string) => ({ DATABASE_URL: database.url, SWARM_REPO: repo })

/** Memory may grow to this while a page or two are on their way, whatever lies in the log. */
const MOST_MB = 200

afterEach(async () => {
  for (const { process } of streams) process.kill('SIGKILL')
  await Promise.all(streams.splice(0).map((stream) => stream.end()))
})

/** Records events whose payloads have these sizes, in order. */
async function record(repo: string, sizes: readonly number[]): Promise<void> {
  await database.sql.unsafe(
    `insert into swarm.execution_events (event_type, entity_id, repo_id, payload)
     select 'step', 'e' || n, $1::text, jsonb_build_object('text', (
       select string_agg(md5(n || '-' || k), '') from generate_series(1, size / 32) k))
     from jsonb_array_elements_text($2::text::jsonb) with ordinality x(size_text, n), lateral (select size_text::integer as size) y order by n`,
    [repo, JSON.stringify(sizes)],
  )
}

function subscribe(repo: string, ...args: string[]) {
  // spawned bare, so that the test decides when to read
  return spawn(process.execPath, [BIN, 'subscribe', ...args], {
    env: cleanEnv(env(repo)),
    cwd: tmpdir(),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

/** The most memory that a process has had, in MB. */
function peakMb(pid: number): number {
  const [, kb = '0'] = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kb) / 1_024
}

const onLinux = process.platform === 'linux'

describe('a reader that stops reading', () => {
  test.runIf(onLinux)('slows only itself: bounded memory, no open transaction, nothing lost', async () => {
    const count = 60_000
    await record('slow', new Array<number>(count).fill(1_024))
    const slow = subscribe('slow', '--from', 'beginning', '--until', 'idle:100ms')
    const exited = once(slow, 'close')
    slow.stdout.setEncoding('utf8')
    await once(slow.stdout, 'readable')
    const pid = slow.pid ?? 0
    const fast = openStream(['subscribe', '--from', 'beginning', '--until', 'idle:100ms'], env('slow'))
    streams.push(fast)
    expect(await fast.end()).toBe(0)
    expect(fast.kind('event')).toHaveLength(count)
    // the other one has read 80 MB meanwhile
    expect(peakMb(pid)).toBeLessThan(MOST_MB)
    const sessions = await database.sql`
      select state, xact_start from pg_stat_activity
      where datname = ${database.name} and application_name like 'swarm%' and (state <> 'idle' or xact_start is not null)`
    expect([...sessions]).toEqual([])
    let lines = 0
    let peak = 0
    slow.stdout.on('data', (chunk: string) => {
      lines += chunk.split('\n').length - 1
      if (slow.exitCode === null && lines < count) peak = peakMb(pid)
    })
    const [code]: (number | null)[] = await exited
    expect(code).toBe(0)
    expect(lines).toBe(count + 2)
    expect(peak).toBeLessThan(MOST_MB)
  })

  test.runIf(onLinux)(
    'large rows after small ones do not fill the memory',
    async () => {
      const sizes = [...new Array<number>(2_000).fill(64), ...new Array<number>(300).fill(500_000)]
      await record('mixed', sizes)
      const reader = subscribe('mixed', '--from', 'beginning', '--until', 'idle:100ms')
      let peak = 0
      let lines = 0
      reader.stdout.setEncoding('utf8')
      reader.stdout.on('data', (chunk: string) => {
        lines += chunk.split('\n').length - 1
        if (lines < sizes.length) peak = peakMb(reader.pid ?? 0)
      })
      await once(reader, 'close')
      expect(lines).toBe(sizes.length + 2)
      expect(peak).toBeLessThan(MOST_MB)
    },
    60_000,
  )

  test('can be ended while nobody reads', async () => {
    await record('unread', new Array<number>(3_000).fill(1_024))
    const unread = subscribe('unread', '--from', 'beginning')
    await once(unread.stdout, 'readable')
    await delay(300)
    unread.kill('SIGTERM')
    const from = performance.now()
    await once(unread, 'exit')
    expect(performance.now() - from).toBeLessThan(5_000)
  })
})

describe('a reader that goes away', () => {
  test('ends the stream quietly', async () => {
    await record('gone', new Array<number>(3_000).fill(1_024))
    const shell = spawn(
      '/bin/sh',
      ['-c', `"$0" "$1" subscribe --from beginning 2>&3 | head -n 1; exit 0`, process.execPath, BIN],
      {
        env: cleanEnv(env('gone')),
        cwd: tmpdir(),
        stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      },
    )
    let out = ''
    let err = ''
    shell.stdout?.on('data', (chunk) => {
      out += chunk
    })
    shell.stdio[3]?.on('data', (chunk) => {
      err += chunk
    })
    await once(shell, 'close')
    expect(JSON.parse(out)).toMatchObject({ ok: true, d: { kind: 'start' } })
    expect(err).toBe('')
  })

  test('is noticed with the next line; a heartbeat is one', async () => {
    const silent = subscribe('silent', '--from', 'now')
    await once(silent.stdout, 'readable')
    silent.stdout.destroy()
    await record('silent', [32])
    const [code]: (number | null)[] = await once(silent, 'exit')
    expect(code).toBe(0)
  })
})
