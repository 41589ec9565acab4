import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/contract/json.ts'
import { testDatabase } from '../support/database.ts'
import { letAnyoneReview } from '../support/reviews.ts'
import { column, openSession, rowsOf } from './look-support.ts'

const { url, sql } = await testDatabase()
const session = openSession(url, 'watched')

/** Runs a watching monitor; `onLine` hears of every line ahead of the reply. */
async function watch(request: JsonObject, onLine: (d: unknown) => void) {
  const { dispatcher } = session
  const accepted = await dispatcher.accept({ cmd: 'monitor', rid: 'w', ...request })
  if ('ok' in accepted) throw new Error(JSON.stringify(accepted))
  return dispatcher.run(accepted, async (lines) => {
    for (const line of lines) if (line.ok) onLine(line.d)
  })
}

describe('monitor', () => {
  it('shows what is active, progress, failures, events and messages', async () => {
    await session.ask({ cmd: 'register', count: 3 })
    await session.ask({
      cmd: 'enqueue',
      beads: ['a', 'b', 'c', 'd'].map((bead_id) => ({ bead_id, title: `bead ${bead_id}` })),
    })
    for (const agent_id of [1, 2, 3]) await session.ask({ cmd: 'claim-next', agent_id })
    await letAnyoneReview(sql, 'watched')
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

  it('sends the view again when something has happened, also when nobody notifies', async () => {
    const { sequence } = await session.ask({ cmd: 'monitor' })
    const after = Number(sequence) + 2
    const lines: unknown[] = []
    let done = () => {}
    const told = new Promise<void>((resolve) => {
      done = resolve
    })
    const watching = watch({ view: 'events', limit: 1, watch_ms: 5_000, after }, (line) => {
      lines.push(line)
      done()
    })
    // neither an event of another repo is it, nor one up to `after`; written behind the back of every process
    const write = (repo: string, entity: string) =>
      sql`insert into swarm.execution_events (event_type, entity_id, repo_id) values ('progress', ${entity}, ${repo})`
    await write('elsewhere', 'x')
    await write('watched', 'early')
    for (let at = 0; at < 10; at++) await session.ask({ cmd: 'status' })
    expect(lines).toEqual([])
    await write('watched', 'seen')
    await told
    expect(lines).toMatchObject([{ events: [{ entity_id: 'seen' }] }])
    expect(await watching).toMatchObject({ ok: true, d: { events: [{ entity_id: 'seen' }] } })
    expect(lines).toHaveLength(1)
  })

  it('sends at once what has happened since the last answer, so that a loop misses nothing', async () => {
    const { sequence = 0 } = await session.ask({ cmd: 'monitor', view: 'events' })
    await session.ask({ cmd: 'record-event', event_type: 'progress', entity_id: 'between' })
    const lines: unknown[] = []
    await watch({ view: 'events', limit: 1, watch_ms: 300, after: sequence }, (line) => lines.push(line))
    expect(lines).toMatchObject([{ events: [{ entity_id: 'between' }] }])
  })

  it('needs a rid in a pipe only when it waits', async () => {
    const waits = async (request: { watch_ms?: number }) =>
      session.dispatcher.accept({ cmd: 'monitor', ...request })
    expect(await waits({ watch_ms: 10 })).toMatchObject({ waits: true })
    expect(await waits({})).toMatchObject({ waits: false })
    expect(await waits({ watch_ms: 600_001 })).toMatchObject({ ok: false })
  })
})
