import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, type ClientOptions, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { JsonObject } from '../../../src/contract/json.ts'
import { testDatabase } from '../../support/database.ts'
import { ask, type Serving, startServe } from '../../support/serve.ts'
import { openPipe } from '../../support/swarm.ts'
import { type Answer, readResult } from '../mcp/support.ts'

const { url: database, sql } = await testDatabase()
const scratch = mkdtempSync(join(tmpdir(), 'swarm-http-mcp-'))
const tokens = { operator: '', agent: '', observer: '', short: '' }
const clients: Client[] = []
let open: Serving
let guarded: Serving

/** A root of this repo with three agents and some beads. */
async function fill(repo: string) {
  const cwd = join(scratch, repo)
  mkdirSync(join(cwd, '.swarm'), { recursive: true })
  writeFileSync(join(cwd, '.swarm', 'config.toml'), `repo = "${repo}"\n[http]\nmax_body_bytes = 65536\n`)
  const pipe = openPipe({ DATABASE_URL: database }, cwd)
  await pipe.ok({ cmd: 'register', count: 3 })
  await pipe.ok({ cmd: 'enqueue', beads: ['a', 'b', 'c'].map((bead_id) => ({ bead_id, title: bead_id })) })
  return { cwd, pipe }
}

beforeAll(async () => {
  const first = await fill('open')
  await first.pipe.close()
  open = await startServe({ DATABASE_URL: database }, { cwd: first.cwd })
  const second = await fill('guarded')
  const make = async (fields: JsonObject) =>
    (await second.pipe.ok<{ token: string }>({ cmd: 'token', action: 'create', ...fields })).token
  tokens.operator = await make({ role: 'operator' })
  tokens.agent = await make({ role: 'agent', agent_id: 2 })
  tokens.observer = await make({ role: 'observer', name: 'reader' })
  tokens.short = await make({ role: 'operator', expires_ms: 1 })
  await sql`update swarm.repos set auth = 'tokens' where repo_id = 'guarded'`
  await second.pipe.close()
  guarded = await startServe({ DATABASE_URL: database, SWARM_TOKEN: tokens.operator }, { cwd: second.cwd })
})

afterAll(async () => {
  for (const client of clients) await client.close()
  await open.kill()
  await guarded.kill()
  rmSync(scratch, { recursive: true, force: true })
})

/** The official client, over HTTP. */
async function connect(url: string, token?: string, options?: ClientOptions) {
  const client = new Client({ name: 'test', version: '1' }, options)
  const requestInit = token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } }
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit }))
  clients.push(client)
  const call = async <D = JsonObject>(name: string, args: JsonObject = {}, more = {}): Promise<Answer<D>> =>
    readResult<D>(await client.callTool({ name, arguments: { ...args } }, more))
  return { client, call }
}

const post = (serving: Serving, body: string | object, more: Parameters<typeof ask>[1] = {}) =>
  ask(`${serving.url}/mcp`, {
    body,
    ...more,
    headers: { accept: 'application/json, text/event-stream', ...more.headers },
  })

const LIST = { jsonrpc: '2.0', id: 1, method: 'tools/list' }

describe('the loop over HTTP', () => {
  test.each([
    ['that opens with initialize', undefined],
    ['of 2026-07-28', { versionNegotiation: { mode: 'auto' } } satisfies ClientOptions],
  ])('is spoken by the official client %s', async (_which, options) => {
    const { client, call } = await connect(`${open.url}/mcp?agent=1`, undefined, options)
    expect(client.getInstructions()).toContain('claim-next')
    const { tools } = await client.listTools()
    expect(tools.map(({ name }) => name)).toContain('claim-next')
    const claimed = await call('claim-next')
    expect(claimed).toMatchObject({ ok: true, d: { stage: 'contract' } })
    expect(await call('heartbeat', { note: 'half way' })).toMatchObject({ ok: true })
    expect(await call('release')).toMatchObject({ ok: true })
  })

  test('tells beside an answer what came meanwhile, to that agent alone', async () => {
    const first = await connect(`${open.url}/mcp?agent=1`)
    const second = await connect(`${open.url}/mcp?agent=3`)
    await second.call('send', { to: 1, body: 'mind the schema' })
    expect((await second.call('swarm_call', { cmd: 'status' })).messages).toBeUndefined()
    const told = await first.call('swarm_call', { cmd: 'status' })
    expect(told.messages).toMatchObject([{ body: 'mind the schema' }])
  })

  test('waits of several clients do not disturb each other, and end when their client has gone', async () => {
    const first = await connect(`${open.url}/mcp?agent=1`)
    const second = await connect(`${open.url}/mcp?agent=3`)
    const gone = new AbortController()
    const left = first.call('inbox', { agent_id: 1, wait_ms: 60_000, rid: 'w' }, { signal: gone.signal })
    const waiting = second.call('inbox', { agent_id: 3, wait_ms: 60_000, rid: 'w' })
    await expect.poll(async () => (await ask(`${open.url}/metrics`)).status).toBe(200)
    gone.abort()
    await expect(left).rejects.toThrow()
    await first.call('send', { agent_id: 1, to: 3, body: 'now' })
    expect(await waiting).toMatchObject({ ok: true, d: { messages: [{ body: 'now' }] } })
  })
})

describe('with tokens', () => {
  test('the agent is that of the token, and another field is refused', async () => {
    const { call } = await connect(`${guarded.url}/mcp?agent=1`, tokens.agent)
    expect(await call('claim-next')).toMatchObject({ ok: true, d: { stage: 'contract' } })
    expect(
      await sql`select claimed_by as agent_id from swarm.bead_claims where repo_id = 'guarded'`,
    ).toMatchObject([{ agent_id: 2 }])
    expect(await call('send', { agent_id: 1, to: 3, body: 'x' })).toMatchObject({
      ok: false,
      err: { code: 'UNAUTHORIZED' },
    })
  })

  test('no client ends the wait of another by what that called it', async () => {
    const [first, second] = await Promise.all([
      connect(`${guarded.url}/mcp`, tokens.operator),
      connect(`${guarded.url}/mcp`, tokens.operator),
    ])
    const waiting = first.call('inbox', { agent_id: 3, wait_ms: 60_000, rid: 'w' })
    const before = Date.now()
    while (Date.now() - before < 500) {
      const answer = await second.call('swarm_call', { cmd: 'unsubscribe', args: { target: 'w' } })
      expect(answer).toMatchObject({ ok: false, err: { code: 'NOTFOUND' } })
    }
    await second.call('send', { agent_id: 1, to: 3, body: 'now' })
    expect(await waiting).toMatchObject({ ok: true, d: { messages: [{ body: 'now' }] } })
  })

  test.each([
    ['none', () => undefined],
    ['one that is made up', () => `swarm_${'a'.repeat(43)}`],
    ['one that has run out', () => tokens.short],
  ])('%s is refused whatever is asked', async (_which, token) => {
    for (const method of ['initialize', 'tools/list', 'tools/call', 'resources/read', 'subscriptions/listen'])
      expect((await post(guarded, { ...LIST, method }, { token: token() })).status).toBe(401)
  })

  test('a weaker token reads and does not write', async () => {
    const { call } = await connect(`${guarded.url}/mcp`, tokens.observer)
    expect(await call('swarm_call', { cmd: 'status' })).toMatchObject({ ok: true })
    expect(await call('claim-next', { agent_id: 3 })).toMatchObject({
      ok: false,
      err: { code: 'UNAUTHORIZED' },
    })
  })
})

describe('bad input', () => {
  test.each([
    ['a foreign Origin', { headers: { origin: 'https://evil.example' } }, LIST, 403],
    ['a foreign Host', { headers: { host: 'evil.example' } }, LIST, 403],
    ['no JSON', {}, '{"jsonrpc":', 400],
    ['a body of another type', { headers: { 'content-type': 'text/plain' } }, JSON.stringify(LIST), 415],
    ['a body that is too long', {}, JSON.stringify({ ...LIST, x: 'x'.repeat(70_000) }), 413],
    ['a reader that takes no JSON', { headers: { accept: 'text/html' } }, LIST, 406],
  ])('%s is refused', async (_what, more, body, status) => {
    expect((await post(open, body, more)).status).toBe(status)
    expect((await post(open, LIST)).status).toBe(200)
  })

  test('GET and DELETE, which only sessions have, are refused', async () => {
    for (const method of ['GET', 'DELETE']) {
      const headers = { accept: 'text/event-stream' }
      expect((await ask(`${open.url}/mcp`, { method, headers })).status).toBe(405)
    }
  })
})
