import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import postgres from 'postgres'
import { median, quantile, type Row, type Section } from './measure.ts'
import type { BenchServer } from './server.ts'
import { BIN, openSession } from './swarm.ts'

interface Line {
  readonly at: number
  readonly d: Readonly<Record<string, unknown>>
}

/** A `swarm subscribe` process; `onLine` hears each envelope's `d` with the time it came. */
function subscribe(server: BenchServer, args: readonly string[], onLine: (line: Line) => void) {
  const { PATH, HOME } = process.env
  const child = spawn(process.execPath, [BIN, 'subscribe', ...args], {
    env: { PATH, HOME, DATABASE_URL: server.url, SWARM_REPO: 'streams' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  createInterface({ input: child.stdout }).on('line', (text) => {
    const at = performance.now()
    onLine({ at, d: JSON.parse(text).d })
  })
  return {
    async stop() {
      child.kill('SIGTERM')
      await once(child, 'close')
    },
    ended: once(child, 'close'),
    pid: child.pid ?? 0,
  }
}

/** Insert call → subscriber's line at a rate, in ms. */
async function latencies(server: BenchServer, rate: number, count: number): Promise<number[]> {
  const sent = new Map<string, number>()
  const took: number[] = []
  let ready = () => {}
  const started = new Promise<void>((resolve) => {
    ready = resolve
  })
  let finish = () => {}
  const finished = new Promise<void>((resolve) => {
    finish = resolve
  })
  const reader = subscribe(server, ['--from', 'now', '--event-types', 'progress'], ({ at, d }) => {
    if (d.kind === 'start') ready()
    const begun = sent.get(String(d.entity_id))
    if (begun === undefined) return
    took.push(at - begun)
    if (took.length === count) finish()
  })
  await started
  const session = openSession({ DATABASE_URL: server.url, SWARM_REPO: 'streams' })
  await session.send([{ cmd: 'record-event', event_type: 'warm_up', entity_id: 'x' }])
  const begin = performance.now()
  const answers: Promise<unknown>[] = []
  for (let n = 0; n < count; n++) {
    const due = begin + (n * 1_000) / rate
    while (performance.now() < due)
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now() - 0.5)))
    const entity_id = `${rate}-${n}`
    sent.set(entity_id, performance.now())
    answers.push(session.send([{ cmd: 'record-event', event_type: 'progress', entity_id }]))
  }
  await Promise.all(answers)
  await finished
  await session.close()
  await reader.stop()
  return took
}

/** The bare driver's round trip: NOTIFY on one connection, heard on another, in ms. */
async function notifyRoundTrip(server: BenchServer, count: number): Promise<number[]> {
  const options = {
    host: server.host,
    port: server.port,
    user: server.user,
    database: server.database,
    max: 1,
  }
  const [listener, sender] = [postgres(options), postgres(options)]
  const took: number[] = []
  let heard = (_at: number) => {}
  await listener.listen('bench', () => heard(performance.now()))
  for (let n = 0; n < count; n++) {
    const begun = performance.now()
    const arrived = new Promise<number>((resolve) => {
      heard = resolve
    })
    await sender`select pg_notify('bench', 'x')`
    took.push((await arrived) - begun)
  }
  await Promise.all([listener.end(), sender.end()])
  return took
}

/**
 * What the same way costs without swarm: the bare driver inserts a row and notifies, and another connection that hears it reads
 * the row. At a rate, in ms: a machine that has been idle for 20 ms is slower than one that runs hot.
 */
async function bareLatencies(server: BenchServer, rate: number, count: number): Promise<number[]> {
  const connect = () =>
    postgres({ host: server.host, port: server.port, user: server.user, database: server.database, max: 1 })
  const [listener, sender, reader] = [connect(), connect(), connect()]
  await sender`create table bare (n bigserial primary key, v text)`
  const took: number[] = []
  let heard = () => {}
  await listener.listen('bare', () => heard())
  for (let n = 0; n < count; n++) {
    const begun = performance.now()
    const arrived = new Promise<void>((resolve) => {
      heard = resolve
    })
    await sender`insert into bare (v) values (${`n${n}`})`
    void sender`select pg_notify('bare', 'x')`.execute()
    await arrived
    await reader`select n, v from bare where n > ${n} order by n limit 100`
    took.push(performance.now() - begun)
    await new Promise((resolve) =>
      setTimeout(resolve, Math.max(0, 1_000 / rate - (performance.now() - begun))),
    )
  }
  await Promise.all([listener.end(), sender.end(), reader.end()])
  return took
}

/** (d) From an insert to the subscriber's line. */
export async function benchLatency(server: BenchServer): Promise<Section> {
  const bare = await notifyRoundTrip(server, 500)
  const same = await bareLatencies(server, 50, 500)
  const show = (times: readonly number[]) =>
    `p50 ${median(times).toFixed(2)} ms, p99 ${quantile(times, 0.99).toFixed(2)} ms`
  const rows: Row[] = [
    { what: 'bare driver, NOTIFY round trip', value: show(bare) },
    { what: 'bare driver, 50/s: insert, NOTIFY, read', value: show(same) },
  ]
  for (const [rate, count, p50, p99] of [
    [50, 500, 1.5, 10],
    [1_000, 5_000, 8, undefined],
  ] as const) {
    const took = await latencies(server, rate, count)
    const middle = median(took)
    const late = quantile(took, 0.99)
    rows.push({
      what: `${rate} writes/s, insert call → line`,
      value: show(took),
      against: 'bare driver, 50/s',
      ratio: (middle / median(same)).toFixed(1),
      goal: `p50 ≤ ${p50} ms${p99 === undefined ? '' : `, p99 ≤ ${p99} ms`}`,
      met: middle <= p50 && (p99 === undefined || late <= p99),
    })
  }
  return {
    title: '(d) From an insert to the subscriber',
    how: 'a pipe writes, a `swarm subscribe` process reads; both clocks are those of the measuring process',
    rows,
  }
}

const SETTLE_MS = 5_000
const ROUNDS = 5
const WRITES = 3_000

/** Appends per second of one pipe, one at a time, with a number of subscribers reading along. */
async function withSubscribers(server: BenchServer, subscribers: number): Promise<number> {
  const readers = await Promise.all(
    Array.from(
      { length: subscribers },
      () =>
        new Promise<ReturnType<typeof subscribe>>((resolve) => {
          const reader: ReturnType<typeof subscribe> = subscribe(
            server,
            ['--from', 'now', '--bead-id', 'nothing'],
            ({ d }) => {
              if (d.kind === 'start') resolve(reader)
            },
          )
        }),
    ),
  )
  const session = openSession({ DATABASE_URL: server.url, SWARM_REPO: 'streams' })
  const line = { cmd: 'record-event', event_type: 'progress', entity_id: 'bench' }
  // processes that have just started are slow for seconds, each of them
  const settled = performance.now() + SETTLE_MS
  while (performance.now() < settled) await session.send([line])
  const started = performance.now()
  for (let n = 0; n < WRITES; n++) await session.send([line])
  const rate = (WRITES / (performance.now() - started)) * 1_000
  await session.close()
  await Promise.all(readers.map((reader) => reader.stop()))
  return rate
}

/** (e) What subscribers cost the writers. */
export async function benchSubscribers(server: BenchServer): Promise<Section> {
  const rates = new Map<number, number[]>([
    [0, []],
    [1, []],
    [50, []],
  ])
  // in turn, since a table grows and autovacuum comes and goes
  for (let round = 0; round < ROUNDS; round++) {
    const order = [...rates]
    for (const [count, list] of [...order.slice(round % 3), ...order.slice(0, round % 3)])
      list.push(await withSubscribers(server, count))
  }
  const none = median(rates.get(0) ?? [])
  const rows = [...rates].map(([count, list]): Row => {
    const rate = median(list)
    if (count === 0) return { what: 'no subscriber', value: `${rate.toFixed(0)}/s` }
    const ratio = rate / none
    return {
      what: `${count} subscriber${count > 1 ? 's' : ''}`,
      value: `${rate.toFixed(0)}/s`,
      against: 'none',
      ratio: ratio.toFixed(2),
      goal: '≥ 0.9',
      met: ratio >= 0.9,
    }
  })
  return {
    title: '(e) Writers beside subscribers',
    how: `record-event one at a time through one pipe for 5 s, then ${WRITES.toLocaleString('en')} times, median of ${ROUNDS} rounds; each subscriber is a process`,
    rows,
  }
}

const MANY = 1_000_000
const FEW = 10_000

async function fillEvents(server: BenchServer, count: number): Promise<void> {
  await server.sql`insert into swarm.execution_events (event_type, entity_id, repo_id, payload)
    select 'progress', 'bench', 'streams', '{"n":1}' from generate_series(1, ${count})`
  await server.sql`vacuum analyze swarm.execution_events`
}

async function readMiddle(server: BenchServer, count: number): Promise<number> {
  const session = openSession({ DATABASE_URL: server.url, SWARM_REPO: 'streams' })
  const request = { cmd: 'events', after: count / 2, limit: 200 }
  await session.send([request])
  const took: number[] = []
  for (let n = 0; n < 200; n++) {
    const begun = performance.now()
    await session.send([request])
    took.push(performance.now() - begun)
  }
  await session.close()
  return median(took)
}

/** (f) Reading a long log. */
export async function benchReplay(fresh: () => Promise<BenchServer>): Promise<Section> {
  const [small, large] = [await fresh(), await fresh()]
  await fillEvents(small, FEW)
  await fillEvents(large, MANY)
  const few = await readMiddle(small, FEW)
  const many = await readMiddle(large, MANY)
  let count = 0
  let peak = 0
  const started = performance.now()
  const reader = subscribe(large, ['--from', 'beginning', '--until', String(MANY)], ({ d }) => {
    if (d.kind === 'event') count++
  })
  const { readFileSync } = await import('node:fs')
  const timer = setInterval(() => {
    try {
      const high = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${reader.pid}/status`, 'utf8'))?.[1]
      peak = Math.max(peak, Number(high ?? 0) / 1_024)
    } catch {
      // it has ended
    }
  }, 100)
  await reader.ended
  clearInterval(timer)
  const seconds = (performance.now() - started) / 1_000
  if (count !== MANY) throw new Error(`${count} of ${MANY} events came`)
  return {
    title: '(f) A long log',
    how: `events: median of 200 pages of 200 from the middle; replay: \`subscribe --from beginning\` of ${MANY.toLocaleString('en')} events, read by this process`,
    rows: [
      {
        what: `events, from the middle of ${MANY.toLocaleString('en')}`,
        value: `${many.toFixed(2)} ms`,
        against: `of ${FEW.toLocaleString('en')}: ${few.toFixed(2)} ms`,
        ratio: (many / few).toFixed(2),
        goal: 'no slower (≤ 1.1)',
        met: many / few <= 1.1,
      },
      { what: 'replay', value: `${(MANY / seconds).toFixed(0)} events/s` },
      {
        what: 'replay, peak memory',
        value: `${peak.toFixed(0)} MB`,
        goal: '≤ 150 MB',
        met: peak > 0 && peak <= 150,
      },
    ],
  }
}
