import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/contract/json.ts'
import { parseUrl } from '../../src/db/url.ts'
import { testDatabase } from '../support/database.ts'
import { listOf, openAt, type Place, scratch } from './setup-support.ts'

const { url, sql } = await testDatabase()
const session = (repo: string): Place => openAt(tmpdir(), { DATABASE_URL: url, SWARM_REPO: repo })

const enqueue = (...ids: readonly string[]) => ({
  cmd: 'enqueue',
  beads: ids.map((bead_id) => ({ bead_id, title: bead_id })),
})

async function beadsOf(repo: string): Promise<string[]> {
  const rows = await sql`select bead_id from swarm.bead_backlog where repo_id = ${repo} order by bead_id`
  return rows.map((row) => row.bead_id)
}

describe('an atomic batch', () => {
  it('does all, each part seeing those before it', async () => {
    const place = session('all')
    const d = await place.ask({
      cmd: 'batch',
      ops: [
        { cmd: 'register', count: 2 },
        enqueue('a', 'b'),
        { cmd: 'claim-next', agent_id: 1 },
        { cmd: 'send', agent_id: 1, to: 2, body: 'mine' },
        { cmd: 'inbox', agent_id: 2 },
        { cmd: 'status' },
      ],
    })
    expect(d.failed).toBe(0)
    const [, , claim, , inbox, status] = listOf(d, 'results').map((result) => result.d)
    expect(claim).toMatchObject({ bead: { bead_id: 'a' }, fence: 1 })
    expect(inbox).toMatchObject({ messages: [{ body: 'mine' }] })
    expect(status).toMatchObject({ claims: 1, ready: 1 })
    // the claim is this process's own: it fills in its fence, and another process's claim makes that old
    await session('all').ask({ cmd: 'claim-next', agent_id: 1 })
    const late = await place.refused({ cmd: 'complete-stage', agent_id: 1, outcome: 'passed' })
    expect(late).toMatchObject({ code: 'CONFLICT', ctx: { fence: 1, current_fence: 2 } })
  })

  it('does nothing when one part fails, and says which', async () => {
    const place = session('none')
    await place.ask({ cmd: 'register', count: 1 })
    const ops = [enqueue('a'), { cmd: 'claim-next', agent_id: 1 }, { cmd: 'release', agent_id: 7 }]
    const refusal = await place.refused({ cmd: 'batch', ops })
    expect(refusal).toMatchObject({
      code: 'NOTFOUND',
      ctx: { op: 2, got: 7 },
      fix: { cmd: 'register', count: 7 },
    })
    expect(refusal.msg).toMatch(/^op 2 \(release\): /)
    expect(await beadsOf('none')).toEqual([])
    const [row] =
      await sql`select count(*)::int as n from swarm.execution_events where repo_id = 'none' and event_type <> 'agent_registered'`
    expect(row?.n).toBe(0)
    // the claim that was undone is forgotten: it would name a bead that does not exist
    const nothing = await place.refused({ cmd: 'complete-stage', agent_id: 1, outcome: 'passed' })
    expect(nothing.msg).toContain('holds no bead')
  })

  it.each<[string, JsonObject, JsonObject]>([
    [
      'a field',
      { cmd: 'enqueue', beads: [{ bead_id: 'b', titel: 'b' }] },
      { kind: 'UnknownField', field: 'beads[0].titel' },
    ],
    [
      'a verb',
      { cmd: 'enqeue', beads: [{ bead_id: 'b', title: 'b' }] },
      { field: 'cmd', nearest: 'enqueue' },
    ],
  ])('is corrected as a whole when %s is misspelt', async (name, wrong, ctx) => {
    const repo = `misspelt ${name}`.replaceAll(' ', '-')
    const place = session(repo)
    const refusal = await place.refused({ cmd: 'batch', ops: [enqueue('a'), wrong, enqueue('c')] })
    expect(refusal).toMatchObject({ code: 'INVALID', ctx: { ...ctx, op: 1 } })
    expect(await beadsOf(repo)).toEqual([])
    expect(await place.ask(refusal.fix ?? {})).toMatchObject({ failed: 0 })
    expect(await beadsOf(repo)).toEqual(['a', 'b', 'c'])
  })

  it('sent again under its key, it is answered again and done once', async () => {
    const place = session('again')
    await place.ask({ cmd: 'register', count: 1 })
    const ops = [
      enqueue('a'),
      { cmd: 'enqueue', beads: [{ title: 'made' }] },
      { cmd: 'send', agent_id: 1, to: 1, body: 'x' },
    ]
    const request = { cmd: 'batch', idem: 'k', ops }
    const first = await place.send(request)
    const second = await session('again').send(request)
    expect(second).toMatchObject({ ok: true, replayed: true })
    expect(second.ok && first.ok && second.d).toEqual(first.ok && first.d)
    expect(await beadsOf('again')).toHaveLength(2)
    const other = await place.refused({ ...request, ops: [enqueue('b'), ...ops.slice(1)] })
    expect(other).toMatchObject({ code: 'CONFLICT', ctx: { field: 'idem' } })
  })

  it.each<[string, (ops: readonly JsonObject[]) => readonly JsonObject[]]>([
    ['more', (ops) => [...ops, enqueue('c')]],
    ['fewer', (ops) => ops.slice(0, 1)],
    ['the same in another order', (ops) => [...ops].reverse()],
  ])('is itself only: %s under its key are a conflict', async (name, change) => {
    const repo = `other-${name.replaceAll(' ', '-')}`
    const place = session(repo)
    for (const atomic of [true, false]) {
      const request = { cmd: 'batch', idem: `k-${atomic}`, atomic, ops: [enqueue('a'), enqueue('b')] }
      await place.ask(request)
      const other = await place.refused({ ...request, ops: change(request.ops) })
      expect(other).toMatchObject({ code: 'CONFLICT', ctx: { field: 'idem' } })
      expect(await place.send(request)).toMatchObject({ ok: true })
    }
    expect(await beadsOf(repo)).toEqual(['a', 'b'])
  })

  it('sent again, it answers its whole first reply, what was read included', async () => {
    const place = session('whole')
    const request = { cmd: 'batch', idem: 'k', ops: [enqueue('a'), { cmd: 'beads' }] }
    const first = await place.ask(request)
    await place.ask(enqueue('b'))
    expect(await place.ask(request)).toEqual(first)
  })

  it('in which nothing happened, it keeps no key', async () => {
    const place = session('nothing')
    await place.ask({ cmd: 'register', count: 1 })
    const request = { cmd: 'batch', idem: 'k', ops: [{ cmd: 'claim-next', agent_id: 1 }] }
    expect(await place.ask(request)).toMatchObject({ results: [{ d: { bead: null } }] })
    await place.ask(enqueue('a'))
    expect(await place.ask(request)).toMatchObject({ results: [{ d: { bead: { bead_id: 'a' } } }] })
  })

  it('is done once also when its connection dies under way', async () => {
    const place = session('killed')
    await place.ask(enqueue('held'))
    const lock = await sql.reserve()
    await lock`begin`
    await lock`select 1 from swarm.bead_backlog where repo_id = 'killed' and bead_id = 'held' for update`
    const sent = place.send({
      cmd: 'batch',
      ops: [
        { cmd: 'enqueue', beads: [{ title: 'made' }] },
        { cmd: 'update', bead_id: 'held', title: 'new' },
      ],
    })
    const kill = async () => {
      const rows = await sql`select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock' and query like '%swarm.run%'`
      return rows.length
    }
    for (let killed = 0; killed === 0; ) killed = await kill()
    await lock`rollback`
    lock.release()
    expect(await sent).toMatchObject({ ok: true, d: { failed: 0 } })
    expect(await beadsOf('killed')).toHaveLength(2)
  })

  it('is done once also when the answer to its COMMIT is lost', async () => {
    const proxy = await proxyOf(url)
    const place = openAt(tmpdir(), { DATABASE_URL: proxy.url, SWARM_REPO: 'lost' })
    await place.ask({ cmd: 'register', count: 1 })
    proxy.loseNextCommit()
    const made = { cmd: 'enqueue', beads: [{ title: 'made' }] }
    const sent = await place.send({ cmd: 'batch', ops: [made, { cmd: 'claim-next', agent_id: 1 }] })
    expect(proxy.lost).toBe(1)
    expect(sent).toMatchObject({ ok: true, replayed: true, d: { failed: 0 } })
    expect(await beadsOf('lost')).toHaveLength(1)
    expect(await place.ask({ cmd: 'complete-stage', agent_id: 1, outcome: 'passed' })).toMatchObject({
      kept: true,
    })
    await proxy.close()
  })
})

describe('a batch that is not atomic', () => {
  it('lets each part stand alone', async () => {
    const place = session('apart')
    const d = await place.ask({
      cmd: 'batch',
      atomic: false,
      ops: [
        enqueue('a'),
        { cmd: 'show', bead_id: 'nowhere' },
        { cmd: 'claim-next', agent_id: 3 },
        enqueue('b'),
      ],
    })
    expect(d.failed).toBe(2)
    const results = listOf(d, 'results')
    expect(results.map(({ ok }) => ok)).toEqual([true, false, false, true])
    expect(results[2]).toMatchObject({ err: { code: 'NOTFOUND' }, fix: '{"cmd":"register","count":3}' })
    expect(await beadsOf('apart')).toEqual(['a', 'b'])
  })

  it('sent again, it does the rest', async () => {
    const place = session('rest')
    const request = {
      cmd: 'batch',
      idem: 'k',
      atomic: false,
      ops: [enqueue('a'), { cmd: 'claim-next', agent_id: 1 }],
    }
    expect(await place.ask(request)).toMatchObject({ failed: 1 })
    await place.ask({ cmd: 'register', count: 1 })
    const d = await place.ask(request)
    expect(d).toMatchObject({ failed: 0, results: [{ d: { added: 1 } }, { d: { bead: { bead_id: 'a' } } }] })
  })
})

describe('what cannot be part of a batch', () => {
  it.each<[string, JsonObject, JsonObject, JsonObject]>([
    ['a batch', { cmd: 'batch', ops: [{ cmd: 'ready' }] }, { field: 'ops[1].cmd' }, { cmd: 'ready' }],
    [
      'a wait',
      { cmd: 'inbox', agent_id: 1, wait_ms: 10 },
      { field: 'ops[1].wait_ms' },
      { cmd: 'inbox', agent_id: 1 },
    ],
    [
      'another database',
      { cmd: 'ready', database_url: 'postgres://x/y' },
      { field: 'ops[1].database_url' },
      { cmd: 'ready' },
    ],
  ])('%s; the fix is the batch without it', async (_name, op, ctx, instead) => {
    const place = session('parts')
    await place.ask({ cmd: 'register', count: 1 })
    const refusal = await place.refused({ cmd: 'batch', ops: [{ cmd: 'status' }, op] })
    expect(refusal).toMatchObject({ code: 'INVALID', ctx: { ...ctx, op: 1 } })
    expect(refusal.fix).toEqual({ cmd: 'batch', ops: [{ cmd: 'status' }, instead] })
    expect(await place.ask(refusal.fix ?? {})).toMatchObject({ failed: 0 })
  })

  it.each<[JsonObject, JsonObject | undefined]>([
    [{ cmd: 'work', agent_id: 1, command: ['true'] }, undefined],
    [{ cmd: 'run-once', agent_id: 1, command: ['true'] }, undefined],
    [
      { cmd: 'monitor', view: 'active', watch_ms: 50 },
      { cmd: 'monitor', view: 'active' },
    ],
  ])('whatever waits or runs commands: %j', async (op, instead) => {
    const refusal = await session('parts').refused({ cmd: 'batch', ops: [{ cmd: 'status' }, op] })
    expect(refusal).toMatchObject({ code: 'INVALID', ctx: { op: 1 } })
    expect(refusal.fix).toEqual({ cmd: 'batch', ops: [{ cmd: 'status' }, ...(instead ? [instead] : [])] })
  })

  it('another database, whose password is not repeated', async () => {
    const op = { cmd: 'ready', database_url: 'postgres://me:hunter2@x/y' }
    const nested = { cmd: 'batch', ops: [op] }
    for (const ops of [[op], [nested], [nested, op]]) {
      const envelope = await session('parts').send({ cmd: 'batch', ops })
      expect(envelope).toMatchObject({ ok: false, err: { code: 'INVALID' } })
      expect(JSON.stringify(envelope)).not.toContain('hunter2')
    }
  })

  it.each(['init', 'bootstrap', 'db', 'init-db', 'init-local-db', 'import', 'export', 'doctor'])(
    '%s',
    async (cmd) => {
      const refusal = await session('parts').refused({
        cmd: 'batch',
        ops: [enqueue('never'), { cmd }, { cmd: 'status' }],
      })
      expect(refusal).toMatchObject({ code: 'INVALID', ctx: { op: 1 } })
      expect(refusal.fix).toEqual({ cmd: 'batch', ops: [enqueue('never'), { cmd: 'status' }] })
      expect(await beadsOf('parts')).toEqual([])
    },
  )

  it('nothing at all, too much, and what is no request', async () => {
    const place = session('parts')
    expect(await place.refused({ cmd: 'batch', ops: [] })).toMatchObject({
      code: 'INVALID',
      ctx: { field: 'ops' },
    })
    const many = Array.from({ length: 101 }, () => ({ cmd: 'status' }))
    expect(await place.refused({ cmd: 'batch', ops: many })).toMatchObject({
      code: 'INVALID',
      ctx: { field: 'ops' },
    })
    expect(await place.refused({ cmd: 'batch', ops: ['status'] })).toMatchObject({ code: 'INVALID' })
    expect(await place.refused({ cmd: 'batch', ops: [{}] })).toMatchObject({
      ctx: { kind: 'MissingField', field: 'cmd', op: 0 },
    })
    const named = await place.refused({ cmd: 'batch', cmds: [{ cmd: 'status' }] })
    expect(named.fix).toEqual({ cmd: 'batch', ops: [{ cmd: 'status' }] })
  })
})

it('a dry batch says what its parts would do, and does nothing', async () => {
  const place = session('dry')
  const d = await place.ask({ cmd: 'batch', dry: true, ops: [enqueue('a'), { cmd: 'status' }, enqueue('b')] })
  expect(d).toEqual({ dry: true, would_do: ['add bead a: a', 'add bead b: b'] })
  expect(await beadsOf('dry')).toEqual([])
})

interface CommitProxy {
  readonly url: string
  readonly lost: number
  /** Cuts the connection once the server has answered the next COMMIT, before the client hears of it. */
  loseNextCommit(): void
  close(): Promise<void>
}

/** The same database behind a socket of the test's own. */
async function proxyOf(target: string): Promise<CommitProxy> {
  const { user, password, database, hosts } = parseUrl(target)
  const [{ host, port } = { host: 'localhost', port: 5432 }] = hosts
  const dir = scratch()
  let armed = false
  let lost = 0
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = host.startsWith('/') ? connect(`${host}/.s.PGSQL.${port}`) : connect(port, host)
    let committing = false
    client.on('data', (data) => {
      if (armed && /commit/i.test(data.toString('latin1'))) {
        armed = false
        committing = true
      }
      upstream.write(data)
    })
    upstream.on('data', (data) => {
      if (!committing) return void client.write(data)
      lost += 1
      client.destroy()
      upstream.end()
    })
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(one)
      one.on('error', () => {})
      one.on('close', () => other.destroy())
    }
  })
  await new Promise<void>((resolve) => server.listen(join(dir, '.s.PGSQL.5432'), resolve))
  const login = `${encodeURIComponent(user)}${password ? `:${encodeURIComponent(password)}` : ''}`
  return {
    url: `postgres://${login}@${encodeURIComponent(dir)}:5432/${database}?sslmode=disable`,
    get lost() {
      return lost
    },
    loseNextCommit() {
      armed = true
    },
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}
