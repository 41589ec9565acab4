import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { findPgBouncer, type Pooler, pgBouncerVersion, startPgBouncer } from '../support/pgbouncer.ts'
import { letAnyoneReview } from '../support/reviews.ts'
import { type ScratchServer, scratchServer } from '../support/scratch-server.ts'
import { openStream, type Stream } from '../support/stream.ts'
import { openPipe, runSwarm } from '../support/swarm.ts'
import { makeTemplate, withDatabase } from '../support/template.ts'
import { withAdmin } from '../torture/faults.ts'

const program = findPgBouncer()
const about = program ? `PgBouncer ${pgBouncerVersion(program)}` : 'PgBouncer: NOT RUN, it is not installed'
if (!program)
  process.stderr.write(
    'pgbouncer is not installed (Debian: apt-get install pgbouncer); its tests are NOT RUN\n',
  )

const REPO = 'pooled'

describe.skipIf(program === undefined)(`${about}, in transaction mode before everything`, () => {
  let server: ScratchServer
  let pooler: Pooler
  let url = ''
  let direct = ''
  const streams: Stream[] = []

  beforeAll(async () => {
    server = await scratchServer({ settings: { max_connections: '200' } })
    await makeTemplate(server.url)
    direct = withDatabase(server.url, 'swarm_test_template')
    pooler = await startPgBouncer(program ?? '', server.port)
    url = withDatabase(`postgres://postgres@127.0.0.1:${pooler.port}/x`, 'swarm_test_template')
  })

  afterEach(async () => {
    for (const { process } of streams) process.kill('SIGKILL')
    await Promise.all(streams.splice(0).map((stream) => stream.end()))
  })

  afterAll(async () => {
    await pooler?.close()
    await server?.close()
  })

  function subscribe(extra: Readonly<Record<string, string>>, ...args: string[]): Stream {
    const stream = openStream(['subscribe', ...args], { DATABASE_URL: url, SWARM_REPO: REPO, ...extra })
    streams.push(stream)
    return stream
  }

  test('agents claim, append and wait', async () => {
    const env = { DATABASE_URL: url, SWARM_REPO: REPO }
    const pipes = Array.from({ length: 4 }, () => openPipe(env))
    const [first] = pipes
    await first?.ok({ cmd: 'register', count: 4 })
    // each bead is one claim
    await withAdmin({ ...server, url: direct }, (sql) => letAnyoneReview(sql, REPO))
    const beads = Array.from({ length: 40 }, (_, n) => ({ bead_id: `b${n}`, title: `bead ${n}` }))
    await first?.ok({ cmd: 'enqueue', beads })
    const waiter = openPipe(env)
    const waited = waiter.ok({ cmd: 'wait', bead_id: 'b0', wait_ms: 60_000 })
    await Promise.all(
      pipes.map(async (pipe, at) => {
        for (;;) {
          const claim = await pipe.ok<{ bead: object | null }>({ cmd: 'claim-next', agent_id: at + 1 })
          if (!claim.bead) return
          for (let kept = true; kept; ) {
            const done = await pipe.ok<{ kept: boolean }>({
              cmd: 'complete-stage',
              agent_id: at + 1,
              outcome: 'passed',
            })
            kept = done.kept
          }
          const appends = Array.from({ length: 10 }, (_, n) => ({
            cmd: 'record-event',
            event_type: 'note',
            entity_id: `n${n}`,
          }))
          await Promise.all(appends.map((append) => pipe.ok(append)))
        }
      }),
    )
    expect(await waited).toMatchObject({ bead_id: 'b0', reached: true })
    expect(await Promise.all([...pipes, waiter].map((pipe) => pipe.close()))).toEqual([0, 0, 0, 0, 0])
    const [row] = await withAdmin({ ...server, url: direct }, (sql) => {
      return sql<{ invariants: object; notes: number }[]>`select swarm.invariants(${REPO}) as invariants,
        (select count(*)::int from swarm.execution_events where event_type = 'note') as notes`
    })
    expect(row).toMatchObject({
      invariants: { completed: 40, lost: 0, doubled: 0, miscounted: 0 },
      notes: 400,
    })
  }, 60_000)

  test('subscribe listens on SWARM_LISTEN_URL', async () => {
    const stream = subscribe({ SWARM_LISTEN_URL: direct }, '--from', 'now')
    await stream.line(({ kind }) => kind === 'start')
    await listening(direct, 1)
    const env = { DATABASE_URL: url, SWARM_REPO: REPO }
    for (const entity of ['a', 'b', 'c']) {
      await runSwarm(['record-event', '--event-type', 'step', '--entity-id', entity], { env })
      const told = performance.now()
      await stream.line((d) => d.entity_id === entity)
      expect(performance.now() - told).toBeLessThan(500)
    }
    expect(stream.process.stderr).toBe('')
  })

  test('without it subscribe polls, and says so once', async () => {
    const stream = subscribe({}, '--from', 'now')
    await stream.line(({ kind }) => kind === 'start')
    const env = { DATABASE_URL: url, SWARM_REPO: REPO }
    for (const entity of ['d', 'e', 'f']) {
      await runSwarm(['record-event', '--event-type', 'step', '--entity-id', entity], { env })
      await stream.line((d) => d.entity_id === entity, 3_000)
    }
    await expect.poll(() => stream.process.stderr, { timeout: 15_000 }).toContain('SWARM_LISTEN_URL')
    for (const entity of ['g', 'h']) {
      await runSwarm(['record-event', '--event-type', 'step', '--entity-id', entity], { env })
      await stream.line((d) => d.entity_id === entity, 3_000)
    }
    const said = stream.process.stderr.trim().split('\n')
    expect(said).toHaveLength(1)
    expect(JSON.parse(said[0] ?? '')).toMatchObject({ level: 40 })
  })

  test('nothing is missed or repeated while sessions behind it are killed', async () => {
    const stream = subscribe({ SWARM_LISTEN_URL: direct }, '--from', 'now', '--event-types', 'kill')
    await stream.line(({ kind }) => kind === 'start')
    const pipe = openPipe({ DATABASE_URL: url, SWARM_REPO: REPO })
    const sent: number[] = []
    for (let n = 0; n < 100; n += 1) {
      sent.push(
        (await pipe.ok<{ sequence: number }>({ cmd: 'record-event', event_type: 'kill', entity_id: `k${n}` }))
          .sequence,
      )
      if (n % 10 === 5) {
        await withAdmin({ ...server, url: direct }, async (sql) => {
          await sql`select pg_terminate_backend(pid) from pg_stat_activity
            where backend_type = 'client backend' and pid <> pg_backend_pid() and application_name not like 'swarm listen%'`
        })
      }
    }
    await stream.line((d) => d.entity_id === 'k99')
    expect(stream.kind('event').map(({ sequence }) => sequence)).toEqual(sent)
    expect(await pipe.close()).toBe(0)
  }, 60_000)

  /** Resolves when this many sessions of swarm listen. */
  async function listening(at: string, count: number): Promise<void> {
    await expect
      .poll(() =>
        withAdmin({ ...server, url: at }, async (sql) => {
          const [row] = await sql<{ n: number }[]>`
            select count(*)::int as n from pg_stat_activity where application_name like 'swarm listen%'`
          return row?.n ?? 0
        }),
      )
      .toBe(count)
  }
})
