import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, test } from 'vitest'
import type { Envelope } from '../../src/contract/envelope.ts'
import { testDatabase } from '../support/database.ts'
import { openStream } from '../support/stream.ts'
import { BIN, cleanEnv, openPipe, parseLines, runSwarm } from '../support/swarm.ts'

const database = await testDatabase()
const envFor = (repo: string) => ({ DATABASE_URL: database.url, SWARM_REPO: repo })

/** The `d` of the successful lines. */
function items(envelopes: readonly Envelope[]): Record<string, unknown>[] {
  return envelopes.flatMap((envelope) => (envelope.ok ? [Object(envelope.d)] : []))
}

describe('answers in chunks', () => {
  test('events come page after page, the last line without more, each once and in order', async () => {
    const repo = 'chunks'
    await database.sql`insert into swarm.execution_events (event_type, entity_id, repo_id)
      select 'progress', 'n' || n, ${repo} from generate_series(1, 2500) n`
    const { envelopes, code } = await runSwarm(['events', '--stream', '--limit', '1000'], {
      env: envFor(repo),
    })
    expect(code).toBe(0)
    expect(envelopes.map((envelope) => envelope.ok && envelope.more)).toEqual([true, true, undefined])
    const entities = items(envelopes).flatMap((d) =>
      (d.events as { entity_id: string }[]).map((event) => event.entity_id),
    )
    expect(entities).toEqual(Array.from({ length: 2_500 }, (_, n) => `n${n + 1}`))
  })

  test('history, state, artifacts and export do the same; lines of other requests keep their order', async () => {
    const repo = 'chunks-all'
    const lines = [
      { cmd: 'register', count: 3 },
      { cmd: 'enqueue', beads: Array.from({ length: 7 }, (_, n) => ({ bead_id: `b${n}`, title: 'x' })) },
      { cmd: 'claim-next', agent_id: 1 },
      {
        cmd: 'complete-stage',
        agent_id: 1,
        outcome: 'passed',
        artifacts: [1, 2, 3].map((n) => ({ artifact_type: 'stage_log', content: `c${n}` })),
      },
      { cmd: 'state', stream: true, limit: 4, rid: 'state' },
      { cmd: 'history', stream: true, limit: 1, rid: 'history' },
      { cmd: 'artifacts', bead_id: 'b0', stream: true, limit: 2, rid: 'artifacts' },
      { cmd: 'export', stream: true, limit: 3, rid: 'export' },
      { cmd: 'status', rid: 'last' },
    ]
    const { envelopes } = await runSwarm([], {
      env: envFor(repo),
      input: lines.map((line) => JSON.stringify(line)).join('\n'),
    })
    const of = (rid: string) => envelopes.filter((envelope) => envelope.rid === rid)
    const count = (rid: string, key: string) =>
      items(of(rid)).reduce((sum, d) => sum + (d[key] as unknown[]).length, 0)
    expect(count('state', 'beads')).toBe(7)
    expect(count('state', 'agents')).toBe(3)
    expect(of('history').length).toBeGreaterThan(1)
    expect(count('history', 'attempts')).toBe(2)
    expect(count('artifacts', 'artifacts')).toBe(3)
    expect(count('export', 'rows')).toBe(7)
    for (const rid of ['state', 'history', 'artifacts', 'export']) {
      const more = of(rid).map((envelope) => envelope.ok && envelope.more === true)
      expect(more).toEqual([...Array.from({ length: more.length - 1 }, () => true), false])
    }
    expect(envelopes.at(-1)?.rid).toBe('last')
  })
})

describe('messages', () => {
  test('an answer is in the thread of what it answers, and the sender sees queued, read and acked', async () => {
    const pipe = openPipe(envFor('threads'))
    await pipe.ok({ cmd: 'register', count: 3 })
    const { message_ids } = await pipe.ok<{ message_ids: number[] }>({
      cmd: 'send',
      agent_id: 1,
      to: [2, 3],
      body: 'who takes the docs?',
      importance: 'high',
      ack_required: true,
    })
    const [toTwo = 0, toThree = 0] = message_ids
    const answer = await pipe.ok<{ message_ids: number[] }>({
      cmd: 'send',
      agent_id: 2,
      to: 1,
      body: 'I do',
      reply_to: toTwo,
    })
    await pipe.ok({ cmd: 'send', agent_id: 1, to: 2, body: 'thanks', reply_to: answer.message_ids[0] ?? 0 })

    const state = async () => {
      const { messages } = await pipe.ok<{ messages: { message_id: number; state: string }[] }>({
        cmd: 'outbox',
        agent_id: 1,
      })
      return new Map(messages.map((message) => [message.message_id, message.state]))
    }
    expect((await state()).get(toThree)).toBe('queued')
    const inbox = await pipe.ok<{ messages: object[] }>({ cmd: 'inbox', agent_id: 3 })
    expect(inbox.messages).toMatchObject([{ message_id: toThree, importance: 'high', ack_required: true }])
    expect((await state()).get(toThree)).toBe('read')
    await pipe.ok({ cmd: 'ack', agent_id: 3, message_ids: [toThree] })
    expect((await state()).get(toThree)).toBe('acked')
    expect((await state()).get(toTwo)).toBe('queued')

    const thread = await pipe.ok<{ messages: object[] }>({
      cmd: 'inbox',
      agent_id: 2,
      thread_id: toTwo,
      peek: true,
    })
    expect(thread.messages).toMatchObject([
      { message_id: toTwo },
      { body: 'I do', thread_id: toTwo, reply_to: toTwo },
      { body: 'thanks', thread_id: toTwo },
    ])
    expect(await pipe.send({ cmd: 'ack', agent_id: 2, message_ids: [toThree] })).toMatchObject({
      ok: false,
      err: { code: 'CONFLICT' },
    })
    expect(await pipe.send({ cmd: 'send', agent_id: 1, to: 2, body: 'x', thread_id: 999_999 })).toMatchObject(
      {
        ok: false,
        err: { code: 'NOTFOUND', ctx: { field: 'thread_id' } },
      },
    )
    expect(await pipe.send({ cmd: 'inbox', agent_id: 1, thread_id: 999_999 })).toMatchObject({
      ok: false,
      err: { code: 'NOTFOUND' },
    })
    await pipe.close()
  })

  test('what a subscription hands over for an agent is delivered, and unacked past its deadline it is an event', async () => {
    const env = envFor('delivery')
    const pipe = openPipe(env)
    await pipe.ok({ cmd: 'register', count: 2 })
    const reader = runSwarm(['subscribe', '--from', 'beginning', '--for-agent', '2', '--until', 'idle:3s'], {
      env,
    })
    await pipe.ok({ cmd: 'send', agent_id: 1, to: 2, body: 'soon please', deadline_ms: 300 })
    await pipe.ok({ cmd: 'broadcast', from: 1, msg: 'to all' })
    const got = items((await reader).envelopes)
    expect(got.map((d) => d.kind)).toEqual(expect.arrayContaining(['start', 'message', 'broadcast', 'end']))
    expect(got.find((d) => d.event_type === 'message_overdue')).toMatchObject({ payload: { from: 1, to: 2 } })
    expect(await pipe.ok({ cmd: 'outbox', agent_id: 1 })).toMatchObject({
      messages: [{ state: 'delivered', ack_required: true }],
    })
    expect(await pipe.ok({ cmd: 'inbox', agent_id: 2 })).toMatchObject({
      messages: [{ body: 'soon please' }],
      broadcasts: [{ msg: 'to all' }],
    })
    expect(await pipe.ok({ cmd: 'outbox', agent_id: 1 })).toMatchObject({
      broadcasts: [{ msg: 'to all', seen_by: [2] }],
    })
    await pipe.close()
  }, 20_000)
})

describe('waiting instead of polling', () => {
  test('wait, inbox and claim-next are answered when it happens, in another process', async () => {
    const env = envFor('waiting')
    const [waiter, actor] = [openPipe(env), openPipe(env)]
    await actor.ok({ cmd: 'register', count: 2 })
    await waiter.ok({ cmd: 'status' })
    const began = performance.now()
    const claim = waiter.ok<{ bead: object }>({ cmd: 'claim-next', agent_id: 2, wait_ms: 20_000 })
    const inbox = waiter.ok<{ messages: object[] }>({ cmd: 'inbox', agent_id: 2, wait_ms: 20_000 })
    await actor.ok({ cmd: 'enqueue', beads: [{ bead_id: 'b', title: 'b' }] })
    expect(await claim).toMatchObject({ bead: { bead_id: 'b' } })
    const done = waiter.ok({ cmd: 'wait', bead_id: 'b', status: 'cancelled', wait_ms: 20_000 })
    await actor.ok({ cmd: 'send', agent_id: 1, to: 2, body: 'hello' })
    expect(await inbox).toMatchObject({ messages: [{ body: 'hello' }] })
    await actor.ok({ cmd: 'cancel', bead_id: 'b' })
    expect(await done).toMatchObject({ status: 'cancelled', reached: true })
    expect(performance.now() - began).toBeLessThan(10_000)
    await Promise.all([waiter.close(), actor.close()])
  }, 30_000)

  test('SIGTERM answers what waits with shutdown and ends subscriptions with their last line', async () => {
    const env = envFor('shut-down')
    await runSwarm(['register', '--count', '1'], { env })
    const child = spawn(process.execPath, [BIN], { env: cleanEnv(env) })
    let out = ''
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString('utf8')
    })
    child.stdin.write(
      '{"cmd":"subscribe","rid":"s"}\n{"cmd":"claim-next","agent_id":1,"wait_ms":60000,"rid":"c"}\n',
    )
    while (!out.includes('"kind":"start"')) await once(child.stdout, 'data')
    child.kill('SIGTERM')
    const [code] = await once(child, 'close')
    expect(code).toBe(0)
    const lines = parseLines(out)
    expect(lines.find((line) => line.rid === 'c')).toMatchObject({
      ok: true,
      d: { bead: null, reason: 'shutdown' },
    })
    expect(lines.filter((line) => line.rid === 's').at(-1)).toMatchObject({
      ok: true,
      d: { kind: 'end', reason: 'shutdown' },
    })
  })
})

describe('retention', () => {
  test('prune moves the floor, and readers below it are told', async () => {
    const env = envFor('pruned')
    const pipe = openPipe(env)
    await pipe.ok({ cmd: 'record-event', event_type: 'old', entity_id: 'x' })
    await database.sql`update swarm.execution_events set created_at = clock_timestamp() - interval '40 days'`
    const { sequence } = await pipe.ok<{ sequence: number }>({
      cmd: 'record-event',
      event_type: 'new',
      entity_id: 'x',
    })
    expect(await pipe.ok({ cmd: 'prune', before: '30d', dry: true })).toMatchObject({ dry: true })
    const { log_floor } = await pipe.ok<{ log_floor: number }>({ cmd: 'prune', before: '30d' })
    expect(log_floor).toBe(sequence - 1)
    expect(await pipe.send({ cmd: 'events', after: 1 })).toMatchObject({
      ok: false,
      err: { code: 'CONFLICT', ctx: { log_floor } },
    })
    expect(await pipe.send({ cmd: 'subscribe', from: 1 })).toMatchObject({
      ok: false,
      err: { code: 'CONFLICT', ctx: { log_floor } },
    })
    expect(await pipe.ok({ cmd: 'events' })).toMatchObject({ events: [{ event_type: 'new', sequence }] })
    expect(await pipe.send({ cmd: 'prune', before: 'yesterday' })).toMatchObject({
      ok: false,
      err: { code: 'INVALID', ctx: { field: 'before' } },
    })
    await pipe.close()
  })
})

describe('a subscription that nothing concerns', () => {
  test('stops listening while the log is busy, and misses nothing of what does', async () => {
    const env = envFor('busy')
    const reader = openStream(['subscribe', '--from', 'now', '--event-types', 'wanted'], env)
    await reader.line(({ kind }) => kind === 'start')
    const pipe = openPipe(env)
    const append = (event_type: string, entity_id: string) =>
      pipe.ok<{ sequence: number }>({ cmd: 'record-event', event_type, entity_id })
    const resting = async () => {
      await append('progress', 'other')
      const [row] = await database.sql<{ n: number }[]>`select count(*)::int as n from pg_stat_activity
        where datname = current_database() and application_name like 'swarm listen%' and query = 'unlisten *'`
      return row?.n
    }
    await expect.poll(resting, { interval: 1, timeout: 10_000 }).toBe(1)
    const { sequence } = await append('wanted', 'first')
    for (let n = 0; n < 500; n++) await append('progress', 'other')
    expect(await reader.line(({ entity_id }) => entity_id === 'first')).toMatchObject({ sequence })
    // it is quiet now: the reader listens again
    const listening = () => database.sql<{ query: string }[]>`select query from pg_stat_activity
      where datname = current_database() and application_name like 'swarm listen%'`
    await expect
      .poll(async () => (await listening())[0]?.query, { timeout: 10_000 })
      .toContain('listen swarm;')
    await append('wanted', 'last')
    await reader.line(({ entity_id }) => entity_id === 'last')
    expect(reader.kind('event').map(({ entity_id }) => entity_id)).toEqual(['first', 'last'])
    reader.process.kill('SIGTERM')
    expect(await reader.end()).toBe(0)
    expect(await pipe.close()).toBe(0)
  })
})
