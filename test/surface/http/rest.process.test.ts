import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ROUTES } from '../../../src/surface/http/routes.ts'
import { testDatabase } from '../../support/database.ts'
import { ask, type Serving, startServe } from '../../support/serve.ts'

const { url: database, sql } = await testDatabase()
const scratch = mkdtempSync(join(tmpdir(), 'swarm-rest-'))
let serving: Serving

beforeAll(async () => {
  mkdirSync(join(scratch, '.swarm'))
  writeFileSync(
    join(scratch, '.swarm', 'config.toml'),
    'repo = "rest"\n[orchestrator]\nallow_ungated = true\n',
  )
  serving = await startServe({ DATABASE_URL: database }, { cwd: scratch })
  await ask(`${serving.url}/api/rpc`, { body: { cmd: 'register', count: 2 } })
})

afterAll(async () => {
  await serving.kill()
  rmSync(scratch, { recursive: true, force: true })
})

const get = (path: string) => ask(`${serving.url}${path}`)
const send = (method: string, path: string, body: object = {}, headers: Record<string, string> = {}) =>
  ask(`${serving.url}${path}`, { method, body, headers })

describe('beads', () => {
  test('are added one by one or many at once, and counted whatever the limit', async () => {
    expect(await send('POST', '/api/beads', { bead_id: 'one', title: 'One', priority: 'p1' })).toMatchObject({
      status: 201,
      json: { bead_ids: ['one'], added: 1 },
    })
    const beads = ['two', 'three'].map((bead_id) => ({ bead_id, title: bead_id }))
    expect(await send('POST', '/api/beads', { beads })).toMatchObject({ status: 201, json: { added: 2 } })
    expect(await get('/api/beads?limit=1&offset=1')).toMatchObject({
      status: 200,
      json: { beads: [{ bead_id: 'three' }], total: 3, more: true },
    })
    expect(await get('/api/beads?priority=p1')).toMatchObject({
      json: { beads: [{ bead_id: 'one' }], total: 1 },
    })
    expect(await get('/api/beads?agent=1')).toMatchObject({ json: { beads: [], total: 0 } })
  })

  test('go by the names of others too', async () => {
    const tasks = await get('/api/tasks?limit=1')
    expect(Object.keys(tasks.json).sort()).toEqual(['cursor', 'more', 'tasks', 'total'])
    expect(await get('/api/tickets?status=pending')).toMatchObject({
      json: { tickets: [{}, {}, {}], total: 3 },
    })
    expect(await get('/api/tickets/one')).toMatchObject({ json: { ticket: { bead_id: 'one' } } })
    expect(await get('/api/tasks?ticket_id=one')).toMatchObject({ status: 400 })
  })

  test('are shown, changed and given up', async () => {
    expect(await get('/api/beads/one')).toMatchObject({ json: { bead: { bead_id: 'one', priority: 'p1' } } })
    expect(await send('PATCH', '/api/beads/one', { priority: 'p0' })).toMatchObject({
      status: 200,
      json: { bead_id: 'one', changed: ['priority'] },
    })
    expect(await send('DELETE', '/api/beads/three', { reason: 'nobody needs it' })).toMatchObject({
      status: 200,
      json: { success: true, status: 'cancelled', was: 'pending' },
    })
    expect(await get('/api/beads/none')).toMatchObject({
      status: 404,
      json: { ok: false, err: { code: 'NOTFOUND' } },
    })
    expect(await get('/api/beads/one/explain')).toMatchObject({ status: 200, json: { bead_id: 'one' } })
    expect(await send('PATCH', '/api/beads/one', { bead_id: 'two', title: 'x' })).toMatchObject({
      status: 400,
      json: { err: { ctx: { field: 'bead_id' } } },
    })
  })

  test('a key makes a write happen once', async () => {
    const key = { 'idempotency-key': 'k1' }
    const first = await send('POST', '/api/beads', { title: 'Made once' }, key)
    const again = await send('POST', '/api/beads', { title: 'Made once' }, key)
    expect(again.json).toEqual(first.json)
    expect([first.headers['idempotency-replayed'], again.headers['idempotency-replayed']]).toEqual([
      undefined,
      'true',
    ])
    expect(await send('POST', '/api/beads', { title: 'Another' }, key)).toMatchObject({ status: 409 })
  })

  test('a body that a form could send is refused', async () => {
    const headers = { 'content-type': 'text/plain' }
    expect(await send('POST', '/api/beads', { title: 'x' }, headers)).toMatchObject({ status: 415 })
  })
})

describe('agents, runs, sessions and their iterations', () => {
  beforeAll(async () => {
    const { json } = await send('POST', '/api/runs', { agents: { planner: 1, implementer: 1, reviewer: 1 } })
    const run = (json as { run_id?: string }).run_id ?? ''
    await sql`insert into swarm.agent_sessions (repo_id, session_id, run_id, host_id, agent_id, adapter, bead_id, stage, attempt, fence, status, queued_at)
      values ('rest', 's-1', ${run}, 'h', 1, 'demo', 'one', 'implement', 1, 1, 'running', now())`
    await sql`select swarm.session_log('rest', 's-1',
      '[{"number": 1, "status": "completed", "tool_calls": 2, "event": "iteration_completed"}]', '[{"iteration": 1, "text": "hello "}, {"iteration": 1, "text": "world"}]')`
  })

  test('agents', async () => {
    expect(await get('/api/agents?limit=1')).toMatchObject({
      json: { agents: [{ agent_id: 1 }], more: true },
    })
    expect(await get('/api/agents/2')).toMatchObject({ json: { agent: { agent_id: 2 } } })
    expect(await get('/api/agents/99')).toMatchObject({ status: 404, json: { err: { code: 'NOTFOUND' } } })
    expect(await get('/api/agents/none')).toMatchObject({ status: 400 })
    expect(await send('PATCH', '/api/agents/2', { role: 'reviewer' })).toMatchObject({
      json: { agent: { agent_id: 2, role: 'reviewer' } },
    })
    expect(await send('PATCH', '/api/agents/99', { role: 'reviewer' })).toMatchObject({ status: 404 })
  })

  test('runs and waves', async () => {
    const { json } = await get('/api/runs?status=running')
    const [run] = (json as { runs?: { run_id: string }[] }).runs ?? []
    expect(await get(`/api/runs/${run?.run_id}`)).toMatchObject({ json: { run: { status: 'running' } } })
    expect(await get(`/api/runs/${run?.run_id}/waves`)).toMatchObject({
      json: { waves: [{ number: 1, status: 'waiting', beads: { pending: 3 } }] },
    })
    expect(await get('/api/runs/none')).toMatchObject({ status: 404 })
    expect(await get('/api/runs/none/waves')).toMatchObject({ status: 404 })
    expect(await get(`/api/beads?wave=1&run=${run?.run_id}`)).toMatchObject({ json: { total: 3 } })
    expect(await send('POST', `/api/runs/${run?.run_id}/pause`, { reason: 'lunch' })).toMatchObject({
      json: { status: 'paused', pause_reason: 'lunch' },
    })
    expect(await get('/api/overview')).toMatchObject({ json: { sessions: [{ session_id: 's-1' }] } })
  })

  test('sessions and iterations', async () => {
    expect(await get('/api/sessions?agent_id=1&status=running')).toMatchObject({
      json: { sessions: [{ session_id: 's-1' }] },
    })
    expect(await get('/api/sessions?agent_id=2')).toMatchObject({ json: { sessions: [] } })
    expect(await get('/api/sessions/s-1')).toMatchObject({ json: { session: { bead_id: 'one' } } })
    expect(await get('/api/sessions/s-2')).toMatchObject({ status: 404 })
    expect(await get('/api/sessions/s-1/iterations')).toMatchObject({
      json: { iterations: [{ iteration_id: 's-1:1' }] },
    })
    expect(await get('/api/iterations/s-1:1')).toMatchObject({
      json: { iteration: { tool_calls: 2, qa_result: 'pending' } },
    })
    expect(await get('/api/iterations/s-1:2')).toMatchObject({ status: 404 })
    expect(await get('/api/iterations/nothing')).toMatchObject({ status: 400 })
    expect(await get('/api/iterations/s-1:1/log')).toMatchObject({
      json: { content: 'hello world', more: false },
    })
    const found = { result: 'failed', findings: ['no test'], by: 'reviewer' }
    expect(await send('POST', '/api/iterations/s-1:1/qa', found)).toMatchObject({
      json: {
        success: true,
        iteration: { qa_result: 'failed', checks: [{ checked_by: 'reviewer', findings: ['no test'] }] },
      },
    })
    expect(await send('POST', '/api/iterations/s-1:9/qa', found)).toMatchObject({ status: 404 })
    expect(await send('POST', '/api/sessions/s-1/terminate', { reason: 'enough' })).toMatchObject({
      json: { success: true, session_id: 's-1' },
    })
  })

  test('questions are answered once', async () => {
    await ask(`${serving.url}/api/rpc`, { body: { cmd: 'ask', agent_id: 1, question: 'Red or blue?' } })
    const { json } = await get('/api/questions')
    const [question] = (json as { questions?: { question_id: string }[] }).questions ?? []
    const path = `/api/questions/${question?.question_id}/answer`
    expect(await send('POST', path, { answer: 'blue' })).toMatchObject({
      json: { success: true, answer: 'blue' },
    })
    expect(await send('POST', path, { answer: 'red' })).toMatchObject({ status: 409 })
  })
})

describe('events', () => {
  test('are what engines report', async () => {
    const body = { ticketId: 'one', event: 'progress', message: 'half', percent: 50 }
    expect(await send('POST', '/internal/ticket-event', body)).toMatchObject({
      status: 200,
      json: { success: true, event: 'progress' },
    })
    expect(await get('/api/events?type=progress')).toMatchObject({
      json: { events: [{ bead_id: 'one', payload: { message: 'half', percent: 50 } }] },
    })
    expect(
      await send('POST', '/internal/ticket-event', { ticketId: 'one', event: 'bead_claimed' }),
    ).toMatchObject({ status: 400 })
    expect(await send('POST', '/internal/ticket-event', { event: 'progress' })).toMatchObject({ status: 400 })
  })

  test('are found by session, severity and time, the last ones too', async () => {
    const types = async (query: string) => {
      const { json } = await get(`/api/events?${query}`)
      return ((json as { events?: { event_type: string }[] }).events ?? []).map(
        ({ event_type }) => event_type,
      )
    }
    expect(await types('session=s-1')).toContain('iteration_completed')
    expect(await types('severity=info')).not.toContain('progress')
    expect(await types('severity=debug')).toContain('progress')
    expect(await types('severity=error')).toEqual([])
    expect(await types(`since=${new Date(Date.now() + 60_000).toISOString()}`)).toEqual([])
    const all = await types('limit=1000')
    expect(await types('limit=2&latest=true')).toEqual(all.slice(-2))
  })
})

test('metrics count what is there, with labels of a closed list', async () => {
  const { status, headers, text } = await get('/metrics')
  expect([status, headers['content-type']]).toMatchObject([200, expect.stringContaining('text/plain')])
  expect(text).toContain('swarm_beads{status="pending",repo="rest"} 3')
  await get('/api/beads/some-bead')
  const again = (await get('/metrics')).text
  expect(again).toMatch(
    /swarm_http_requests_total\{method="GET",route="\/api\/beads\/:bead_id",status="404",repo="rest"\}/,
  )
  expect(again).not.toContain('some-bead')
})

test('every route names a verb that there is', async () => {
  const { json } = await ask(`${serving.url}/api/rpc`, { body: { cmd: 'describe' } })
  expect(Object.keys(json)).toContain('d')
  for (const verb of new Set(ROUTES.map((route) => route.verb)))
    expect(await ask(`${serving.url}/api/rpc`, { body: { cmd: 'describe', verb } })).toMatchObject({
      status: 200,
    })
})
