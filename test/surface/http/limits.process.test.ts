import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import type { JsonObject } from '../../../src/contract/json.ts'
import { testDatabase } from '../../support/database.ts'
import { ask, startServe } from '../../support/serve.ts'
import { openPipe } from '../../support/swarm.ts'

const { url: database, sql } = await testDatabase()
const scratch = mkdtempSync(join(tmpdir(), 'swarm-limits-'))
let places = 0

afterAll(() => rmSync(scratch, { recursive: true, force: true }))

/** A server of a repo of its own, with these lines under `[http]`. `tokens`: they are asked for, and these are made. */
async function serving(http: string, tokens: Readonly<Record<string, JsonObject>> = {}) {
  const repo = `limits-${++places}`
  const cwd = join(scratch, repo)
  mkdirSync(join(cwd, '.swarm'), { recursive: true })
  writeFileSync(join(cwd, '.swarm', 'config.toml'), `repo = "${repo}"\n[http]\n${http}\n`)
  const pipe = openPipe({ DATABASE_URL: database }, cwd)
  await pipe.ok({ cmd: 'register', count: 2 })
  const description = 'x'.repeat(20_000)
  const beads = Array.from({ length: 30 }, (_, at) => ({
    bead_id: `b${at}`,
    title: `bead ${at}`,
    description,
  }))
  await pipe.ok({ cmd: 'enqueue', beads })
  const made: Record<string, string> = {}
  for (const [name, fields] of Object.entries(tokens)) {
    made[name] = (await pipe.ok<{ token: string }>({ cmd: 'token', action: 'create', ...fields })).token
  }
  await pipe.close()
  if (Object.keys(tokens).length > 0)
    await sql`update swarm.repos set auth = 'tokens' where repo_id = ${repo}`
  const server = await startServe({ DATABASE_URL: database, SWARM_TOKEN: made.operator }, { cwd })
  onTestFinished(() => server.kill())
  return { ...server, repo, tokens: made, open: () => readdirSync(`/proc/${server.pid}/fd`).length }
}

interface Held {
  readonly socket: Socket
  text: string
  closed: boolean
}

/** A connection on which nothing is sent. */
function hold(port: number, from: string): Promise<Held> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', localAddress: from })
    const held: Held = { socket, text: '', closed: false }
    socket.on('data', (chunk) => {
      held.text += String(chunk)
    })
    socket.on('connect', () => resolve(held))
    socket.on('error', () => resolve(held))
    socket.on('close', () => {
      held.closed = true
    })
  })
}

const memoryOf = (pid: number) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1_024

/** How many connections this process may open, 10,000 at most. */
function manyConnections(): number {
  const [, files] = /Max open files\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
  return Math.min(10_000, Number(files) - 500)
}

test('ten thousand connections of one address leave the server to all others, and its memory bounded', async () => {
  const server = await serving('')
  const [before, files] = [memoryOf(server.pid), server.open()]
  const many: Held[] = []
  const count = manyConnections()
  while (many.length < count) {
    many.push(...(await Promise.all(Array.from({ length: 250 }, () => hold(server.port, '127.0.0.2')))))
    if (many.length % 1_000 === 0)
      expect(await ask(`${server.url}/api/status`)).toMatchObject({ status: 200 })
  }
  const kept = () => many.filter(({ closed }) => !closed).length
  await expect.poll(kept).toBeLessThanOrEqual(2_500)
  // those that say nothing for ten seconds make room for others
  expect(many.filter(({ text }) => text.startsWith('HTTP/1.1 429 '))).not.toEqual([])
  expect(memoryOf(server.pid) - before).toBeLessThan(150)
  expect(server.open() - files).toBeLessThan(3_000)
  for (const { socket } of many) socket.destroy()
  await expect.poll(() => server.open()).toBeLessThan(files + 100)
  expect(await ask(`${server.url}/api/status`, { from: '127.0.0.2' })).toMatchObject({ status: 200 })
})

test('connections beyond those of one address and of all are told so, and room is made as they end', async () => {
  const server = await serving('connections = 12\nconnections_per_address = 8')
  const hear = async (from: string, count: number) => {
    const all = await Promise.all(Array.from({ length: count }, () => hold(server.port, from)))
    return { all, told: () => all.flatMap(({ text }) => (text === '' ? [] : [text])) }
  }
  const first = await hear('127.0.0.2', 10)
  await expect.poll(first.told).toHaveLength(2)
  expect(first.told()[0]).toMatch(/^HTTP\/1\.1 429 .*Retry-After: 1.*"code":"BUSY"/s)
  const second = await hear('127.0.0.3', 6)
  await expect.poll(second.told).toHaveLength(2)
  expect(second.told()[0]).toMatch(/^HTTP\/1\.1 503 .*Retry-After: 1.*"code":"BUSY"/s)
  for (const { socket } of first.all) socket.destroy()
  await expect.poll(() => ask(`${server.url}/healthz`).then(({ status }) => status)).toBe(200)
  for (const { socket } of second.all) socket.destroy()
})

describe('requests beyond the rate', () => {
  /** Twelve requests at once, where one a second may be sent: those that were refused. */
  async function refused(url: string, asking: () => Parameters<typeof ask>[1]) {
    const answers = await Promise.all(Array.from({ length: 12 }, () => ask(url, asking())))
    return answers.filter(({ status }) => status === 429)
  }

  const madeUp = (n: number) => `swarm_${String(n).padStart(43, 'x')}`

  test('are 429 with Retry-After, for that token or address alone', async () => {
    const { url, tokens } = await serving('requests_per_second = 1', {
      operator: { role: 'operator' },
      agent: { role: 'agent', agent_id: 1 },
    })
    const health = `${url}/healthz`
    // one that is known by now
    expect((await ask(health, { token: tokens.agent })).status).toBe(200)
    let n = 0
    for (const asking of [{ token: tokens.agent }, {}]) {
      const [first] = await refused(health, () => asking)
      expect(first).toMatchObject({
        headers: { 'retry-after': '1' },
        json: { ok: false, err: { code: 'BUSY' } },
      })
    }
    expect((await ask(health, { from: '127.0.0.2' })).status).toBe(200)
    expect((await ask(health, { from: '127.0.0.3', token: tokens.operator })).status).toBe(200)
    expect(await refused(health, () => ({ token: madeUp(++n) }))).not.toEqual([])
    await expect.poll(() => ask(health).then(({ status }) => status)).toBe(200)
  })

  test('with made-up tokens make swarm forget nobody', async () => {
    const { url, tokens } = await serving('requests_per_second = 100000', {
      operator: { role: 'operator' },
      agent: { role: 'agent', agent_id: 1 },
    })
    const rpc = (body: object, token: string | undefined) => ask(`${url}/api/rpc`, { body, token })
    const claim = await rpc({ cmd: 'claim-next' }, tokens.agent)
    expect(claim).toMatchObject({ status: 200, json: { d: { fence: 1 } } })
    let n = 0
    let strangers = 0
    while (strangers < 600) {
      const some = Array.from({ length: 40 }, () => ask(`${url}/api/status`, { token: madeUp(++n) }))
      strangers += (await Promise.all(some)).filter(({ status }) => status === 401).length
    }
    // another holder of the agent would get the next fence
    expect(await rpc({ cmd: 'claim-next' }, tokens.agent)).toMatchObject({ json: { d: { fence: 1 } } })
  })

  test('are those of the client that a proxy names, and nobody else is believed who names one', async () => {
    const { url, tokens } = await serving('requests_per_second = 1\ntrust_proxy = ["127.0.0.1"]', {
      operator: { role: 'operator' },
    })
    const health = `${url}/healthz`
    const by = (client: string) => ({ headers: { 'x-forwarded-for': client } })
    expect(await refused(health, () => by('203.0.113.1'))).not.toEqual([])
    expect((await ask(health, by('203.0.113.2'))).status).toBe(200)
    // what stands before the address that the proxy saw is the client's own invention
    let n = 0
    expect(await refused(health, () => by(`198.51.100.${++n}, 203.0.113.3`))).not.toEqual([])
    // nor is a client believed that is no proxy
    expect(await refused(health, () => ({ ...by(`192.0.2.${++n}`), from: '127.0.0.2' }))).not.toEqual([])
    const login = async (from: string) => {
      const headers = { 'x-forwarded-proto': 'https', 'x-forwarded-for': `203.0.113.${++n}` }
      const answer = await ask(`${url}/login`, { body: { token: tokens.operator }, from, headers })
      return answer.headers['set-cookie']?.[0] ?? `status ${answer.status}`
    }
    expect(await login('127.0.0.1')).toMatch(/; Secure$/)
    expect(await login('127.0.0.3')).toMatch(/SameSite=Strict$/)
  })
})

/** How many connections a server holds, by the kernel's account. */
function established(port: number): number {
  const place = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const rows = readFileSync('/proc/net/tcp', 'utf8').split('\n')
  return rows.filter((row) => new RegExp(`^ *\\d+: ${place} [0-9A-F:]+ 01 `).test(row)).length
}

test.each([
  ['as much as a connection takes', 30],
  ['without end', 5_000],
])(
  'a client that asks %s and reads nothing is cut, and one that waits for its own is not',
  async (_what, count) => {
    const server = await serving('body_timeout_ms = 1000')
    const rpc = (body: object) => ask(`${server.url}/api/rpc`, { body })
    const waiting = rpc({ cmd: 'inbox', agent_id: 1, wait_ms: 60_000, rid: 1 })
    await expect.poll(() => established(server.port)).toBe(1)
    const before = memoryOf(server.pid)
    const deaf = connect({ port: server.port, host: '127.0.0.1' })
    deaf.on('error', () => {})
    deaf.pause()
    // some 600 KB
    const request = 'GET /api/beads?full=true HTTP/1.1\r\nHost: localhost\r\n\r\n'
    await new Promise<void>((resolve) => deaf.write(request.repeat(count), () => resolve()))
    await expect.poll(() => established(server.port)).toBe(1)
    expect(memoryOf(server.pid) - before).toBeLessThan(150)
    await rpc({ cmd: 'send', agent_id: 2, to: 1, body: 'now' })
    expect(await waiting).toMatchObject({ status: 200, json: { d: { messages: [{ body: 'now' }] } } })
    deaf.destroy()
  },
)
