import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { testDatabase } from '../../support/database.ts'
import { type McpClient, type OpenOptions, openMcp } from './support.ts'

const { url } = await testDatabase()
const scratch = mkdtempSync(join(tmpdir(), 'swarm-mcp-'))
const clients: McpClient[] = []
let repos = 0

afterAll(async () => {
  for (const client of clients) await client.close()
  rmSync(scratch, { recursive: true, force: true })
})

async function open(repo: string, more: Partial<OpenOptions> = {}): Promise<McpClient> {
  const client = await openMcp({
    cwd: scratch,
    ...more,
    env: { DATABASE_URL: url, SWARM_REPO: repo, ...more.env },
  })
  clients.push(client)
  return client
}

/** A repo with two agents and two beads. */
async function someRepo(more: Partial<OpenOptions> = {}) {
  const repo = `mcp-${++repos}`
  const client = await open(repo, more)
  await client.ok('register', { count: 2 })
  await client.ok('enqueue', {
    beads: [
      { bead_id: 'a', title: 'A' },
      { bead_id: 'b', title: 'B' },
    ],
  })
  return { repo, client }
}

describe('the agent’s loop through the official client', () => {
  test('goes from claim to completion', async () => {
    const { client } = await someRepo()
    const claim = await client.ok<{ fence: number }>('claim-next', { agent_id: 1 })
    expect(claim).toMatchObject({ bead: { bead_id: 'a' }, stage: 'contract', lease_ms: 60_000 })
    expect(await client.ok('heartbeat', { agent_id: 1, note: 'half way' })).toMatchObject({ bead_id: 'a' })
    expect(await client.ok('complete-stage', { agent_id: 1, outcome: 'passed' })).toMatchObject({
      transition: 'advance',
      stage: 'implement',
    })
    expect(await client.ok('swarm_call', { cmd: 'status' })).toMatchObject({})
    expect(await client.ok('swarm_call', { cmd: 'history', args: { bead_id: 'a' } })).toMatchObject({})
    expect(client.stderr()).toBe('')
  })

  test('tells what is wrong with the call that would work', async () => {
    const { client } = await someRepo()
    const answer = await client.call('claim-next', { agent: 1 })
    expect(answer).toMatchObject({
      ok: false,
      err: { code: 'INVALID', ctx: { field: 'agent', nearest: 'agent_id' } },
      fix: { tool: 'claim-next', arguments: { agent_id: 1 } },
    })
    const { fix } = answer
    expect(await client.ok(fix?.tool ?? '', fix?.arguments)).toMatchObject({ bead: { bead_id: 'a' } })
    expect(await client.call('claim_next', { agent_id: 1 })).toMatchObject({
      ok: false,
      fix: { tool: 'claim-next', arguments: { agent_id: 1 } },
    })
    expect(await client.call('swarm_call', { cmd: 'staus' })).toMatchObject({
      ok: false,
      fix: { tool: 'swarm_call', arguments: { cmd: 'status' } },
    })
  })
})

test('the list of tools is short, and those of the loop are at hand from the start', async () => {
  const { client } = await someRepo()
  const { tools } = await client.client.listTools()
  expect(Buffer.byteLength(JSON.stringify({ tools }))).toBeLessThanOrEqual(12_288)
  const names = tools.map(({ name }) => name)
  expect(names).toEqual(
    expect.arrayContaining(['claim-next', 'complete-stage', 'inbox', 'ask', 'swarm_call']),
  )
  expect(names.length).toBeLessThanOrEqual(16)
  for (const { inputSchema, outputSchema } of tools) {
    expect(outputSchema).toBeUndefined()
    expect(Object.keys(inputSchema.properties ?? {})).not.toEqual(expect.arrayContaining(['rid']))
  }
  const always = tools.filter(({ _meta }) => _meta?.['anthropic/alwaysLoad'] === true).map(({ name }) => name)
  expect(always).toEqual(names.filter((name) => name !== 'ask' && name !== 'swarm_call'))
  const show = tools.find(({ name }) => name === 'show')
  expect(show?.annotations).toMatchObject({ readOnlyHint: true })
})
