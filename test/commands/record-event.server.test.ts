import { expect, it } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { openPipe } from '../support/swarm.ts'

const { url, sql } = await testDatabase()

/* Of each family one that swarm records today, and of some one that it may record tomorrow. */
const RESERVED = [
  ...['bead_enqueued', 'bead_claimed', 'bead_complete', 'lease_expired', 'stage_started', 'stage_completed'],
  ...['transition_finalize', 'transition_noop', 'artifact_stored', 'message_sent', 'message_overdue'],
  ...['broadcast_sent', 'agent_registered', 'agent_status', 'agent_failed', 'agent_stuck', 'run_started'],
  ...[
    'wave_started',
    'session_ended',
    'iteration_started',
    'leader_changed',
    'host_joined',
    'landing_landed',
  ],
  ...['question_asked', 'lock_acquired', 'rate_limited', 'budget_exceeded', 'meltdown', 'token_created'],
]

const open = (repo: string) => openPipe({ DATABASE_URL: url, SWARM_REPO: repo })

it('a client records no event of a type that swarm records itself', async () => {
  const pipe = open('reserved')
  for (const event_type of RESERVED) {
    for (const dry of [false, true]) {
      const request = { cmd: 'record-event', event_type, entity_id: 'x', payload: { trust: 'verified' }, dry }
      expect(await pipe.send(request), event_type).toMatchObject({
        ok: false,
        err: {
          code: 'INVALID',
          ctx: {
            field: 'event_type',
            got: event_type,
            expected: expect.stringContaining('progress, activity'),
          },
        },
      })
    }
  }
  const batch = { cmd: 'batch', ops: [{ cmd: 'record-event', event_type: 'bead_claimed', entity_id: 'x' }] }
  expect(JSON.stringify(await pipe.send(batch))).toContain('"INVALID"')
  expect(await pipe.ok({ cmd: 'events' })).toMatchObject({ events: [] })
  for (const event_type of [
    'progress',
    'activity',
    'state_change',
    'pr_created',
    'built',
    'beads',
    'runner_up',
  ])
    await pipe.ok({ cmd: 'record-event', event_type, entity_id: 'x' })
  await pipe.close()
})

it('the types in the log after a whole loop are either reserved or may be sent', async () => {
  const pipe = open('loop')
  await pipe.ok({ cmd: 'register', count: 2 })
  await pipe.ok({ cmd: 'enqueue', beads: [{ bead_id: 'a', title: 'A' }] })
  await pipe.ok({ cmd: 'claim-next', agent_id: 1 })
  await pipe.ok({ cmd: 'send', agent_id: 1, to: 2, body: 'x' })
  await pipe.ok({ cmd: 'broadcast', from: 1, msg: 'x' })
  await pipe.ok({ cmd: 'lock', agent: 1, resource: 'x' })
  await pipe.ok({ cmd: 'complete-stage', agent_id: 1, outcome: 'passed' })
  await pipe.ok({ cmd: 'cancel', bead_id: 'a' })
  await pipe.ok({ cmd: 'reopen', bead_id: 'a' })
  const rows = await sql<{ event_type: string }[]>`
    select distinct event_type from swarm.execution_events where repo_id = 'loop' and not swarm.is_system_type(event_type)`
  expect(rows.map((row) => row.event_type)).toEqual(['state_change'])
  await pipe.close()
})

it('an event says whether swarm or a client recorded it, and a client cannot say otherwise', async () => {
  const pipe = open('origin')
  await pipe.ok({ cmd: 'register', count: 1 })
  const forged = { cmd: 'record-event', event_type: 'state_change', entity_id: 'x', agent_id: 1 }
  await pipe.ok({ ...forged, payload: { from: 'completed', origin: 'system', principal: 'agent:9' } })
  expect(await pipe.send({ ...forged, origin: 'system' })).toMatchObject({
    ok: false,
    err: { code: 'INVALID' },
  })
  expect(await pipe.ok({ cmd: 'events' })).toMatchObject({
    events: [
      { event_type: 'agent_registered', origin: 'system' },
      { event_type: 'state_change', origin: 'client', payload: { origin: 'system' } },
    ],
  })
  await pipe.close()
})

it('what a client says of a bead does not count for the invariants', async () => {
  const pipe = open('counted')
  await pipe.ok({ cmd: 'enqueue', beads: [{ bead_id: 'a', title: 'A' }] })
  const forged = { cmd: 'record-event', event_type: 'state_change', entity_id: 'a', bead_id: 'a' }
  await pipe.ok({ ...forged, payload: { from: 'completed', to: 'pending' } })
  await sql`insert into swarm.execution_events (event_type, entity_id, bead_id, repo_id, origin)
    values ('transition_finalize', 'a', 'a', 'counted', 'client')`
  const [row] = await sql`select swarm.invariants('counted') as found`
  expect(row?.found).toMatchObject({ lost: 0, doubled: 0 })
  await pipe.close()
})

it('the event of a token names its principal, here and in the audit', async () => {
  const pipe = open('named')
  await pipe.ok({ cmd: 'register', count: 1 })
  const { token } = await pipe.ok<{ token: string }>({
    cmd: 'token',
    action: 'create',
    role: 'agent',
    agent_id: 1,
  })
  await pipe.ok({ cmd: 'hello', token })
  await pipe.ok({ cmd: 'record-event', event_type: 'progress', entity_id: 'x' })
  const { events } = await pipe.ok<{ events: object[] }>({ cmd: 'events' })
  expect(events.at(-1)).toMatchObject({ event_type: 'progress', origin: 'client', principal: 'agent:1' })
  const [row] =
    await sql`select principal from swarm.command_audit where repo_id = 'named' and cmd = 'record-event'`
  expect(row?.principal).toBe('agent:1')
  await pipe.close()
})

it('an event of an agent that does not exist is NOTFOUND', async () => {
  const pipe = open('nobody')
  const request = { cmd: 'record-event', event_type: 'progress', entity_id: 'x', agent_id: 99_999 }
  expect(await pipe.send(request)).toMatchObject({
    ok: false,
    err: { code: 'NOTFOUND', ctx: { field: 'agent_id', got: 99_999 } },
  })
  await pipe.close()
})

it.each(['9999-12-31T23:59:59Z', '0001-01-01T00:00:00Z'])(
  'the time %s of a client is its own word: the log and its retention go by the time of insertion',
  async (timestamp) => {
    const pipe = open('clock')
    const before = await pipe.ok<{ sequence: number }>({
      cmd: 'record-event',
      event_type: 'progress',
      entity_id: 'x',
      payload: { phase: 'executing' },
      timestamp,
    })
    const [row] = await sql`select payload, clock_timestamp() - created_at < interval '1 minute' as now
      from swarm.execution_events where seq = ${before.sequence}`
    expect(row).toEqual({ payload: { phase: 'executing', client_time: timestamp }, now: true })
    expect(await pipe.ok({ cmd: 'prune', before: '1d' })).toMatchObject({ events: 0 })
    await sql`update swarm.execution_events set created_at = created_at - interval '40 days'`
    expect(await pipe.ok({ cmd: 'prune', before: '30d' })).toMatchObject({ log_floor: before.sequence })
    await pipe.close()
  },
)

it('a row of the year 9999 that an earlier version let in does not stop retention', async () => {
  const pipe = open('forever')
  await pipe.ok({ cmd: 'record-event', event_type: 'progress', entity_id: 'x' })
  await sql`update swarm.execution_events set created_at = '9999-01-01Z'`
  const { sequence } = await pipe.ok<{ sequence: number }>({
    cmd: 'record-event',
    event_type: 'progress',
    entity_id: 'y',
  })
  expect(await pipe.ok({ cmd: 'prune', before: '30d' })).toMatchObject({ log_floor: sequence - 1 })
  await pipe.close()
})
