import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import type { JsonObject } from '../../src/contract/json.ts'
import { openAt, scratch } from '../commands/setup-support.ts'
import { testDatabase } from '../support/database.ts'

const { url, sql } = await testDatabase()
const dir = scratch()
const at = (repo: string) => openAt(dir, { DATABASE_URL: url, SWARM_REPO: repo })

test('a page of events ends at 1 MiB, and going on from its cursor brings each event once', async () => {
  const place = at('pages')
  const count = 24
  for (let n = 0; n < count; n++) {
    // random, so that nothing on the way makes it small
    const x = randomBytes(75_000).toString('base64')
    await place.ask({ cmd: 'record-event', event_type: 'note', entity_id: `n${n}`, payload: { x } })
  }
  const seen: unknown[] = []
  let pages = 0
  for (let after: unknown = 0, more: unknown = true; more; pages++) {
    const d = await place.ask({ cmd: 'events', limit: 10_000, after: after as string })
    expect(Buffer.byteLength(JSON.stringify(d))).toBeLessThan(1_048_576 + 110_000)
    const events = d.events as JsonObject[]
    seen.push(...events.map(({ entity_id }) => entity_id))
    after = d.cursor
    more = d.more
  }
  expect(seen).toEqual(Array.from({ length: count }, (_, n) => `n${n}`))
  expect(pages).toBe(3)
}, 120_000)

test('pages by rows are as before: so many, and more only when there are', async () => {
  const place = at('rows')
  for (let n = 0; n < 3; n++) await place.ask({ cmd: 'record-event', event_type: 'note', entity_id: `n${n}` })
  const first = await place.ask({ cmd: 'events', limit: 2 })
  expect(first).toMatchObject({ more: true, events: [{ entity_id: 'n0' }, { entity_id: 'n1' }] })
  const rest = await place.ask({ cmd: 'events', limit: 2, after: String(first.cursor) })
  expect(rest).toMatchObject({ more: false, events: [{ entity_id: 'n2' }] })
  expect(await place.ask({ cmd: 'events', limit: 3 })).toMatchObject({ more: false })
  const last = await place.ask({ cmd: 'events', limit: 2, latest: true })
  expect(last).toMatchObject({ more: true, events: [{ entity_id: 'n1' }, { entity_id: 'n2' }] })
})

test('until a bead is done looks in the repo that is followed', async () => {
  await at('here').ask({ cmd: 'enqueue', beads: [{ bead_id: 'x', title: 'mine' }] })
  const other = at('there')
  await other.ask({ cmd: 'register', count: 1 })
  await other.ask({ cmd: 'enqueue', beads: [{ bead_id: 'x', title: 'theirs' }] })
  await sql`update swarm.bead_backlog set status = 'completed' where repo_id = 'there'`
  const follow = { cmd: 'subscribe', rid: 's', until: 'bead:x:done', wait_ms: 20_000 }
  expect(await at('here').ask({ ...follow, repos: ['there'] })).toMatchObject({ reason: 'until' })
  expect(await at('here').refused({ ...follow, repos: ['nowhere'] })).toMatchObject({
    code: 'NOTFOUND',
    fix: { cmd: 'beads', repo: 'nowhere' },
  })
}, 60_000)

test('a cursor that acks by itself follows the log where nothing of it is for the reader', async () => {
  const reader = at('filtered')
  const writer = at('filtered')
  const follow = { cmd: 'subscribe', rid: 's', cursor: 'c', auto_ack: true, event_types: ['wanted'] }
  const reading = reader.ask({ ...follow, wait_ms: 3_000 })
  for (let n = 0; n < 5; n++)
    await writer.ask({ cmd: 'record-event', event_type: 'unwanted', entity_id: 'x' })
  expect(await reading).toMatchObject({ reason: 'timeout', count: 0 })
  const [last] = await sql`select max(seq) as seq from swarm.execution_events`
  await sql`delete from swarm.execution_events where seq <= ${last?.seq}`
  await sql`update swarm.swarm_config set log_floor = ${last?.seq}`
  expect(await reader.ask({ ...follow, wait_ms: 300 })).toMatchObject({ reason: 'timeout' })
}, 60_000)

test.each([
  { cmd: 'monitor', watch_ms: 2_500 },
  { cmd: 'subscribe', wait_ms: 2_500, repos: ['overdue-subscribe'], repo: 'elsewhere' },
])(
  'a message that nobody acks in time becomes overdue while somebody waits with $cmd',
  async (request) => {
    const repo = `overdue-${request.cmd}`
    const place = at(repo)
    await place.ask({ cmd: 'register', count: 2 })
    await place.ask({ cmd: 'send', agent_id: 1, to: 2, body: 'soon', deadline_ms: 1 })
    await place.ask({ ...request, rid: 'w' })
    const { events } = await place.ask({ cmd: 'events', event_type: 'message_overdue' })
    expect(events).toMatchObject([{ payload: { from: 1, to: 2 } }])
  },
  60_000,
)
