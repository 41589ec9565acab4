import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { testDatabase } from '../../support/database.ts'
import { ask, type Serving, startServe } from '../../support/serve.ts'
import { openSocket, type TestSocket } from '../../support/sockets.ts'
import { readSse } from '../../support/sse.ts'

const { url: database, sql } = await testDatabase()
const scratch = mkdtempSync(join(tmpdir(), 'swarm-streams-'))
let serving: Serving

beforeAll(async () => {
  mkdirSync(join(scratch, '.swarm'))
  writeFileSync(join(scratch, '.swarm', 'config.toml'), 'repo = "streamed"\n[http]\nstreams = 20\n')
  serving = await startServe({ DATABASE_URL: database }, { cwd: scratch })
  await rpc({ cmd: 'register', count: 2 })
})

afterEach(() => {
  for (const one of opened) one.close()
  opened.length = 0
})

afterAll(async () => {
  await serving.kill()
  rmSync(scratch, { recursive: true, force: true })
})

const rpc = (body: object) => ask(`${serving.url}/api/rpc`, { body })
const add = (bead_id: string) => rpc({ cmd: 'enqueue', beads: [{ bead_id, title: bead_id }] })
const progress = (bead_id: string, message: string) =>
  ask(`${serving.url}/internal/ticket-event`, { body: { ticketId: bead_id, event: 'progress', message } })
const opened: TestSocket[] = []
const socket = async () => {
  const one = await openSocket(`${serving.url}/ws`)
  opened.push(one)
  return one
}

describe('a socket', () => {
  test('is told what its channels and rooms say, each with its cursor, and nothing else', async () => {
    await add('room-1')
    const one = await socket()
    const answer = await one.ask({ type: 'subscribe', channels: ['beads'], rooms: ['ticket:room-1'] })
    expect(answer).toMatchObject({
      ok: true,
      d: { channels: ['beads'], rooms: ['ticket:room-1'], cursor: expect.any(String) },
    })
    await add('room-2')
    await progress('room-1', 'half')
    const entry = {
      bead_id: 'room-1',
      ticket_id: 'room-1',
      category: 'progress',
      message: 'half',
      actor_id: null,
    }
    expect(await one.until(({ event }) => event === 'bead:updated')).toMatchObject({
      cursor: expect.stringMatching(/^[0-9a-z]+:\d+$/),
      data: { event_type: 'bead_enqueued', bead_id: 'room-2', severity: 'info' },
    })
    expect(await one.until(({ event }) => event === 'ticket:progress')).toMatchObject({ data: entry })
    expect(await one.until(({ event }) => event === 'bead:progress')).toMatchObject({ data: entry })
    const events = new Set(one.said.map(({ event }) => event))
    expect([...events].filter((event) => event !== undefined).sort()).toEqual([
      'bead:progress',
      'bead:updated',
      'ticket:progress',
    ])
    one.close()
  })

  test('goes on from a cursor, without a gap, then with what comes', async () => {
    const before = await socket()
    const { d } = await before.ask({ type: 'subscribe', channels: ['events'] })
    before.close()
    for (const n of [1, 2, 3]) await add(`gap-${n}`)
    const after = await socket()
    await after.ask({ type: 'subscribe', channels: ['events'], from: d?.cursor })
    await add('gap-4')
    await after.until(({ data }) => data?.bead_id === 'gap-4')
    const added = after.said.flatMap(({ data }) =>
      data?.event_type === 'bead_enqueued' ? [data.bead_id] : [],
    )
    expect(added).toEqual(['gap-1', 'gap-2', 'gap-3', 'gap-4'])
    const all = await socket()
    await all.ask({ type: 'subscribe', channels: ['events'], from: 'beginning' })
    expect(all.said.find(({ event }) => event === 'event:new')?.data?.sequence).toBe(1)
    after.close()
    all.close()
  })

  test('filters by type, severity and bead, and leaves what it no longer wants', async () => {
    await add('filtered')
    const one = await socket()
    await one.ask({
      type: 'subscribe',
      channels: ['events'],
      filters: { severity: 'info', bead_id: 'filtered' },
    })
    await progress('filtered', 'is debug')
    await add('other')
    await rpc({ cmd: 'update', bead_id: 'filtered', priority: 'p0' })
    await one.until(({ data }) => data?.event_type === 'bead_updated')
    const told = one.said.flatMap(({ event, data }) => (event === 'event:new' ? [data] : []))
    expect(told.filter((data) => data?.bead_id !== 'filtered' || data.severity === 'debug')).toEqual([])
    expect(await one.ask({ type: 'unsubscribe', channels: ['events'] })).toMatchObject({
      d: { channels: [] },
    })
    one.close()
  })

  test('sends any verb and gets envelopes, waits too, and its claims are renewed', async () => {
    await add('claimed')
    const one = await socket()
    expect(await one.ask({ cmd: 'status' })).toMatchObject({ ok: true, d: { repo: 'streamed' } })
    const claim = await one.ask({ cmd: 'claim-next', agent_id: 1 })
    expect(claim).toMatchObject({ ok: true, d: { lease_ms: 60_000 } })
    expect(await one.ask({ cmd: 'inbox', agent_id: 2, wait_ms: 50 })).toMatchObject({ ok: true })
    expect(await one.ask({ type: 'task:assign', taskId: 'none', agentId: 2 })).toMatchObject({
      err: { code: 'NOTFOUND' },
    })
    expect(await one.ask({ type: 'session:terminate', session_id: 'none' })).toMatchObject({
      err: { code: 'NOTFOUND' },
    })
    expect(await one.ask({ type: 'qa:trigger', agent_id: 2 })).toMatchObject({ ok: false })
    expect(await one.ask({ cmd: 'work', agent_id: 1, command: ['true'] })).toMatchObject({
      err: { code: 'UNAUTHORIZED' },
    })
    one.close()
  })

  test('hears what the program of a session says', async () => {
    await sql`insert into swarm.agent_sessions (repo_id, session_id, run_id, host_id, agent_id, adapter, bead_id, stage, attempt, fence, status, queued_at)
      values ('streamed', 's-1', 'r', 'h', 2, 'demo', 'other', 'implement', 1, 1, 'running', now())`
    const one = await socket()
    await one.ask({ type: 'subscribe', rooms: ['session:s-1'] })
    const say = setInterval(
      () =>
        void sql`select swarm.session_log('streamed', 's-1', '[]', '[{"iteration": 1, "text": "thinking"}]')`.execute(),
      200,
    )
    expect(await one.until(({ event }) => event === 'iteration:log')).toMatchObject({
      data: { session_id: 's-1', iteration: 1, text: 'thinking' },
    })
    clearInterval(say)
    await sql`select swarm.session_log('streamed', 's-1', '[{"number": 1, "status": "running", "tool_calls": 0, "event": "iteration_started"}]', '[]')`
    expect(await one.until(({ event }) => event === 'iteration:started')).toMatchObject({
      data: { session_id: 's-1' },
    })
    one.close()
  })

  test.each([
    ['a frame that is no JSON', 'hello', 'INVALID'],
    ['a frame that is no object', '[1]', 'INVALID'],
    ['an unknown type', '{"type":"dance"}', 'INVALID'],
    ['an unknown channel', '{"type":"subscribe","channels":["all"]}', 'INVALID'],
    ['an unknown room', '{"type":"subscribe","rooms":["kitchen:1"]}', 'INVALID'],
    ['an unknown field', '{"type":"subscribe","room":"bead:1"}', 'INVALID'],
    ['a cursor of another log', '{"type":"subscribe","channels":["beads"],"from":"zzz:1"}', 'CONFLICT'],
    ['a cursor beyond the end', '{"type":"subscribe","channels":["beads"],"from":"999999999"}', 'CONFLICT'],
    ['an unknown verb', '{"cmd":"dance"}', 'INVALID'],
  ])('%s is answered with an envelope, and the socket lives', async (_name, frame, code) => {
    const one = await socket()
    one.send(frame)
    expect(await one.until(({ ok }) => ok === false)).toMatchObject({ err: { code } })
    expect(await one.ask({ cmd: 'status' })).toMatchObject({ ok: true })
    one.close()
  })

  test('that sends more than a line may hold is closed', async () => {
    const one = await socket()
    one.socket.on('error', () => {})
    one.send('x'.repeat(2_000_000))
    expect((await one.closed).code).toBe(1009)
  })

  test('from elsewhere is refused, and one too many', async () => {
    await expect(openSocket(`${serving.url}/ws`, { origin: 'http://evil.example' })).rejects.toThrow('403')
    // those of the tests before may still be closing
    await expect
      .poll(() => ask(`${serving.url}/metrics`).then(({ text }) => text))
      .toMatch(/swarm_http_streams\{kind="socket"[^}]*\} 0/)
    const many = await Promise.allSettled(Array.from({ length: 40 }, socket))
    const open = many.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    const refused = many.flatMap((one) => (one.status === 'rejected' ? [String(one.reason)] : []))
    expect([open.length, new Set(refused)]).toEqual([20, new Set(['Error: 429'])])
    for (const one of open) one.close()
    await Promise.all(open.map(({ closed }) => closed))
    await expect.poll(() => socket().then((one) => one.close())).toBe(undefined)
  })

  test('an upgrade to something else is answered', async () => {
    const text = await new Promise<string>((resolve) => {
      const raw = connect(serving.port, '127.0.0.1', () =>
        raw.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n'),
      )
      let all = ''
      raw.on('data', (chunk) => {
        all += String(chunk)
      })
      raw.on('close', () => resolve(all))
    })
    expect(text).toMatch(/^HTTP\/1\.1 400/)
    expect(await ask(`${serving.url}/ws`)).toMatchObject({ status: 426 })
  })
})

describe('server-sent events', () => {
  test('come with id, name and data, and go on after Last-Event-ID', async () => {
    const stream = await readSse(`${serving.url}/api/stream?channels=beads`)
    expect(await stream.until(({ event }) => event === 'ready')).toMatchObject({ id: expect.any(String) })
    await add('sse-1')
    const first = await stream.until(({ event }) => event === 'bead:updated')
    expect(first.data).toMatchObject({ bead_id: 'sse-1' })
    stream.close()
    await add('sse-2')
    const again = await readSse(`${serving.url}/api/stream?channels=beads`, { 'last-event-id': first.id })
    expect((await again.until(({ event }) => event === 'bead:updated')).data).toMatchObject({
      bead_id: 'sse-2',
    })
    expect(again.said.some(({ event }) => event === 'error')).toBe(false)
    again.close()
  })

  test.each(['zzz:1', '999999999'])('a dead cursor, %s, is answered 204', async (cursor) => {
    expect(await ask(`${serving.url}/api/stream`, { headers: { 'last-event-id': cursor } })).toMatchObject({
      status: 204,
      text: '',
    })
  })

  test.each(['channels=all', 'rooms=kitchen', 'from=x', 'agent_id=0', 'nonsense=1'])(
    '%s is 400',
    async (query) => {
      expect(await ask(`${serving.url}/api/stream?${query}`)).toMatchObject({
        status: 400,
        json: { err: { code: 'INVALID' } },
      })
    },
  )
})

test('a client that never reads is told and cut, and nobody else notices', async () => {
  const other = await startServe({ DATABASE_URL: database, SWARM_REPO: 'slow' })
  const call = (body: object) => ask(`${other.url}/api/rpc`, { body })
  const reader = await openSocket(`${other.url}/ws`)
  await reader.ask({ type: 'subscribe', channels: ['events'] })
  const deaf = await openSocket(`${other.url}/ws`)
  await deaf.ask({ type: 'subscribe', channels: ['events'] })
  deaf.socket.pause()
  const event = {
    cmd: 'record-event',
    event_type: 'note',
    entity_id: 'x',
    payload: { text: 'x'.repeat(250_000) },
  }
  let sent = 0
  const open = async () => {
    await call({ ...event, payload: { ...event.payload, n: ++sent } })
    const { text } = await ask(`${other.url}/metrics`)
    return Number(/swarm_http_streams\{kind="socket"[^}]*\} (\d+)/.exec(text)?.[1])
  }
  await expect.poll(open, { timeout: 25_000 }).toBe(1)
  await reader.until(({ data }) => (data?.payload as { n?: number } | undefined)?.n === sent)
  reader.close()
  deaf.socket.terminate()
  await other.kill()
})

test('the end of the server is told', async () => {
  const other = await startServe({ DATABASE_URL: database, SWARM_REPO: 'ends' })
  const one = await openSocket(`${other.url}/ws`)
  await one.ask({ type: 'subscribe', channels: ['events'] })
  const stream = await readSse(`${other.url}/api/stream`)
  const started = performance.now()
  const { code } = await other.stop()
  expect(code).toBe(0)
  expect(await one.until(({ event }) => event === 'closing')).toMatchObject({ data: { reason: 'shutdown' } })
  expect(await one.closed).toMatchObject({ code: 1001 })
  expect((await stream.until(({ event }) => event === 'closing')).data).toEqual({ reason: 'shutdown' })
  expect(performance.now() - started).toBeLessThan(4_000)
})

test('frames go on when the database was away', async () => {
  const one = await socket()
  await one.ask({ type: 'subscribe', channels: ['events'] })
  await sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name like 'swarm%'`
  await expect.poll(() => add('back').then(({ status }) => status)).toBe(200)
  await one.until(({ data }) => data?.bead_id === 'back')
  one.close()
  expect(serving.stderr()).not.toContain('fault')
})
