import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Envelope } from '../../src/contract/envelope.ts'
import type { JsonObject } from '../../src/contract/json.ts'
import { testDatabase } from '../support/database.ts'
import { openStream, type Stream } from '../support/stream.ts'
import { runSwarm } from '../support/swarm.ts'

const database = await testDatabase()
const streams: Stream[] = []
let repo = ''
let repos = 0

beforeEach(() => {
  repo = `cursors-${++repos}`
})

afterEach(async () => {
  for (const { process } of streams) process.kill('SIGKILL')
  await Promise.all(streams.splice(0).map((stream) => stream.end()))
})

const env = () => ({ DATABASE_URL: database.url, SWARM_REPO: repo })

function open(...args: string[]): Stream {
  const stream = openStream(args, env())
  streams.push(stream)
  return stream
}

async function ask(
  ...args: string[]
): Promise<{ readonly code: number | null; readonly last: Envelope | undefined }> {
  const { code, envelopes } = await runSwarm(args, { env: env() })
  return { code, last: envelopes.at(-1) }
}

/** Records events and answers their cursors. */
async function record(count: number): Promise<number[]> {
  const rows = await database.sql<{ seq: number }[]>`
    insert into swarm.execution_events (event_type, entity_id, repo_id)
    select 'step', 'e' || n, ${repo} from generate_series(1, ${count}) n returning seq::float8 as seq`
  return rows.map(({ seq }) => seq)
}

const seqOf = (d: JsonObject) => Number(String(d.cursor).split(':')[1])
const isStart = ({ kind }: JsonObject) => kind === 'start'

describe('a named cursor', () => {
  test('sends the unacked tail again, with the same cursors, and nothing that was acked', async () => {
    const seqs = await record(5)
    const first = open()
    first.send({ cmd: 'subscribe', rid: 's', cursor: 'mailer' })
    await first.line((d) => d.entity_id === 'e5')
    const seen = first.kind('event')
    first.send({ cmd: 'ack-cursor', rid: 'a', cursor: 'mailer', at: String(seen[2]?.cursor) })
    expect(await first.line((d) => d.acked !== undefined)).toEqual({ cursor: 'mailer', acked: seqs[2] })
    first.send({ cmd: 'unsubscribe', rid: 's' })
    await first.line(({ kind }) => kind === 'end')
    const second = open('subscribe', '--cursor', 'mailer', '--until', 'idle:1ms')
    await second.end()
    expect(second.kind('event')).toEqual(seen.slice(3))
  })

  test('that is held is BUSY for the next reader, with a request that would work', async () => {
    await record(1)
    const holder = open('subscribe', '--cursor', 'one')
    await holder.line(isStart)
    const refused = await ask('subscribe', '--cursor', 'one', '--kinds', 'event')
    expect(refused.code).toBe(11)
    expect(refused.last).toMatchObject({ ok: false, err: { code: 'BUSY', ctx: { cursor: 'one', acked: 0 } } })
    expect(refused.last).toHaveProperty('fix', 'swarm subscribe --cursor one --kinds event --if-busy wait')
  })

  test('goes over when its holder ends, although the log has gone on meanwhile', async () => {
    await record(2)
    const holder = open()
    holder.send({ cmd: 'subscribe', rid: 's', cursor: 'one' })
    await holder.line(isStart)
    const waiter = open('subscribe', '--cursor', 'one', '--if-busy', 'wait')
    const later = await record(3)
    await holder.line((d) => seqOf(d) === later[2])
    holder.send({ cmd: 'ack-cursor', rid: 'a', cursor: 'one', at: Number(later[1]) })
    await holder.line((d) => d.acked !== undefined)
    expect(waiter.lines).toEqual([])
    holder.process.end()
    expect(seqOf(await waiter.line(isStart))).toBe(later[1])
    expect(seqOf(await waiter.line(({ kind }) => kind === 'event'))).toBe(later[2])
  })

  test('goes over when its holder dies, after its lease', async () => {
    await record(1)
    const holder = open('subscribe', '--cursor', 'one', '--lease-ms', '1500')
    await holder.line((d) => d.entity_id === 'e1')
    const waiter = open('subscribe', '--cursor', 'one', '--if-busy', 'wait')
    const died = performance.now()
    holder.process.kill('SIGKILL')
    await waiter.line((d) => d.entity_id === 'e1')
    expect(performance.now() - died).toBeLessThan(4_000)
  })

  test('is renewed while it is held: nobody takes it from a reader that lives', async () => {
    await record(1)
    const holder = open('subscribe', '--cursor', 'one', '--lease-ms', '1000')
    await holder.line(isStart)
    const refused = await ask('subscribe', '--cursor', 'one', '--if-busy', 'wait', '--wait-ms', '2500')
    expect(refused.last).toMatchObject({ ok: false, err: { code: 'BUSY' } })
  })

  test('a holder that slept beyond its lease sends nothing more once another has it', async () => {
    await record(1)
    const sleeper = open()
    sleeper.send({ cmd: 'subscribe', rid: 's', cursor: 'one', lease_ms: 1_000 })
    await sleeper.line((d) => d.entity_id === 'e1')
    sleeper.process.kill('SIGSTOP')
    const next = open()
    next.send({ cmd: 'subscribe', rid: 's', cursor: 'one', if_busy: 'wait' })
    await next.line((d) => d.entity_id === 'e1')
    const [later] = await record(1)
    await next.line((d) => seqOf(d) === later)
    next.send({ cmd: 'ack-cursor', rid: 'a', cursor: 'one', at: Number(later) })
    await next.line((d) => d.acked !== undefined)
    sleeper.process.kill('SIGCONT')
    await expect
      .poll(() => sleeper.lines.at(-1))
      .toMatchObject({ ok: false, rid: 's', err: { code: 'CONFLICT' } })
    expect(sleeper.kind('event')).toHaveLength(1)
    // its old fence goes with what it still acks
    sleeper.send({ cmd: 'ack-cursor', rid: 'b', cursor: 'one', at: Number(later) })
    await expect
      .poll(() => sleeper.lines.find(({ rid }) => rid === 'b'))
      .toMatchObject({ ok: false, err: { code: 'CONFLICT', ctx: { fence: 1, current_fence: 2 } } })
  })

  test('one that waits can be told to stop, and says nothing but that', async () => {
    await record(1)
    const holder = open('subscribe', '--cursor', 'one')
    await holder.line(isStart)
    const waiter = open()
    waiter.send({ cmd: 'subscribe', rid: 'w', cursor: 'one', if_busy: 'wait' })
    // answered after the subscription has begun to wait
    waiter.send({ cmd: 'status', rid: 'x' })
    await expect.poll(() => waiter.lines.length).toBe(1)
    waiter.send({ cmd: 'unsubscribe', rid: 'w' })
    await waiter.line(({ kind }) => kind === 'end')
    expect(waiter.kind('end')).toMatchObject([{ count: 0, reason: 'unsubscribed' }])
    expect(waiter.kind('start')).toEqual([])
  })

  test('acked before sending it comes at most once, and the stream says so', async () => {
    const seqs = await record(3)
    const first = open('subscribe', '--cursor', 'one', '--auto-ack', '--until', String(seqs[1]))
    expect(await first.line(isStart)).toMatchObject({ delivery: 'at most once' })
    expect(await first.end()).toBe(0)
    const second = open('subscribe', '--cursor', 'one', '--auto-ack', '--until', 'idle:1ms')
    await second.end()
    expect(second.kind('event').map(seqOf)).toEqual([seqs[2]])
  })

  test('starts where it was told only when it is new', async () => {
    const seqs = await record(3)
    const first = open('subscribe', '--cursor', 'one', '--from', String(seqs[1]), '--until', 'idle:1ms')
    await first.end()
    expect(first.kind('event').map(seqOf)).toEqual([seqs[2]])
    const second = open('subscribe', '--cursor', 'one', '--from', 'beginning', '--until', 'idle:1ms')
    await second.end()
    expect(second.kind('event').map(seqOf)).toEqual([seqs[2]])
  })
})

describe('what does not fit', () => {
  const refusals: [string, string[], number, string, JsonObject][] = [
    ['a cursor from the future', ['--from', '999999999'], 4, 'CONFLICT', { field: 'from' }],
    ['a cursor of another log', ['--from', 'abcd:1'], 4, 'CONFLICT', { field: 'from' }],
    ['a cursor name with a slash', ['--cursor', 'a/b'], 8, 'INVALID', { field: 'cursor' }],
    ['wait_ms beyond its bound', ['--wait-ms', '86400001'], 8, 'INVALID', { field: 'wait_ms' }],
    ['a position that is none', ['--from', 'yesterday'], 8, 'INVALID', { field: 'from' }],
    ['acking without a cursor', ['--auto-ack'], 8, 'INVALID', { field: 'auto_ack' }],
    ['a bead that does not exist', ['--until', 'bead:nope:done'], 5, 'NOTFOUND', { field: 'until' }],
    ['an event type in capitals', ['--event-types', 'Stage'], 8, 'INVALID', {}],
  ]
  test.each(refusals)('%s', async (_what, args, exit, code, ctx) => {
    await record(1)
    const { code: exitCode, last } = await ask('subscribe', ...args)
    expect(last).toMatchObject({ ok: false, err: { code, ctx } })
    expect(exitCode).toBe(exit)
  })

  test('the fix of a cursor from the future works, in a pipe too', async () => {
    await record(1)
    const pipe = open()
    pipe.send({ cmd: 'subscribe', rid: 's', from: 999_999_999, kinds: ['event'], until: 'idle:1ms' })
    await expect.poll(() => pipe.lines.length).toBe(1)
    const [refused] = pipe.lines
    expect(refused?.ok).toBe(false)
    pipe.process.send(`${refused?.ok === false ? refused.fix : ''}\n`)
    await pipe.line(({ kind }) => kind === 'end')
    expect(pipe.kind('event')).toHaveLength(1)
  })

  test('an ack that goes backwards, beyond the end, or of a cursor that is not there', async () => {
    const [first, second] = await record(2)
    await ask('subscribe', '--cursor', 'one', '--until', 'idle:1ms')
    const ack = (at: number, cursor = 'one') => ask('ack-cursor', '--cursor', cursor, '--at', String(at))
    expect((await ack(Number(second))).last).toMatchObject({ ok: true, d: { acked: second } })
    expect((await ack(Number(second))).last).toMatchObject({ ok: true, d: { acked: second } })
    const back = await ack(Number(first))
    expect(back.last).toMatchObject({ ok: false, err: { code: 'CONFLICT', ctx: { acked: second } } })
    expect((await ack(999_999_999)).last).toMatchObject({ ok: false, err: { code: 'CONFLICT' } })
    expect((await ack(Number(second), 'two')).last).toMatchObject({ ok: false, err: { code: 'NOTFOUND' } })
  })

  test('a type that nobody records is silent, and the start names what was probably meant', async () => {
    await record(1)
    const args = ['--event-types', 'stage_complete', '--event-types', 'step', '--from', 'beginning']
    const stream = open('subscribe', ...args, '--until', 'idle:1ms')
    expect(await stream.line(isStart)).toMatchObject({
      unknown: [{ field: 'event_types', got: 'stage_complete', nearest: 'stage_completed' }],
    })
    expect(await stream.end()).toBe(0)
    expect(stream.kind('event')).toHaveLength(1)
  })

  test('an event that only looks like a broadcast or a message is sent as an event', async () => {
    await database.sql`insert into swarm.execution_events (event_type, entity_id, repo_id)
      select type, type, ${repo} from unnest('{broadcast_sent,message_sent}'::text[]) type`
    const stream = open('subscribe', '--from', 'beginning', '--until', 'idle:1ms')
    expect(await stream.end()).toBe(0)
    expect(stream.kind('event')).toMatchObject([
      { entity_id: 'broadcast_sent' },
      { entity_id: 'message_sent' },
    ])
  })
})
