import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { testDatabase } from '../../support/database.ts'
import { ask, type Serving, startServe } from '../../support/serve.ts'
import { runSwarm } from '../../support/swarm.ts'
import { plainClient, withDatabase } from '../../support/template.ts'

const { name, url: database, sql } = await testDatabase()
const scratch = mkdtempSync(join(tmpdir(), 'swarm-serve-'))
let serving: Serving

/** A root with these lines of configuration. */
function rootWith(name: string, config: string): string {
  const root = join(scratch, name)
  mkdirSync(join(root, '.swarm'), { recursive: true })
  writeFileSync(join(root, '.swarm', 'config.toml'), config)
  return root
}

beforeAll(async () => {
  const cwd = rootWith('main', 'repo = "served"\n[http]\nmax_body_bytes = 65536\nbody_timeout_ms = 1500\n')
  serving = await startServe({ DATABASE_URL: database }, { cwd })
})

afterAll(async () => {
  await serving.kill()
  rmSync(scratch, { recursive: true, force: true })
})

/** Sends bytes as they are and resolves with all that comes back until the server cuts. */
function raw(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString('utf8')
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(text))
  })
}

describe('swarm serve', () => {
  test('says where it listens, that it lives, and that its database answers', async () => {
    expect(serving.opened).toMatchObject({ url: `http://127.0.0.1:${serving.port}`, auth: 'cooperative' })
    expect(await ask(`${serving.url}/healthz`)).toMatchObject({ status: 200, json: { ok: true } })
    expect(await ask(`${serving.url}/readyz`)).toMatchObject({ status: 200, json: { ok: true } })
  })

  test('answers any verb as an envelope with the status that fits', async () => {
    const rpc = (body: object) => ask(`${serving.url}/api/rpc`, { body })
    expect(await rpc({ cmd: 'register', count: 2, rid: 'r' })).toMatchObject({
      status: 200,
      json: { ok: true, rid: 'r', d: { agent_ids: [1, 2] } },
    })
    expect(await rpc({ cmd: 'enqueue', beads: [{ bead_id: 'a', title: 'A' }] })).toMatchObject({
      status: 200,
    })
    expect(await rpc({ cmd: 'claim-next', agent_id: 1 })).toMatchObject({
      json: { d: { bead: { bead_id: 'a' } } },
    })
    expect(await rpc({ cmd: 'show', bead_id: 'none', rid: 7 })).toMatchObject({
      status: 404,
      json: { ok: false, rid: 7, err: { code: 'NOTFOUND' } },
    })
    expect(await rpc({ cmd: 'shwo', bead_id: 'a' })).toMatchObject({
      status: 400,
      json: { err: { code: 'INVALID' }, fix: '{"cmd":"show","bead_id":"a"}' },
    })
    expect(await rpc({ cmd: 'heartbeat', agent_id: 1, fence: 99 })).toMatchObject({
      status: 409,
      json: { err: { code: 'CONFLICT' } },
    })
    expect(await ask(`${serving.url}/api/nothing`)).toMatchObject({
      status: 404,
      json: { err: { code: 'NOTFOUND' } },
    })
  })

  test('answers lines with lines, in order', async () => {
    const lines = [
      '{"cmd":"status","rid":1}',
      'no json',
      '{"cmd":"record-event","event_type":"progress","entity_id":"x","rid":3}',
    ]
    const answer = await ask(`${serving.url}/api/rpc`, {
      body: `${lines.join('\n')}\n`,
      headers: { 'content-type': 'application/x-ndjson' },
    })
    expect(answer).toMatchObject({
      status: 200,
      headers: { 'content-type': expect.stringContaining('ndjson') },
    })
    const envelopes = answer.text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(envelopes).toMatchObject([
      { ok: true, rid: 1 },
      { ok: false, err: { code: 'INVALID' } },
      { ok: true, rid: 3 },
    ])
  })

  test('sends what a verb says ahead of its reply, and lets two clients wait under the same rid', async () => {
    const body = {
      cmd: 'subscribe',
      from: 'beginning',
      event_types: ['bead_enqueued'],
      until: 'idle:100ms',
      rid: 's',
    }
    const { text } = await ask(`${serving.url}/api/rpc`, { body })
    const lines = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines.map(({ d }) => d.kind)).toEqual(['start', 'event', 'end'])
    expect(lines.map(({ rid }) => rid)).toEqual(['s', 's', 's'])

    const controller = new AbortController()
    const waiting = fetch(`${serving.url}/api/rpc`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ cmd: 'inbox', agent_id: 2, wait_ms: 600_000, rid: 'gone' }),
      signal: controller.signal,
    }).catch(() => {})
    // the same rid waits again beside it: it is another client's
    const second = ask(`${serving.url}/api/rpc`, {
      body: { cmd: 'inbox', agent_id: 2, wait_ms: 500, rid: 'gone' },
    })
    controller.abort()
    await waiting
    expect(await second).toMatchObject({ status: 200, json: { ok: true, rid: 'gone' } })
  })

  test('lists beads bare, by fields of the query', async () => {
    expect(await ask(`${serving.url}/api/beads?limit=1&status=in_progress`)).toMatchObject({
      status: 200,
      json: { beads: [{ bead_id: 'a' }], more: false },
    })
    expect(await ask(`${serving.url}/api/beads?limit=none`)).toMatchObject({
      status: 400,
      json: { ok: false, err: { code: 'INVALID', ctx: { field: 'limit' } } },
    })
  })

  test('forbids inline code, sniffing and framing', async () => {
    const { headers } = await ask(`${serving.url}/healthz`)
    expect(headers['content-security-policy']).toContain("default-src 'none'")
    expect(headers['content-security-policy']).not.toContain('unsafe')
    expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' })
  })
})

describe('a request from elsewhere is refused:', () => {
  test.each([
    ['a Host that is not this machine', { host: 'evil.example' }],
    ['a Host that only begins like it', { host: '127.0.0.1.evil.example' }],
    ['a foreign Origin', { origin: 'http://evil.example' }],
    ['the Origin of a file', { origin: 'null' }],
    ['the Origin of another port', { origin: 'http://127.0.0.1:1' }],
    ['a page of another site', { 'sec-fetch-site': 'cross-site' }],
    ['a page of a neighbour', { 'sec-fetch-site': 'same-site' }],
  ])('%s', async (_name, headers: Record<string, string>) => {
    const answer = await ask(`${serving.url}/api/rpc`, { body: { cmd: 'status' }, headers })
    expect(answer).toMatchObject({ status: 403, json: { ok: false, err: { code: 'UNAUTHORIZED' } } })
  })

  test('our own page is not', async () => {
    const headers = { origin: serving.url, 'sec-fetch-site': 'same-origin' }
    expect(await ask(`${serving.url}/api/rpc`, { body: { cmd: 'status' }, headers })).toMatchObject({
      status: 200,
    })
    const host = { host: 'localhost:8080', origin: 'http://localhost:8080' }
    expect(await ask(`${serving.url}/api/beads`, { headers: host })).toMatchObject({ status: 200 })
  })

  test('headers of a proxy are not believed unless it is named', async () => {
    const headers = { host: 'evil.example', 'x-forwarded-host': `127.0.0.1:${serving.port}` }
    expect(await ask(`${serving.url}/api/beads`, { headers })).toMatchObject({ status: 403 })
  })

  test('a token that is none', async () => {
    const headers = { authorization: 'Basic cm9vdDpyb290' }
    expect(await ask(`${serving.url}/api/beads`, { headers })).toMatchObject({ status: 401 })
  })
})

describe('without a token', () => {
  test.each([
    { cmd: 'work', agent_id: 1, command: ['true'] },
    { cmd: 'run-once', agent_id: 1, command: ['true'] },
    { cmd: 'batch', ops: [{ cmd: 'init' }] },
    { cmd: 'import', path: '/etc/passwd' },
    { cmd: 'export', path: '/tmp/x' },
    { cmd: 'db', action: 'stop' },
    { cmd: 'doctor' },
    { cmd: 'up', adapter: 'demo' },
    { cmd: 'hello', token: 'swarm_x' },
    { cmd: 'status', database_url: 'postgres://postgres@127.0.0.1:1/x' },
  ])('$cmd is refused: any user of this machine reaches a port of it', async (body) => {
    const { status, json } = await ask(`${serving.url}/api/rpc`, { body })
    expect([status, json]).toMatchObject([body.cmd === 'batch' ? 400 : 401, { ok: false }])
  })

  test('a verb of another process is refused', async () => {
    expect(await ask(`${serving.url}/api/rpc`, { body: { cmd: 'serve' } })).toMatchObject({ status: 401 })
  })
})

describe('bad input:', () => {
  test('a body of 100 MB is refused when it begins, and not held', async () => {
    const before = await rss(serving.pid)
    const answer = await raw(
      serving.port,
      `POST /api/rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 104857600\r\n\r\n`,
    )
    expect(answer).toMatch(/^HTTP\/1\.1 413 .*"code":"INVALID"/s)
    const chunked = await raw(
      serving.port,
      `POST /api/rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n800000\r\n${'x'.repeat(8_388_608)}\r\n0\r\n\r\n`,
    ).catch((error: NodeJS.ErrnoException) => error.code ?? '')
    // the answer may be lost where the client still writes when it is cut
    expect(chunked).toMatch(/^HTTP\/1\.1 413 |^ECONNRESET$|^EPIPE$/)
    expect((await rss(serving.pid)) - before).toBeLessThan(60_000)
  })

  test('a body that stops half-way, and headers that do, are cut with an envelope', async () => {
    const half = `POST /api/rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"cmd"`
    const [body, headers] = await Promise.all([
      raw(serving.port, half),
      raw(serving.port, 'GET / HTTP/1.1\r\nHost: lo'),
    ])
    expect(body).toMatch(/^HTTP\/1\.1 408 .*"code":"TIMEOUT"/s)
    expect(headers).toMatch(/^HTTP\/1\.1 408 .*"code":"TIMEOUT"/s)
  })

  test('what is no HTTP gets an envelope', async () => {
    expect(await raw(serving.port, 'hello\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 .*"code":"INVALID"/s)
  })

  test.each([
    ['not JSON', '{"cmd":', 'application/json', 400],
    ['an array', '[{"cmd":"status"}]', 'application/json', 400],
    ['bytes that are no text', Buffer.from([0xff, 0xfe]), 'application/json', 400],
    ['a null byte', '{"cmd":"show","bead_id":"a\\u0000"}', 'application/json', 400],
    ['nothing', '', 'application/json', 400],
  ])('a body that is %s', async (_name, body, type, status) => {
    const answer = await ask(`${serving.url}/api/rpc`, { body, headers: { 'content-type': type } })
    expect(answer).toMatchObject({ status, json: { ok: false, err: { code: 'INVALID' } } })
  })

  test('a port in use is BUSY', async () => {
    const { code, envelopes } = await runSwarm(['serve', '--port', String(serving.port)], {
      env: { DATABASE_URL: database, SWARM_REPO: 'served' },
      cwd: scratch,
    })
    expect([code, envelopes]).toMatchObject([
      11,
      [{ ok: false, err: { code: 'BUSY', ctx: { field: 'port' } } }],
    ])
  })
})

describe('where the database is, and what it says in its own words,', () => {
  const rpc = (body: object) => ask(`${serving.url}/api/rpc`, { body })
  const words = { text: expect.not.stringMatching(/postgres:|secret_table|\bt_[0-9a-f]{12}/) }

  test('is told to no client when it raises something unforeseen', async () => {
    await rpc({ cmd: 'register', count: 2 })
    await sql.unsafe(`
      create function swarm.fail() returns trigger language plpgsql as
        $$ begin raise 'there is a secret_table'; end $$;
      create trigger fail before insert on swarm.agent_messages for each row execute function swarm.fail()`)
    const message = { cmd: 'send', agent_id: 1, to: 2, body: 'x' }
    const lines = {
      body: `${JSON.stringify(message)}\n`,
      headers: { 'content-type': 'application/x-ndjson' },
    }
    const answers = [await rpc(message), await ask(`${serving.url}/api/rpc`, lines)]
    await sql.unsafe('drop trigger fail on swarm.agent_messages; drop function swarm.fail()')
    for (const answer of answers)
      expect(answer).toMatchObject({
        ...words,
        json: {
          err: {
            code: 'INTERNAL',
            msg: 'the database answered an error; the log of this server says why',
            ctx: { sqlstate: 'P0001' },
          },
        },
      })
    expect(serving.stderr()).toContain('secret_table')
  })

  test('is told to no client when it refuses', async () => {
    const admin = plainClient(withDatabase(database, 'postgres'))
    await admin.unsafe(`alter database ${name} allow_connections false`)
    try {
      await admin`select pg_terminate_backend(pid) from pg_stat_activity where datname = ${name}`
      for (const path of ['/readyz', '/api/beads']) {
        // refused, or not heard of before the time was up
        expect(await ask(`${serving.url}${path}`)).toMatchObject({ ...words, json: { ok: false } })
      }
    } finally {
      await admin.unsafe(`alter database ${name} allow_connections true`)
      await admin.end()
    }
    await expect.poll(async () => (await ask(`${serving.url}/readyz`)).status).toBe(200)
  })
})

describe('elsewhere than on this machine', () => {
  test.each([
    ['0.0.0.0', 'repo = "open"\n'],
    ['127.0.0.1', 'repo = "open"\n[http]\ntrust_proxy = ["127.0.0.1"]\n'],
  ])('binding to %s without tokens is refused', async (host, config) => {
    const { code, envelopes } = await runSwarm(['serve', '--host', host, '--port', '0'], {
      env: { DATABASE_URL: database },
      cwd: rootWith(`open-${host}`, config),
    })
    expect([code, envelopes]).toMatchObject([2, [{ ok: false, err: { code: 'INVALID' } }]])
  })
})

test('SIGTERM answers what waits, says how much was answered, and ends with 0', async () => {
  const other = await startServe({ DATABASE_URL: database, SWARM_REPO: 'ending' })
  await ask(`${other.url}/api/rpc`, { body: { cmd: 'register', count: 1 } })
  const waiting = ask(`${other.url}/api/rpc`, {
    body: { cmd: 'inbox', agent_id: 1, wait_ms: 60_000, rid: 1 },
  })
  await expect.poll(() => ask(`${other.url}/healthz`).then(({ status }) => status)).toBe(200)
  const { code, last } = await other.stop()
  expect(await waiting).toMatchObject({ status: 200, json: { ok: true, rid: 1 } })
  expect([code, last]).toMatchObject([0, { ok: true, d: { auth: 'cooperative' } }])
  expect(other.stderr()).toBe('')
})

async function rss(pid: number): Promise<number> {
  const { readFileSync } = await import('node:fs')
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
}
