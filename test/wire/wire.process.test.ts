import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { JsonObject } from '../../src/contract/json.ts'
import { testDatabase } from '../support/database.ts'
import { BIN, cleanEnv, parseLines, runSwarm } from '../support/swarm.ts'

const database = await testDatabase()
const env = { DATABASE_URL: database.url, SWARM_REPO: 'wire' }
const lines = (...requests: JsonObject[]) => requests.map((one) => `${JSON.stringify(one)}\n`).join('')

const set = await runSwarm([], { env, input: lines({ cmd: 'register', count: 1 }) })
if (set.code !== 0) throw new Error(set.stdout)

function start() {
  const child = spawn(process.execPath, [BIN], { env: cleanEnv(env) })
  let stderr = ''
  child.stdin.on('error', () => {})
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal, stderr }))
  return { child, ended }
}

/** Collects stdout; `until(n)` resolves when n envelopes are there. */
function collect(child: ReturnType<typeof start>['child']) {
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  const envelopes = () => parseLines(text.slice(0, text.lastIndexOf('\n') + 1))
  return {
    envelopes,
    async until(count: number) {
      while (envelopes().length < count) await once(child.stdout, 'data')
      return envelopes()
    },
  }
}

const waiting = (rid: string, wait_ms: number) => ({ cmd: 'claim-next', agent_id: 1, rid, wait_ms })

test('SIGTERM answers open waits at once and ends with 0', async () => {
  const { child, ended } = start()
  const out = collect(child)
  child.stdin.write(lines(waiting('w', 60_000), { cmd: 'status', rid: 's' }))
  await out.until(1)
  const started = performance.now()
  child.kill('SIGTERM')
  expect(await ended).toEqual({ code: 0, signal: null, stderr: '' })
  expect(performance.now() - started).toBeLessThan(3_000)
  expect(out.envelopes()).toMatchObject([
    { ok: true, rid: 's' },
    { ok: true, rid: 'w', d: { bead: null, reason: 'shutdown' } },
  ])
})

test('the end of stdin lets waits run their time', async () => {
  const { envelopes, code } = await runSwarm([], {
    env,
    input: lines(waiting('w', 300), { cmd: 'status', rid: 's' }),
  })
  expect(envelopes).toMatchObject([
    { ok: true, rid: 's' },
    { ok: true, rid: 'w', d: { bead: null, reason: 'empty' } },
  ])
  expect(code).toBe(0)
})

test('a closed stdout ends the process quietly, also while a request waits', async () => {
  const { child, ended } = start()
  const out = collect(child)
  child.stdin.write(lines(waiting('w', 60_000), { cmd: 'status' }))
  await out.until(1)
  child.stdout.destroy()
  child.stdin.write(lines({ cmd: 'status' }, { cmd: 'status' }))
  expect(await ended).toMatchObject({ signal: null, stderr: '' })
})

test('a reader that starts late loses nothing', async () => {
  const { child, ended } = start()
  const count = 3_000
  const input = Array.from({ length: count }, (_, rid) => JSON.stringify({ cmd: 'describe', rid })).join('\n')
  child.stdin.end(`${input}\n`)
  // as much as the pipes hold is there before anything is read
  await once(child.stdout, 'readable')
  const out = collect(child)
  const { code, stderr } = await ended
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(out.envelopes().map((one) => one.rid)).toEqual(Array.from({ length: count }, (_, rid) => rid))
})

test('a reader that reads no more cannot keep the process from ending', async () => {
  const { child, ended } = start()
  const input = Array.from({ length: 500 }, (_, rid) => JSON.stringify({ cmd: 'describe', rid })).join('\n')
  child.stdin.write(`${input}\n`)
  await once(child.stdout, 'readable')
  child.kill('SIGTERM')
  const [code] = await once(child, 'exit')
  // 11: the lines that were not started were answered BUSY
  expect(code).toBe(11)
  child.stdout.resume()
  expect(await ended).toMatchObject({ stderr: '' })
}, 20_000)

test('all of a large answer arrives before the process ends', async () => {
  const description = 'x'.repeat(250_000)
  const added = await runSwarm([], {
    env,
    input: lines({ cmd: 'enqueue', beads: [{ bead_id: 'big', title: 't', description }] }),
  })
  expect(added.code).toBe(0)
  const piped = await runSwarm([], { env, input: lines({ cmd: 'show', bead_id: 'big' }) })
  const oneShot = await runSwarm(['show', 'big'], { env })
  for (const { envelopes, code, stdout } of [piped, oneShot]) {
    expect(code).toBe(0)
    expect(stdout.length).toBeGreaterThan(250_000)
    expect(envelopes).toMatchObject([{ ok: true, d: { bead: { description } } }])
  }
})

test('a one-shot that waits answers at SIGTERM', async () => {
  const repo = 'idle'
  expect((await runSwarm(['register', '--repo', repo], { env })).code).toBe(0)
  const argv = ['claim-next', '--agent-id', '1', '--wait-ms', '60000', '--repo', repo]
  const child = spawn(process.execPath, [BIN, ...argv], { env: cleanEnv(env) })
  const out = collect(child)
  const closed = once(child, 'close')
  await listening()
  child.kill('SIGTERM')
  expect(await closed).toEqual([0, null])
  expect(out.envelopes()).toMatchObject([{ ok: true, d: { bead: null, reason: 'shutdown' } }])
})

/** Resolves when a process listens for changes: then it waits. */
async function listening(): Promise<void> {
  for (;;) {
    const found = await database.sql`
      select 1 from pg_stat_activity where datname = current_database() and application_name like 'swarm listen%'`
    if (found.length > 0) return
    await delay(20)
  }
}
