import { describe, expect, test } from 'vitest'
import { mcpPlace, type OpenOptions } from './support.ts'

const { repo: newRepo, open } = await mcpPlace()

/** A repo with two agents and two beads. */
async function someRepo(more: Partial<OpenOptions> = {}) {
  const repo = newRepo()
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

describe('beside an answer', () => {
  test('stand unread messages and broadcasts, once, and they are read then', async () => {
    const { repo, client } = await someRepo()
    const other = await open(repo)
    await client.ok('claim-next', { agent_id: 1 })
    await other.ok('send', { agent_id: 2, to: 1, body: 'the API has changed' })
    await other.ok('broadcast', { from: 2, msg: 'main is red' })
    const beat = await client.call('heartbeat', { agent_id: 1 })
    expect(beat).toMatchObject({
      ok: true,
      d: { bead_id: 'a' },
      messages: [{ from: 2, body: 'the API has changed' }],
      broadcasts: [{ from: 2, msg: 'main is red' }],
    })
    expect(beat.d).not.toHaveProperty('unread')
    const next = await client.call('show', { bead_id: 'a' })
    expect(next.messages).toBeUndefined()
    expect(await client.ok('inbox', { agent_id: 1 })).toEqual({ messages: [], broadcasts: [], unread: 0 })
    // a read, and a refusal, carry them too
    await other.ok('send', { agent_id: 2, to: 1, body: 'one' })
    expect(await client.call('show', { bead_id: 'a' })).toMatchObject({ messages: [{ body: 'one' }] })
    await other.ok('send', { agent_id: 2, to: 1, body: 'two' })
    expect(await client.call('complete-stage', { agent_id: 1, outcome: 'great' })).toMatchObject({
      ok: false,
      messages: [{ body: 'two' }],
    })
  })

  test('stands that there is more, where it is too long to go along', async () => {
    const { repo, client } = await someRepo()
    const other = await open(repo)
    await other.ok('send', { agent_id: 2, to: 1, body: 'x'.repeat(100_000) })
    const beat = await client.call('heartbeat', { agent_id: 1 })
    expect(beat).toMatchObject({ ok: true, unread: 1 })
    expect(beat.messages).toBeUndefined()
    expect(await client.ok<{ messages: unknown[] }>('inbox', { agent_id: 1 })).toMatchObject({ unread: 0 })
  })

  test('stands nothing for another agent', async () => {
    const { client } = await someRepo()
    await client.ok('send', { agent_id: 1, to: 2, body: 'for two' })
    expect((await client.call('show', { bead_id: 'a' })).messages).toBeUndefined()
    expect(await client.call('heartbeat', { agent_id: 2 })).toMatchObject({ messages: [{ body: 'for two' }] })
    await client.ok('send', { agent_id: 1, to: 2, body: 'for two again' })
    // two agents speak through this client: whose request this is cannot be said
    expect((await client.call('show', { bead_id: 'a' })).messages).toBeUndefined()
  })

  test('stands what others do to the held bead, and nothing of what the agent did itself', async () => {
    const { repo, client } = await someRepo()
    const other = await open(repo)
    expect((await client.call('claim-next', { agent_id: 1 })).notices).toBeUndefined()
    const beat = await client.call('heartbeat', { agent_id: 1, note: 'at work' })
    expect(beat.notices).toBeUndefined()
    await other.ok('swarm_call', { cmd: 'update', bead_id: 'a', title: 'A, but smaller' })
    const told = await client.call('heartbeat', { agent_id: 1 })
    expect(told.notices).toMatchObject([{ event_type: 'bead_updated', bead_id: 'a' }])
    expect((await client.call('heartbeat', { agent_id: 1 })).notices).toBeUndefined()
    await other.ok('swarm_call', { cmd: 'cancel', bead_id: 'a', reason: 'not wanted' })
    const over = await client.call('swarm_call', { cmd: 'status' })
    expect(JSON.stringify(over.notices)).toContain('cancelled')
    await other.ok('swarm_call', { cmd: 'reopen', bead_id: 'a' })
    expect((await client.call('swarm_call', { cmd: 'status' })).notices).toBeUndefined()
  })

  test('stands the answer of a person, once, whether a bead is held or not', async () => {
    const { repo, client } = await someRepo()
    const person = await open(repo)
    const { question_id } = await client.ok('ask', { agent_id: 1, question: 'Which port?' })
    expect((await client.call('heartbeat', { agent_id: 1 })).notices).toBeUndefined()
    await person.ok('swarm_call', { cmd: 'answer', question_id, answer: '8080' })
    const told = await client.call('heartbeat', { agent_id: 1 })
    expect(told.notices).toMatchObject([{ event_type: 'question_answered', payload: { answer: '8080' } }])
    await client.ok('claim-next', { agent_id: 1 })
    const second = await client.ok('ask', { agent_id: 1, bead_id: 'a', question: 'Which host?' })
    await person.ok('swarm_call', { cmd: 'answer', question_id: second.question_id, answer: 'localhost' })
    const again = await client.call('heartbeat', { agent_id: 1 })
    expect(again.notices).toMatchObject([
      { event_type: 'question_answered', payload: { answer: 'localhost' } },
    ])
    expect((await client.call('heartbeat', { agent_id: 1 })).notices).toBeUndefined()
  })
})
