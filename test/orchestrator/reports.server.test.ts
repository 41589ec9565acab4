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

describe('the conversation that the next session of a bead goes on with', () => {
  let sessions = 0
  /** One more session of the bead that has ended so. */
  async function ended(reason: string, native: string | null, account = 'demo/default'): Promise<string> {
    const id = `s-resume-${++sessions}`
    await sql`insert into swarm.agent_sessions (repo_id, session_id, run_id, host_id, agent_id, adapter, account, bead_id, stage, attempt, fence, status,
      reason, native_id, workspace, queued_at, started_at, ended_at) values (${REPO}, ${id}, 'run-1', 'h-1', 2, 'demo', ${account}, 'b2', 'implement', 1,
      1, 'ended', ${reason}, ${native}, '/work', clock_timestamp(), clock_timestamp(), clock_timestamp())`
    return id
  }
  const next = async (account = 'demo/default') => {
    const [row] = await sql`select swarm.to_resume(${REPO}, 'b2', 'implement', 'demo', ${account}) as d`
    return row?.d
  }

  test('is that of a session which was cut off, held by the one that began it, until one has come to its end', async () => {
    expect(await next()).toBeNull()
    const begun_by = await ended('quota', 'n1')
    expect(await next()).toEqual({ native_id: 'n1', workspace: '/work', begun_by })
    await ended('host_lost', 'n1')
    // what did not start has changed nothing
    await ended('not_started:fault', null)
    expect(await next()).toMatchObject({ native_id: 'n1', begun_by })
    // its HOME has the login of its account
    expect(await next('demo/other')).toBeNull()
    await ended('failed', 'n1')
    expect(await next()).toBeNull()
  })

  test('is left alone when it has crashed twice', async () => {
    await ended('crashed', 'n2')
    expect(await next()).toMatchObject({ native_id: 'n2' })
    await ended('crashed', 'n2')
    expect(await next()).toBeNull()
  })
})
