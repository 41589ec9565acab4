import { describe, expect, it } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { column, openSession, rowsOf } from './look-support.ts'

const { url, sql } = await testDatabase()
const session = openSession(url, 'watched')

describe('monitor', () => {
  it('shows what is active, progress, failures, events and messages', async () => {
    await session.ask({ cmd: 'register', count: 3 })
    await session.ask({
      cmd: 'enqueue',
      beads: ['a', 'b', 'c', 'd'].map((bead_id) => ({ bead_id, title: `bead ${bead_id}` })),
    })
    for (const agent_id of [1, 2, 3]) await session.ask({ cmd: 'claim-next', agent_id })
    for (let stage = 0; stage < 4; stage++)
      await session.ask({ cmd: 'complete-stage', agent_id: 1, outcome: 'passed' })
    await session.ask({ cmd: 'complete-stage', agent_id: 2, outcome: 'failed', feedback: 'the tests fail' })
    await session.ask({ cmd: 'release', agent_id: 3, to: 'blocked', reason: 'no key' })
    await session.ask({ cmd: 'send', agent_id: 1, to: 2, body: 'hello' })

    const active = await session.ask({ cmd: 'monitor' })
    expect(active).toMatchObject({
      view: 'active',
      claims: [{ bead_id: 'b', agent_id: 2, title: 'bead b', attempt: 2 }],
    })
    expect(await session.ask({ cmd: 'monitor', view: 'progress' })).toMatchObject({
      beads: { completed: 1, in_progress: 1, blocked: 1, pending: 1 },
      stages: { contract: 3 },
      finished_last_hour: 1,
      finished: [{ bead_id: 'a', status: 'completed' }],
    })
    expect(await session.ask({ cmd: 'monitor', view: 'failures' })).toMatchObject({
      beads: [{ bead_id: 'c', status: 'blocked', feedback: 'no key' }],
      attempts: [{ bead_id: 'b', status: 'failed', feedback: 'the tests fail' }],
    })
    const events = rowsOf(await session.ask({ cmd: 'monitor', view: 'events', limit: 2 }), 'events')
    expect(column(events, 'event_type')).toEqual(['message_sent', 'bead_released'])
    expect(events[0]?.sequence).toBe(active.sequence)
    expect(await session.ask({ cmd: 'monitor', view: 'messages' })).toMatchObject({
      messages: [{ from: 1, to: 2, body: 'hello', state: 'queued' }],
    })
  })

  it('waits for something to happen, also when nobody notifies', async () => {
    const { sequence } = await session.ask({ cmd: 'monitor' })
    const after = Number(sequence) + 2
    const started = performance.now()
    let answered = false
    const watching = session
      .ask({ cmd: 'monitor', view: 'events', limit: 1, watch_ms: 20_000, after, rid: 'w' })
      .finally(() => {
        answered = true
      })
    // neither an event of another repo is it, nor one up to `after`; written behind the back of every process
    const write = (repo: string, entity: string) =>
      sql`insert into swarm.execution_events (event_type, entity_id, repo_id) values ('progress', ${entity}, ${repo})`
    await write('elsewhere', 'x')
    await write('watched', 'early')
    for (let at = 0; at < 10; at++) await session.ask({ cmd: 'status' })
    expect(answered).toBe(false)
    await write('watched', 'seen')
    expect(await watching).toMatchObject({ changed: true, events: [{ entity_id: 'seen' }] })
    expect(performance.now() - started).toBeLessThan(10_000)
  })

  it('does not wait when something has happened since the last answer, so that a loop misses nothing', async () => {
    const { sequence = 0 } = await session.ask({ cmd: 'monitor', view: 'events' })
    await session.ask({ cmd: 'record-event', event_type: 'progress', entity_id: 'between' })
    const started = performance.now()
    const d = await session.ask({
      cmd: 'monitor',
      view: 'events',
      limit: 1,
      watch_ms: 20_000,
      after: sequence,
      rid: 'w',
    })
    expect(d).toMatchObject({ changed: true, events: [{ entity_id: 'between' }] })
    expect(performance.now() - started).toBeLessThan(900)
  })

  it('answers unchanged when the time is over', async () => {
    const started = performance.now()
    expect(await session.ask({ cmd: 'monitor', watch_ms: 300, rid: 'w' })).toMatchObject({ changed: false })
    expect(performance.now() - started).toBeGreaterThanOrEqual(299)
  })

  it('needs a rid in a pipe only when it waits', async () => {
    const waits = async (request: { watch_ms?: number }) =>
      session.dispatcher.accept({ cmd: 'monitor', ...request })
    expect(await waits({ watch_ms: 10 })).toMatchObject({ waits: true })
    expect(await waits({})).toMatchObject({ waits: false })
    expect(await waits({ watch_ms: 600_001 })).toMatchObject({ ok: false })
  })
})
