import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { describe, expect, onTestFinished, test } from 'vitest'
import { ask, type Serving, startServe } from '../../support/serve.ts'
import { openPipe } from '../../support/swarm.ts'
import { mcpPlace } from './support.ts'

const { repo: newRepo, open, url, sql, scratch } = await mcpPlace()
const MODERN = { versionNegotiation: { mode: { pin: '2026-07-28' } } } as const
const FILTER = { resourceSubscriptions: ['swarm://bead/b0', 'swarm://status'], resourcesListChanged: true }

/** A root with two agents and two beads. */
async function someRoot() {
  const repo = newRepo()
  const cwd = join(scratch, repo)
  mkdirSync(join(cwd, '.swarm'), { recursive: true })
  writeFileSync(join(cwd, '.swarm', 'config.toml'), `repo = "${repo}"\n[http]\nstreams = 2\n`)
  const pipe = openPipe({ DATABASE_URL: url }, cwd)
  onTestFinished(async () => void (await pipe.close()))
  await pipe.ok({ cmd: 'register', count: 2 })
  await pipe.ok({
    cmd: 'enqueue',
    beads: ['b0', 'b1'].map((bead_id) => ({ bead_id, title: `bead ${bead_id}` })),
  })
  return { repo, cwd, pipe }
}

/** What a client is told of, in order. */
function hearing(client: Client): string[] {
  const heard: string[] = []
  client.setNotificationHandler('notifications/resources/updated', ({ params }) => {
    heard.push(params.uri)
  })
  client.setNotificationHandler('notifications/resources/list_changed', () => {
    heard.push('list')
  })
  return heard
}

async function serveMcp(cwd: string, env: Record<string, string> = {}) {
  const serving = await startServe({ DATABASE_URL: url, ...env }, { cwd })
  onTestFinished(() => serving.kill())
  return serving
}

async function connect(serving: Serving, token?: string) {
  const client = new Client({ name: 'test', version: '1' }, MODERN)
  const requestInit = token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } }
  await client.connect(
    new StreamableHTTPClientTransport(new URL(`${serving.url}/mcp?agent=1`), { requestInit }),
  )
  onTestFinished(() => client.close())
  return client
}

describe.each(['stdin and stdout', 'HTTP'])('a subscription over %s', (way) => {
  test('is told what it asked for as it changes, until it is cancelled', async () => {
    const { repo, cwd, pipe } = await someRoot()
    const client =
      way === 'HTTP'
        ? await connect(await serveMcp(cwd))
        : (await open(repo, { client: MODERN, args: ['--agent', '1'] })).client
    const heard = hearing(client)
    const subscription = await client.listen(FILTER)
    expect(subscription.honoredFilter).toEqual(FILTER)
    expect((await client.listResources()).resources.map(({ uri }) => uri)).toEqual(['swarm://status'])
    // another agent's doing, and another bead's
    await pipe.ok({ cmd: 'update', bead_id: 'b1', priority: 'p4' })
    await pipe.ok({ cmd: 'claim-next', agent_id: 2 })
    await expect.poll(() => new Set(heard)).toEqual(new Set(['swarm://status', 'swarm://bead/b0', 'list']))
    expect((await client.listResources()).resources).toMatchObject([
      { uri: 'swarm://status' },
      { uri: 'swarm://bead/b0', description: 'bead b0' },
    ])
    await subscription.close()
    const again = await client.listen({ resourceSubscriptions: ['swarm://bead/b1'] })
    heard.length = 0
    await pipe.ok({ cmd: 'update', bead_id: 'b0', priority: 'p0' })
    await pipe.ok({ cmd: 'update', bead_id: 'b1', priority: 'p0' })
    await expect.poll(() => heard).toEqual(['swarm://bead/b1'])
    await again.close()
  })
})

test('a client of 2025-11-25 is told what it subscribed to, and no more once it has not', async () => {
  const { repo, pipe } = await someRoot()
  const { client } = await open(repo)
  const heard = hearing(client)
  expect(client.getServerCapabilities()?.resources).toEqual({ subscribe: true })
  await client.subscribeResource({ uri: 'swarm://bead/b0' })
  await client.subscribeResource({ uri: 'swarm://bead/b1' })
  await expect(client.subscribeResource({ uri: 'file:///etc/passwd' })).rejects.toThrow(/nothing at/)
  await pipe.ok({ cmd: 'update', bead_id: 'b0', priority: 'p0' })
  await expect.poll(() => heard).toEqual(['swarm://bead/b0'])
  await client.unsubscribeResource({ uri: 'swarm://bead/b0' })
  await pipe.ok({ cmd: 'update', bead_id: 'b0', priority: 'p1' })
  await pipe.ok({ cmd: 'update', bead_id: 'b1', priority: 'p1' })
  await expect.poll(() => heard).toEqual(['swarm://bead/b0', 'swarm://bead/b1'])
})

test('over HTTP subscriptions count as streams, and end with their token and with the server', async () => {
  const { repo, cwd, pipe } = await someRoot()
  const make = async () =>
    await pipe.ok<{ token: string; token_id: number }>({ cmd: 'token', action: 'create', role: 'observer' })
  const [weak, operator] = [
    await make(),
    (await pipe.ok<{ token: string }>({ cmd: 'token', action: 'create', role: 'operator' })).token,
  ]
  await sql`update swarm.repos set auth = 'tokens' where repo_id = ${repo}`
  const serving = await serveMcp(cwd, { SWARM_TOKEN: operator })
  const client = await connect(serving, weak.token)
  const [first] = [await client.listen(FILTER), await client.listen(FILTER)]
  await expect(client.listen(FILTER)).rejects.toThrow(/429|streams are open/)
  const other = await (await connect(serving, operator)).listen(FILTER)
  await ask(`${serving.url}/api/rpc`, {
    body: { cmd: 'token', action: 'revoke', token_id: weak.token_id },
    token: operator,
  })
  expect(await first.closed).toBe('graceful')
  const started = performance.now()
  expect((await serving.stop()).code).toBe(0)
  expect(await other.closed).toBe('graceful')
  expect(performance.now() - started).toBeLessThan(4_000)
})

test('the loop is a prompt, for people to begin with', async () => {
  const { repo } = await someRoot()
  const { client } = await open(repo, { args: ['--agent', '1'] })
  expect((await client.listPrompts()).prompts.map(({ name }) => name)).toEqual(['work'])
  const { messages } = await client.getPrompt({ name: 'work' })
  expect(messages).toMatchObject([
    { role: 'user', content: { text: expect.stringMatching(/^You are agent 1 /) } },
  ])
  await expect(client.getPrompt({ name: 'rest' })).rejects.toThrow(/the only prompt is work/)
})
