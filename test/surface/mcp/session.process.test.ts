import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { JsonObject } from '../../../src/contract/json.ts'
import { startLines } from '../../support/line-process.ts'
import { BIN, cleanEnv, openPipe } from '../../support/swarm.ts'
import { mcpPlace, readResult } from './support.ts'

const { repo: newRepo, open, url, sql, scratch } = await mcpPlace()

async function someRepo(beads = 1) {
  const repo = newRepo()
  const client = await open(repo)
  await client.ok('register', { count: 2 })
  const made = Array.from({ length: beads }, (_, at) => ({ bead_id: `b${at}`, title: `bead ${at}` }))
  if (beads > 0) await client.ok('enqueue', { beads: made })
  return { repo, client }
}

interface Message {
  readonly id?: number | string | null
  readonly result?: JsonObject & { content?: unknown; isError?: boolean }
  readonly error?: { readonly code: number; readonly message: string }
  readonly method?: string
}

/** `swarm mcp` spoken to in bare lines. */
function bare(repo: string, args: readonly string[] = []) {
  const messages: Message[] = []
  const child = startLines({
    file: BIN,
    args: ['mcp', ...args],
    env: { DATABASE_URL: url, SWARM_REPO: repo },
    onLine: (line) => messages.push(JSON.parse(line)),
  })
  return {
    ...child,
    child,
    messages,
    say: (message: object) => child.send(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`),
    by: (id: number | string) => messages.find((message) => message.id === id),
  }
}

const HELLO = {
  id: 'hello',
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'bare', version: '1' } },
}

function callOf(id: number, name: string, args: JsonObject) {
  return { id, method: 'tools/call', params: { name, arguments: args } }
}

describe('a wait', () => {
  test('is answered when there is a bead, and tells every ten seconds that it goes on', async () => {
    const { repo, client } = await someRepo(0)
    const other = await open(repo)
    const heard: number[] = []
    const waiting = client.ok<JsonObject>(
      'claim-next',
      { agent_id: 1, wait_ms: 60_000 },
      { onprogress: ({ progress }) => heard.push(progress), resetTimeoutOnProgress: true, timeout: 15_000 },
    )
    await expect.poll(() => heard.length, { timeout: 30_000 }).toBeGreaterThan(0)
    await other.ok('enqueue', { beads: [{ bead_id: 'late', title: 'late' }] })
    expect(await waiting).toMatchObject({ bead: { bead_id: 'late' } })
    expect(heard[0]).toBeGreaterThanOrEqual(9)
  }, 60_000)

  test('that is cancelled claims nothing more and leaves the connection', async () => {
    const { repo, client } = await someRepo(0)
    const other = await open(repo)
    const cancel = new AbortController()
    const waiting = client.call('claim-next', { agent_id: 1, wait_ms: 60_000 }, { signal: cancel.signal })
    await expect(client.ok('swarm_call', { cmd: 'status' })).resolves.toBeDefined()
    cancel.abort()
    await expect(waiting).rejects.toThrow()
    // it is over once another wait of the same agent is answered by its own time
    expect(await client.ok('claim-next', { agent_id: 1, wait_ms: 1_500 })).toMatchObject({ bead: null })
    await other.ok('enqueue', { beads: [{ bead_id: 'x', title: 'x' }] })
    expect(await other.ok('claim-next', { agent_id: 2 })).toMatchObject({ bead: { bead_id: 'x' } })
  })

  test('and another call run beside each other', async () => {
    const { repo, client } = await someRepo(0)
    const other = await open(repo)
    const waiting = client.ok<JsonObject>('inbox', { agent_id: 1, wait_ms: 60_000 })
    expect(await client.ok('swarm_call', { cmd: 'status' })).toBeDefined()
    await other.ok('send', { agent_id: 2, to: 1, body: 'now' })
    expect(await waiting).toMatchObject({ messages: [{ body: 'now' }] })
  })
})

describe('the end of a connection', () => {
  test('finds every request answered that was made before it', async () => {
    const { repo } = await someRepo()
    const server = bare(repo)
    server.say(HELLO)
    for (let id = 1; id <= 20; id += 1) server.say(callOf(id, 'swarm_call', { cmd: 'status' }))
    server.say(callOf(21, 'claim-next', { agent_id: 1, wait_ms: 30_000 }))
    server.end()
    expect(await server.ended).toEqual({ code: 0, signal: null })
    expect(server.messages.map(({ id }) => id)).toEqual(
      expect.arrayContaining(['hello', ...Array.from({ length: 21 }, (_, at) => at + 1)]),
    )
    const claim = readResult<JsonObject>({ content: server.by(21)?.result?.content })
    expect(claim.d).toMatchObject({ bead: { bead_id: 'b0' } })
  })

  test('in the middle of a wait ends it by its own time, and a signal ends it at once', async () => {
    const { repo } = await someRepo(0)
    const early = bare(repo)
    early.say(HELLO)
    early.say(callOf(1, 'claim-next', { agent_id: 1, wait_ms: 1_000 }))
    early.end()
    expect(await early.ended).toEqual({ code: 0, signal: null })
    expect(readResult<JsonObject>({ content: early.by(1)?.result?.content }).d).toMatchObject({ bead: null })

    const told = bare(repo)
    told.say(HELLO)
    told.say(callOf(1, 'claim-next', { agent_id: 1, wait_ms: 90_000 }))
    told.say(callOf(2, 'swarm_call', { cmd: 'status' }))
    await expect.poll(() => told.by(2)).toBeDefined()
    told.kill('SIGTERM')
    expect(await told.ended).toEqual({ code: 0, signal: null })
    expect(readResult<JsonObject>({ content: told.by(1)?.result?.content }).d).toMatchObject({
      bead: null,
      reason: 'shutdown',
    })
  }, 60_000)

  test('of a client that no longer reads ends the process, whatever waits in it', async () => {
    const { repo } = await someRepo(0)
    const env = cleanEnv({ DATABASE_URL: url, SWARM_REPO: repo })
    const child = spawn(process.execPath, [BIN, 'mcp'], { env, cwd: scratch })
    child.stdin.on('error', () => {})
    let stderr = ''
    child.stderr.on('data', (chunk) => {
      stderr += String(chunk)
    })
    const say = (message: object) => child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
    say(HELLO)
    await once(child.stdout, 'data')
    say(callOf(1, 'claim-next', { agent_id: 1, wait_ms: 90_000 }))
    child.stdout.destroy()
    // it learns of it when it next writes
    say(callOf(2, 'swarm_call', { cmd: 'status' }))
    expect(await once(child, 'close')).toEqual([0, null])
    expect(stderr).toBe('')
  })

  test('is where leases end to be renewed, and until then they are', async () => {
    const { repo, client } = await someRepo()
    await client.ok('claim-next', { agent_id: 1, lease_ms: 2_000 })
    const expires = async () => {
      const [row] =
        await sql`select lease_expires_at > clock_timestamp() as held from swarm.bead_claims where repo_id = ${repo} and status = 'in_progress'`
      return row?.held
    }
    const until = performance.now() + 5_000
    while (performance.now() < until) {
      expect(await expires()).toBe(true)
      await new Promise((resolve) => setTimeout(resolve, 250))
    }
    await client.close()
    await expect.poll(expires, { timeout: 15_000 }).not.toBe(true)
  })
})

describe('what is no proper message', () => {
  test('is said to be none, and what follows is answered', async () => {
    const { repo } = await someRepo()
    const server = bare(repo)
    server.send('garbage\n')
    server.send('[1,2]\n')
    server.send('{"id":7,"method":5}\n')
    server.send(Buffer.from([0xff, 0xfe, 0x0a]).toString('latin1'))
    server.say(HELLO)
    server.send(
      '{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"show","arguments":{"n":90071992547409931}}}\n',
    )
    server.say({ id: 9, method: 'no/such' })
    server.say(callOf(10, 'swarm_call', { cmd: 'status' }))
    server.say({ id: 11, method: 'tools/call', params: { name: 'show', arguments: [1] } })
    server.say({ id: 12, method: 'tools/call', params: {} })
    server.end()
    expect((await server.ended).code).toBe(0)
    const codes = server.messages.filter(({ error }) => error).map(({ id, error }) => [id, error?.code])
    expect(codes).toEqual(
      expect.arrayContaining([
        [null, -32700],
        [null, -32600],
        [7, -32600],
        [8, -32602],
        [9, -32601],
        [11, -32602],
        [12, -32602],
      ]),
    )
    expect(readResult({ content: server.by(10)?.result?.content }).ok).toBe(true)
  })

  test('is answered before the handshake too, without harm to it', async () => {
    const { repo } = await someRepo()
    const server = bare(repo)
    server.say(callOf(1, 'swarm_call', { cmd: 'status' }))
    server.say({ id: 2, method: 'tools/list' })
    server.say(HELLO)
    for (const id of [1, 2, 'hello']) await expect.poll(() => server.by(id)).toBeDefined()
    for (const id of [1, 2]) expect(server.by(id)?.result).toBeDefined()
    expect(server.by('hello')?.result).toMatchObject({
      protocolVersion: '2025-06-18',
      serverInfo: { name: 'swarm' },
    })
    server.end()
    expect((await server.ended).code).toBe(0)
  })

  test('is a line beyond 16 MiB, which is passed over, while one of a megabyte is read', async () => {
    const { repo, client } = await someRepo()
    const body = 'ü'.repeat(120_000)
    await client.ok('send', { agent_id: 1, to: 2, body })
    const read = await client.ok<{ messages: { body: string }[] }>('inbox', { agent_id: 2 })
    expect(read.messages[0]?.body).toBe(body)
    expect(await client.call('send', { agent_id: 1, to: 2, body: 'x'.repeat(2_000_000) })).toMatchObject({
      ok: false,
      err: { code: 'INVALID', ctx: { field: 'body' } },
    })
    const server = bare(repo)
    server.say(HELLO)
    server.say(callOf(1, 'send', { agent_id: 1, to: 2, body: 'x'.repeat(17_000_000) }))
    server.say(callOf(2, 'swarm_call', { cmd: 'status' }))
    await expect.poll(() => server.by(2), { timeout: 30_000 }).toBeDefined()
    expect(server.messages).toContainEqual(
      expect.objectContaining({ id: null, error: expect.objectContaining({ code: -32700 }) }),
    )
    server.end()
    expect((await server.ended).code).toBe(0)
  }, 60_000)
})

describe.each(['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'])('a client of %s', (version) => {
  test('is answered in its own version', async () => {
    const { repo } = await someRepo(0)
    const server = bare(repo)
    server.say({ ...HELLO, params: { ...HELLO.params, protocolVersion: version } })
    server.say({ method: 'notifications/initialized' })
    server.say({ id: 2, method: 'tools/list' })
    server.end()
    expect((await server.ended).code).toBe(0)
    expect(server.by('hello')?.result?.protocolVersion).toBe(version)
    expect(String(server.by('hello')?.result?.instructions)).toMatch(/^You are an agent of a swarm/)
    expect(server.by(2)?.result?.tools).toHaveLength(15)
  })
})

test('a client of 2026-07-28 discovers, calls and reads resources', async () => {
  const { repo } = await someRepo()
  const client = await open(repo, { client: { versionNegotiation: { mode: { pin: '2026-07-28' } } } })
  expect(client.client.getNegotiatedProtocolVersion()).toBe('2026-07-28')
  expect(client.client.getInstructions()).toMatch(/^You are an agent of a swarm/)
  expect(await client.ok('claim-next', { agent_id: 1 })).toMatchObject({ bead: { bead_id: 'b0' } })
  const { contents } = await client.client.readResource({ uri: 'swarm://bead/b0' })
  const [content] = contents
  expect(JSON.parse(content && 'text' in content ? content.text : '')).toMatchObject({
    bead: { bead_id: 'b0' },
  })
  expect((await client.client.listResourceTemplates()).resourceTemplates).toHaveLength(3)
  for (const uri of ['swarm://bead/none', 'swarm://run/none', 'file:///etc/passwd', 'swarm://bead/%'])
    await expect(client.client.readResource({ uri })).rejects.toThrow(/nothing at/)
})

describe('with a token', () => {
  test('from a file, a client is its agent and no other, and its calls need not say so', async () => {
    const repo = newRepo()
    const first = openPipe({ DATABASE_URL: url, SWARM_REPO: repo }, scratch)
    await first.ok({ cmd: 'register', count: 2 })
    await first.ok({ cmd: 'enqueue', beads: [{ bead_id: 'a', title: 'A' }] })
    const { token: operator } = await first.ok<{ token: string }>({
      cmd: 'token',
      action: 'create',
      role: 'operator',
    })
    await sql`update swarm.repos set auth = 'tokens' where repo_id = ${repo}`
    await first.close()
    const boss = openPipe({ DATABASE_URL: url, SWARM_REPO: repo, SWARM_TOKEN: operator }, scratch)
    const { token } = await boss.ok<{ token: string }>({
      cmd: 'token',
      action: 'create',
      role: 'agent',
      agent_id: 1,
    })
    await boss.close()
    const file = join(scratch, 'token')
    writeFileSync(file, `${token}\n`, { mode: 0o600 })

    const client = await open(repo, { args: ['--token-file', file] })
    expect(client.client.getInstructions()).toMatch(/^You are agent 1 /)
    const { tools } = await client.client.listTools()
    const claim = tools.find(({ name }) => name === 'claim-next')
    expect(claim?.inputSchema.required).toBeUndefined()
    expect(await client.ok('claim-next')).toMatchObject({ bead: { bead_id: 'a' } })
    for (const [tool, args] of [
      ['claim-next', { agent_id: 2 }],
      ['inbox', { agent_id: 2 }],
      ['send', { agent_id: 2, to: 1, body: 'x' }],
      ['swarm_call', { cmd: 'cancel', bead_id: 'a' }],
      ['swarm_call', { cmd: 'status', repo: 'other' }],
      ['swarm_call', { cmd: 'token', action: 'list' }],
    ] as const) {
      expect(await client.call(tool, args)).toMatchObject({ ok: false, err: { code: 'UNAUTHORIZED' } })
    }
    const stranger = await open(repo)
    expect(await stranger.call('claim-next', { agent_id: 1 })).toMatchObject({
      err: { code: 'UNAUTHORIZED' },
    })

    chmodSync(file, 0o644)
    const refused = startLines({ file: BIN, args: ['mcp', '--token-file', file], onLine: () => {} })
    expect((await refused.ended).code).toBe(2)
  })
})
