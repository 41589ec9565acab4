import { describe, expect, it } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { allPages, column, openSession, rowsOf } from './look-support.ts'

const { url } = await testDatabase()

describe('outbox', () => {
  const session = openSession(url, 'talk')

  it('tells the sender how far each message has come', async () => {
    await session.ask({ cmd: 'register', count: 4, role: 'reviewer' })
    const { message_ids } = await session.ask({
      cmd: 'send',
      agent_id: 1,
      to: 'reviewer',
      subject: 'please',
      body: 'b'.repeat(500),
    })
    expect(message_ids).toHaveLength(3)
    await session.ask({ cmd: 'inbox', agent_id: 2, peek: true })
    const { messages } = await session.ask({ cmd: 'inbox', agent_id: 3 })
    const read = rowsOf({ messages }, 'messages')
    await session.ask({ cmd: 'inbox', agent_id: 4 })
    const fourth = Array.isArray(message_ids) ? message_ids[2] : undefined
    expect(await session.ask({ cmd: 'ack', agent_id: 4, message_ids: [fourth ?? 0] })).toEqual({
      acked: [fourth],
    })
    const rows = rowsOf(await session.ask({ cmd: 'outbox', agent_id: 1 }), 'messages')
    expect(rows).toMatchObject([
      { to: 4, state: 'acked', acked_at: expect.any(String), subject: 'please' },
      { to: 3, state: 'read', read_at: expect.any(String), message_id: read[0]?.message_id },
      { to: 2, state: 'queued' },
    ])
    expect(rows[0]?.body).toHaveLength(100)
    const full = rowsOf(await session.ask({ cmd: 'outbox', agent_id: 1, full: true }), 'messages')
    expect(full[0]?.body).toHaveLength(500)
    expect(rowsOf(await session.ask({ cmd: 'outbox', agent_id: 2 }), 'messages')).toEqual([])
  })

  it('tells who has seen a broadcast', async () => {
    await session.ask({ cmd: 'broadcast', from: 1, msg: 'green again' })
    await session.ask({ cmd: 'inbox', agent_id: 2 })
    const { broadcasts } = await session.ask({ cmd: 'outbox', agent_id: 1 })
    expect(broadcasts).toMatchObject([{ msg: 'green again', seen_by: [2] }])
  })

  it('pages, latest first', async () => {
    for (let at = 0; at < 5; at++) await session.ask({ cmd: 'send', agent_id: 2, to: 1, body: `${at}` })
    const rows = await allPages(session, { cmd: 'outbox', agent_id: 2, limit: 2 }, 'messages')
    expect(column(rows, 'body')).toEqual(['4', '3', '2', '1', '0'])
  })

  it('answers NOTFOUND for an unknown agent', async () => {
    expect((await session.refused({ cmd: 'outbox', agent_id: 9 })).fix).toBe('{"cmd":"register","count":9}')
  })
})

describe('ack', () => {
  it('is for the receiver only, and may be said twice', async () => {
    const session = openSession(url, 'ack')
    await session.ask({ cmd: 'register', count: 2 })
    const { message_ids } = await session.ask({ cmd: 'send', agent_id: 1, to: 2, body: 'do it' })
    const request = { cmd: 'ack', message_ids: message_ids ?? [] }
    expect((await session.refused({ ...request, agent_id: 1 })).err.code).toBe('CONFLICT')
    expect((await session.refused({ cmd: 'ack', agent_id: 2, message_ids: [999_999] })).err.code).toBe(
      'NOTFOUND',
    )
    expect((await session.refused({ ...request, agent_id: 3 })).err.code).toBe('NOTFOUND')
    await session.ask({ ...request, agent_id: 2 })
    const once = await session.ask({ cmd: 'outbox', agent_id: 1 })
    const [id = 0] = Array.isArray(message_ids) ? message_ids : []
    expect(await session.ask({ cmd: 'ack', agent_id: 2, message_ids: [id, id] })).toEqual({ acked: [id] })
    await session.ask({ ...request, agent_id: 2 })
    expect(await session.ask({ cmd: 'outbox', agent_id: 1 })).toEqual(once)
    expect(await session.ask({ cmd: 'inbox', agent_id: 2 })).toMatchObject({ messages: [], unread: 0 })
  })
})

describe('a message that nobody acks in time', () => {
  it.each([
    { cmd: 'wait', bead_id: 'b' },
    { cmd: 'claim-next', agent_id: 3 },
  ])('becomes overdue while somebody waits with $cmd', async (request) => {
    const repo = `overdue-${request.cmd}`
    const session = openSession(url, repo)
    await session.ask({ cmd: 'register', count: 3 })
    await session.ask({ cmd: 'enqueue', beads: [{ bead_id: 'b', title: 'held' }] })
    await session.ask({ cmd: 'claim-next', agent_id: 2 })
    await session.ask({ cmd: 'send', agent_id: 1, to: 2, body: 'soon', deadline_ms: 1 })
    await session.ask({ ...request, rid: 'w', wait_ms: 2_500 })
    const { events } = await session.ask({ cmd: 'events', event_type: 'message_overdue' })
    expect(events).toMatchObject([{ payload: { from: 1, to: 2 } }])
  })
})
