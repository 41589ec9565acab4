import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { catalog } from '../../../src/commands/registry.ts'
import { loadVerb } from '../../../src/contract/command.ts'
import type { JsonObject } from '../../../src/contract/json.ts'
import { ROUTES } from '../../../src/surface/http/routes.ts'
import { testDatabase } from '../../support/database.ts'
import { ask, type Serving, startServe } from '../../support/serve.ts'
import { openSocket } from '../../support/sockets.ts'
import { openPipe } from '../../support/swarm.ts'

const { url: database, sql } = await testDatabase()
const scratch = mkdtempSync(join(tmpdir(), 'swarm-authority-'))
const tokens: Record<'operator' | 'agent' | 'observer' | 'short', string> = {
  operator: '',
  agent: '',
  observer: '',
  short: '',
}
let serving: Serving

beforeAll(async () => {
  mkdirSync(join(scratch, '.swarm'))
  writeFileSync(join(scratch, '.swarm', 'config.toml'), 'repo = "guarded"\n')
  const pipe = openPipe({ DATABASE_URL: database }, scratch)
  await pipe.ok({ cmd: 'register', count: 2 })
  await pipe.ok({ cmd: 'enqueue', beads: [{ bead_id: 'a', title: 'A' }] })
  const make = async (fields: JsonObject) =>
    (await pipe.ok<{ token: string }>({ cmd: 'token', action: 'create', ...fields })).token
  tokens.operator = await make({ role: 'operator' })
  tokens.agent = await make({ role: 'agent', agent_id: 1 })
  tokens.observer = await make({ role: 'observer', name: 'page' })
  tokens.short = await make({ role: 'operator', expires_ms: 1 })
  await sql`update swarm.repos set auth = 'tokens' where repo_id = 'guarded'`
  await pipe.close()
  serving = await startServe(
    { DATABASE_URL: database, SWARM_TOKEN: tokens.operator },
    { cwd: scratch, args: ['--host', '0.0.0.0'] },
  )
})

afterAll(async () => {
  await serving.kill()
  rmSync(scratch, { recursive: true, force: true })
})

const here = (path: string) => `http://127.0.0.1:${serving.port}${path}`

/** Every route with what it needs, as far as roles go. */
const PLACES = [
  ...ROUTES.map(({ method, path }) => ({
    method,
    path: path.replace(':iteration_id', 's:1').replace(/\/:\w+/g, '/1'),
  })),
  { method: 'POST', path: '/api/rpc' },
  { method: 'POST', path: '/internal/ticket-event' },
  { method: 'GET', path: '/metrics' },
  { method: 'GET', path: '/api/whoami' },
  { method: 'GET', path: '/api/stream' },
  { method: 'POST', path: '/mcp' },
]

function place({ method, path }: { method: string; path: string }, token?: string) {
  const body = path === '/api/rpc' ? { cmd: 'status' } : { ticketId: 'a', event: 'progress' }
  return ask(here(path), { method, token, ...(method === 'GET' ? {} : { body }) })
}

describe('every route', () => {
  test.each(PLACES)(
    '$method $path refuses who shows no token, one made up, or one that has run out',
    async (one) => {
      const reads = (status: number) => status === 401 || (status === 400 && one.method !== 'GET')
      expect((await place(one)).status).toBe(401)
      expect((await place(one, `swarm_${'a'.repeat(43)}`)).status).toSatisfy(reads)
      expect((await place(one, tokens.short)).status).toSatisfy(reads)
    },
  )

  test.each([
    ['POST', '/api/beads', { title: 'x' }, 'observer'],
    ['PATCH', '/api/beads/a', { title: 'x' }, 'agent'],
    ['DELETE', '/api/beads/a', {}, 'agent'],
    ['PATCH', '/api/agents/1', { role: 'x' }, 'agent'],
    ['POST', '/api/runs', {}, 'agent'],
    ['POST', '/api/sessions/s/terminate', {}, 'agent'],
    ['POST', '/api/iterations/s:1/qa', { result: 'passed' }, 'agent'],
    ['POST', '/api/questions/q/answer', { answer: 'x' }, 'agent'],
    ['POST', '/api/rpc', { cmd: 'heartbeat', agent_id: 2 }, 'agent'],
    ['POST', '/api/rpc', { cmd: 'status', repo: 'other' }, 'agent'],
    ['POST', '/api/rpc', { cmd: 'work', command: ['true'] }, 'agent'],
    ['POST', '/internal/ticket-event', { ticketId: 'a', event: 'progress' }, 'observer'],
  ] as const)('%s %s %j is 403 for an %s', async (method, path, body, role) => {
    expect(await ask(here(path), { method, body, token: tokens[role] })).toMatchObject({
      status: 403,
      json: { err: { code: 'UNAUTHORIZED' } },
    })
  })

  test('lets an observer read and an agent work', async () => {
    expect(await ask(here('/api/beads'), { token: tokens.observer })).toMatchObject({
      status: 200,
      json: { total: 1 },
    })
    expect(await ask(here('/metrics'), { token: tokens.observer })).toMatchObject({ status: 200 })
    const claim = await ask(here('/api/rpc'), { body: { cmd: 'claim-next' }, token: tokens.agent })
    expect(claim).toMatchObject({ status: 200, json: { d: { bead: { bead_id: 'a' } } } })
    const event = { ticketId: 'a', event: 'activity', message: 'm' }
    expect(await ask(here('/internal/ticket-event'), { body: event, token: tokens.agent })).toMatchObject({
      status: 200,
    })
  })

  test('health is for everybody, and says nothing', async () => {
    expect((await ask(here('/healthz'))).json).toEqual({ ok: true })
    expect((await ask(here('/readyz'))).json).toEqual({ ok: true })
  })
})

/** A request of each verb that an observer may not send. */
const REFUSED: readonly JsonObject[] = (
  await Promise.all(
    catalog.verbs.map(async ({ name }) => {
      const command = await loadVerb(catalog, name)
      const request = command?.examples[0]?.in
      if (!command || !request) return []
      const role = typeof command.role === 'function' ? command.role(request) : command.role
      const need = role ?? (command.effect === 'read' ? 'observer' : 'operator')
      return need === 'observer' || need === 'anyone' ? [] : [request]
    }),
  )
).flat()

describe('a weaker token', () => {
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

  test('is refused in every message of a socket that it may not send, and reads on', async () => {
    const socket = await openSocket(here('/ws'), bearer(tokens.observer))
    expect(await socket.ask({ type: 'subscribe', channels: ['events'] })).toMatchObject({ ok: true })
    const messages = [
      { type: 'task:assign', bead_id: 'a', agent_id: 1 },
      { type: 'session:terminate', session_id: 's' },
      { type: 'qa:trigger', agent_id: 1 },
      ...REFUSED,
    ]
    expect(messages.length).toBeGreaterThan(20)
    for (const { rid: _, ...message } of messages)
      expect([message, await socket.ask(message)]).toMatchObject([message, { err: { code: 'UNAUTHORIZED' } }])
    expect(await socket.ask({ cmd: 'status' })).toMatchObject({ ok: true })
    socket.close()
  })

  test('is refused by every tool that it may not call', async () => {
    const call = (name: string, args: JsonObject) =>
      ask(here('/mcp'), {
        token: tokens.observer,
        headers: { accept: 'application/json, text/event-stream' },
        body: { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: args } },
      })
    for (const { cmd, rid: _, ...args } of REFUSED) {
      const answers = [await call(String(cmd), args), await call('swarm_call', { cmd: String(cmd), ...args })]
      for (const { text } of answers)
        expect([cmd, text]).toEqual([cmd, expect.stringContaining('UNAUTHORIZED')])
    }
    expect((await call('swarm_call', { cmd: 'status' })).text).toContain('\\"ok\\":true')
  })

  test.each(['none', 'short', 'made up'])('%s opens no socket', async (which) => {
    const token = which === 'short' ? tokens.short : `swarm_${'a'.repeat(43)}`
    await expect(openSocket(here('/ws'), which === 'none' ? {} : bearer(token))).rejects.toThrow('401')
  })
})

describe('a login', () => {
  const login = (token: string) => ask(here('/login'), { body: { token } })

  test('makes a token a cookie that no script reads and no other site sends', async () => {
    const { status, headers, json, text } = await login(tokens.observer)
    expect([status, json]).toMatchObject([
      200,
      { success: true, role: 'observer', name: 'page', repo: 'guarded' },
    ])
    expect(text).not.toContain(tokens.observer)
    const [cookie = ''] = headers['set-cookie'] ?? []
    expect(cookie).toMatch(/^swarm_\d+=swarm_[\w-]+; Path=\/; Max-Age=\d+; HttpOnly; SameSite=Strict$/)
    const shown = { cookie: cookie.split(';')[0] ?? '' }
    expect(await ask(here('/api/whoami'), { headers: shown })).toMatchObject({
      status: 200,
      json: { repo: 'guarded', auth: 'tokens', role: 'observer' },
    })
    expect(
      await ask(here('/api/beads'), { headers: shown, method: 'POST', body: { title: 'x' } }),
    ).toMatchObject({ status: 403 })
    const event = { ticketId: 'a', event: 'progress' }
    expect(await ask(here('/internal/ticket-event'), { headers: shown, body: event })).toMatchObject({
      status: 401,
    })
    const out = await ask(here('/logout'), { headers: shown, method: 'POST', body: {} })
    expect(out.headers['set-cookie']?.[0]).toContain('Max-Age=0')
  })

  test.each(['', 'swarm_x', `swarm_${'a'.repeat(43)}`, 'x; Path=/evil'])(
    'with %j is refused',
    async (token) => {
      const { status, headers } = await login(token)
      expect([status, headers['set-cookie']]).toEqual([401, undefined])
    },
  )

  test('with one that has run out is refused', async () => {
    expect((await login(tokens.short)).status).toBe(401)
  })
})

test('a token that is revoked is refused within seconds', async () => {
  const make = { cmd: 'token', action: 'create', role: 'observer' }
  const { json } = await ask(here('/api/rpc'), { body: make, token: tokens.operator })
  const { d } = json as unknown as { d: { token: string; token_id: number } }
  expect((await ask(here('/api/status'), { token: d.token })).status).toBe(200)
  const socket = await openSocket(here('/ws'), { authorization: `Bearer ${d.token}` })
  await socket.ask({ type: 'subscribe', channels: ['events'] })
  const revoke = { cmd: 'token', action: 'revoke', token_id: d.token_id }
  await ask(here('/api/rpc'), { body: revoke, token: tokens.operator })
  await expect.poll(() => ask(here('/api/status'), { token: d.token }).then(({ status }) => status)).toBe(401)
  expect(await socket.closed).toMatchObject({ code: 1008 })
})

test('nothing of a token is in the log', () => {
  expect(serving.stderr()).not.toMatch(/swarm_[\w-]{43}/)
})
