import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/contract/json.ts'
import { testDatabase } from '../support/database.ts'
import { column, openSession, rowsOf, type Session } from './look-support.ts'

const { url } = await testDatabase()

async function two(repo: string, beads = 2): Promise<Session> {
  const session = openSession(url, repo)
  await session.ask({ cmd: 'register', count: 2 })
  await session.ask({
    cmd: 'enqueue',
    beads: Array.from({ length: beads }, (_, at) => ({ bead_id: `b${at}`, title: `bead ${at}` })),
  })
  return session
}

describe('unread', () => {
  it('stands in the answers of the loop when there is something to read, and only then', async () => {
    const session = await two('unread')
    const loop: readonly JsonObject[] = [
      { cmd: 'claim-next', agent_id: 1 },
      { cmd: 'heartbeat', agent_id: 1 },
      { cmd: 'complete-stage', agent_id: 1, outcome: 'failed', feedback: 'no' },
      { cmd: 'release', agent_id: 1 },
      { cmd: 'claim-next', agent_id: 1, labels: ['nobody has it'] },
      { cmd: 'heartbeat', agent_id: 1 },
    ]
    for (const request of loop) expect(await session.ask(request)).not.toHaveProperty('unread')
    await session.ask({ cmd: 'send', agent_id: 2, to: 1, body: 'one' })
    await session.ask({ cmd: 'send', agent_id: 2, to: 1, body: 'two' })
    await session.ask({ cmd: 'broadcast', from: 2, msg: 'three' })
    for (const request of loop)
      expect(await session.ask(request), String(request.cmd)).toMatchObject({ unread: 3 })
    expect(await session.ask({ cmd: 'inbox', agent_id: 1, limit: 1 })).toMatchObject({ unread: 1 })
    expect(await session.ask({ cmd: 'heartbeat', agent_id: 1 })).toMatchObject({ unread: 1 })
    await session.ask({ cmd: 'inbox', agent_id: 1 })
    expect(await session.ask({ cmd: 'heartbeat', agent_id: 1 })).not.toHaveProperty('unread')
    // its own broadcast is no news to an agent
    expect(await session.ask({ cmd: 'heartbeat', agent_id: 2 })).not.toHaveProperty('unread')
  })
})

describe('broadcasts', () => {
  it('of the last day are seen by who comes later', async () => {
    const session = await two('newcomer')
    await session.ask({ cmd: 'broadcast', from: 1, msg: 'the port is 5001' })
    await session.ask({ cmd: 'register', name: 'late' })
    const { broadcasts } = await session.ask({ cmd: 'inbox', agent_id: 3 })
    expect(broadcasts).toMatchObject([{ msg: 'the port is 5001', from: 1 }])
    expect(await session.ask({ cmd: 'inbox', agent_id: 3 })).toMatchObject({ broadcasts: [] })
  })

  it('take agent_id as other verbs do, and say a number where they come from one', async () => {
    const session = await two('from')
    expect((await session.send({ cmd: 'broadcast', agent_id: 1, msg: 'by number' })).ok).toBe(true)
    await session.ask({ cmd: 'broadcast', from: 'the operator', msg: 'by name' })
    const { broadcasts } = await session.ask({ cmd: 'inbox', agent_id: 2 })
    expect(broadcasts).toMatchObject([{ from: 1 }, { from: 'the operator' }])
    const own = openSession(url, 'from', { SWARM_AGENT_ID: '1' })
    await own.ask({ cmd: 'broadcast', msg: 'by environment' })
    expect(await session.ask({ cmd: 'inbox', agent_id: 2 })).toMatchObject({ broadcasts: [{ from: 1 }] })
    const lines: JsonObject[] = []
    const accepted = await session.dispatcher.accept({
      cmd: 'subscribe',
      rid: 's',
      from: 'beginning',
      kinds: ['broadcast'],
      limit: 2,
      wait_ms: 10_000,
    })
    if (!('ok' in accepted))
      await session.dispatcher.run(accepted, async (sent) => {
        // a line of a stream is an envelope whose `d` is an object
        for (const line of sent) lines.push(JSON.parse(JSON.stringify(line)).d)
      })
    expect(column(lines.slice(1), 'from')).toEqual([1, 'the operator'])
  })

  it('asked for read or not are the latest ones, oldest first', async () => {
    const session = await two('latest')
    for (let at = 0; at < 5; at++) await session.ask({ cmd: 'broadcast', from: 1, msg: `${at}` })
    await session.ask({ cmd: 'inbox', agent_id: 2 })
    const d = await session.ask({ cmd: 'inbox', agent_id: 2, unread: false, limit: 2 })
    expect(column(rowsOf(d, 'broadcasts'), 'msg')).toEqual(['3', '4'])
  })
})

describe('an agent', () => {
  it('that never came is absent, whatever was registered for it', async () => {
    const session = openSession(url, 'absent')
    expect(await session.ask({ cmd: 'register', count: 4 })).toEqual({ agent_ids: [1, 2, 3, 4], agents: 4 })
    expect(await session.ask({ cmd: 'register', name: 'ada' })).toEqual({ agent_ids: [5], agents: 5 })
    await session.ask({ cmd: 'inbox', agent_id: 1 })
    await session.ask({ cmd: 'claim-next', agent_id: 2 })
    await session.ask({ cmd: 'send', agent_id: 3, to: 4, body: 'hello' })
    const statuses = async () => column(rowsOf(await session.ask({ cmd: 'agents' }), 'agents'), 'status')
    expect(await statuses()).toEqual(['idle', 'idle', 'idle', 'absent', 'idle'])
    expect(await session.ask({ cmd: 'status' })).toMatchObject({ agents: { idle: 4, absent: 1 } })
    const absent = await session.ask({ cmd: 'agents', status: 'absent' })
    expect(column(rowsOf(absent, 'agents'), 'agent_id')).toEqual([4])
    const idle = await session.ask({ cmd: 'agents', status: 'idle' })
    expect(column(rowsOf(idle, 'agents'), 'agent_id')).toEqual([1, 2, 3, 5])
    await session.ask({ cmd: 'heartbeat', agent_id: 4 })
    expect(await statuses()).toEqual(['idle', 'idle', 'idle', 'idle', 'idle'])
    // told again that there shall be four, nobody is made or sent away
    expect(await session.ask({ cmd: 'register', count: 4 })).toEqual({ agent_ids: [1, 2, 3, 4], agents: 5 })
  })
})

describe('nothing to do', () => {
  it('says how much is done and blocked, and for whom one waits', async () => {
    const session = await two('none', 3)
    await session.ask({ cmd: 'claim-next', agent_id: 1 })
    await session.ask({ cmd: 'update', bead_id: 'b1', status: 'blocked' })
    await session.ask({ cmd: 'update', bead_id: 'b2', status: 'cancelled' })
    const waiting = {
      reason: 'waiting',
      done: 1,
      blocked: 1,
      in_progress: 1,
      pending: 0,
      waiting_for: [{ bead_id: 'b0', agent_id: 1, stage: 'contract' }],
    }
    expect(await session.ask({ cmd: 'claim-next', agent_id: 2 })).toEqual({ bead: null, ...waiting })
    expect(await session.ask({ cmd: 'next', agent_id: 2 })).toMatchObject(waiting)
    const refused = await session.refused({ cmd: 'claim-next', agent_id: 2, require: true })
    expect(refused.err).toMatchObject({ code: 'NOTFOUND', ctx: waiting })
  })

  it('ends a wait for a bead once the backlog is finished', async () => {
    const session = await two('finished', 1)
    // no reviewer, so that agent 1 does all of it
    await session.ask({ cmd: 'update-agent', agent_id: 2, role: 'planner' })
    await session.ask({ cmd: 'claim-next', agent_id: 1 })
    const started = performance.now()
    const waiting = session.ask({ cmd: 'claim-next', agent_id: 2, rid: 'w', wait_ms: 60_000 })
    for (let stage = 0; stage < 4; stage++)
      await session.ask({ cmd: 'complete-stage', agent_id: 1, outcome: 'passed' })
    expect(await waiting).toMatchObject({ bead: null, reason: 'empty', done: 1 })
    const again = { cmd: 'claim-next', agent_id: 1, rid: 'x', wait_ms: 60_000 }
    expect(await session.ask(again)).toMatchObject({ bead: null, reason: 'empty', done: 1 })
    expect(performance.now() - started).toBeLessThan(30_000)
  })

  it('is waited for in a backlog that has not begun', async () => {
    const session = openSession(url, 'unbegun')
    await session.ask({ cmd: 'register', count: 1 })
    const waiting = session.ask({ cmd: 'claim-next', agent_id: 1, rid: 'w', wait_ms: 60_000 })
    await session.ask({ cmd: 'enqueue', beads: [{ bead_id: 'first', title: 'first' }] })
    expect(await waiting).toMatchObject({ bead: { bead_id: 'first' } })
  })
})
