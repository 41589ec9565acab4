import { beforeAll, describe, expect, test } from 'vitest'
import { testDatabase } from '../support/database.ts'

const { sql } = await testDatabase()
const REPO = 'reports'

beforeAll(async () => {
  await sql`insert into swarm.agent_sessions (repo_id, session_id, run_id, host_id, agent_id, adapter, bead_id, stage, attempt, fence, status,
    queued_at, started_at) values (${REPO}, 's-1', 'run-1', 'h-1', 1, 'demo', 'b1', 'implement', 1, 1, 'running', clock_timestamp(),
    clock_timestamp())`
})

async function beat(): Promise<{ session_id: string; extended_ms?: number }[]> {
  const host = { host_id: 'h-1', name: 'h', capacity: {}, adapters: {} }
  const [row] =
    await sql`select swarm.host_beat(${REPO}, ${JSON.stringify(host)}::text::jsonb, '[]'::jsonb) as d`
  return row?.d.orders
}

describe('a report of a host', () => {
  test('that is sent again is stored once, with its events', async () => {
    const iterations = JSON.stringify([
      { number: 1, status: 'running', tool_calls: 0, event: 'iteration_started' },
      { number: 1, status: 'completed', tool_calls: 2, event: 'iteration_completed' },
    ])
    const chunks = JSON.stringify([
      { iteration: 1, sequence: 1, text: 'one' },
      { iteration: 1, sequence: 2, text: 'two' },
    ])
    const send = () =>
      sql`select swarm.session_log(${REPO}, 's-1', ${iterations}::text::jsonb, ${chunks}::text::jsonb)`
    await send()
    await Promise.all([send(), send()])
    const logs = await sql`select log_content from swarm.agent_run_logs where repo_id = ${REPO} order by id`
    expect(logs.map(({ log_content }) => log_content)).toEqual(['one', 'two'])
    const events =
      await sql`select event_type from swarm.execution_events where repo_id = ${REPO} and session_id = 's-1' order by seq`
    expect(events.map(({ event_type }) => event_type)).toEqual(['iteration_started', 'iteration_completed'])
    const [row] = await sql`select status, tool_calls from swarm.session_iterations where repo_id = ${REPO}`
    expect(row).toMatchObject({ status: 'completed', tool_calls: 2 })
  })

  test('is answered with the time that a person has given a session', async () => {
    expect((await beat())[0]?.extended_ms).toBeUndefined()
    await sql`select swarm.do_extend(${REPO}, '{"session_id": "s-1", "ms": 600000}'::jsonb, '{}'::jsonb)`
    const [order] = await beat()
    expect(order?.extended_ms).toBeGreaterThan(590_000)
    expect(order?.extended_ms).toBeLessThanOrEqual(600_000)
  })
})
