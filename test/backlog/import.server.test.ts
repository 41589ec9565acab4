import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/contract/json.ts'
import { listOf, openAt, type Place, scratch } from '../commands/setup-support.ts'
import { testDatabase } from '../support/database.ts'
import { pick, seeded, seedOfRun } from '../support/random.ts'

const { url, sql } = await testDatabase()
const dir = scratch()
let files = 0

/** A session in the directory of the files, with a repo of its own. */
const session = (repo: string): Place => openAt(dir, { DATABASE_URL: url, SWARM_REPO: repo })

/** A file of lines; objects become JSON. */
function fileOf(...lines: readonly (JsonObject | string | Uint8Array)[]): string {
  const name = `${++files}.jsonl`
  const parts = lines.map((line) =>
    line instanceof Uint8Array
      ? Buffer.from(line)
      : Buffer.from(typeof line === 'string' ? line : JSON.stringify(line)),
  )
  writeFileSync(join(dir, name), Buffer.concat(parts.flatMap((part) => [part, Buffer.from('\n')])))
  return name
}

const linesOf = (name: string): JsonObject[] =>
  readFileSync(join(dir, name), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))

const link = (type: string, from: string, to: string) => ({ issue_id: from, depends_on_id: to, type })

async function wrongCounts(repo: string): Promise<number> {
  const [row] = await sql`select count(*)::int as n from swarm.bead_backlog
    where repo_id = ${repo} and open_blockers <> swarm.count_blockers(repo_id, bead_id)`
  return row?.n
}

async function blockersOf(repo: string): Promise<Record<string, number>> {
  const rows =
    await sql`select bead_id, open_blockers from swarm.bead_backlog where repo_id = ${repo} order by bead_id`
  return Object.fromEntries(rows.map((row) => [row.bead_id, row.open_blockers]))
}

describe('the tracker’s lines', () => {
  const full = {
    id: 'bd-1',
    title: 'Write the API',
    description: 'All of it.',
    status: 'open',
    priority: 0,
    issue_type: 'feature',
    labels: ['api', 'api', ' '],
    created_at: '2026-01-20T04:20:51.344765737Z',
    updated_at: '2026-01-21T04:20:51+02:00',
    assignee: 'ada',
    comments: [{ id: 1, text: 'mind the \u2028 line' }],
    ['__proto__']: { evil: true },
  }

  it('become beads, with all that has no field of its own in metadata', async () => {
    const place = session('fields')
    // a literal __proto__ sets the prototype; JSON carries it as a name like any other
    const text = JSON.stringify(full).replace('"assignee"', '"__proto__":{"evil":true},"assignee"')
    const d = await place.ask({
      cmd: 'import',
      path: fileOf(text, { id: 'bd-2', title: 'Bare', description: null }),
    })
    expect(d).toEqual({
      ...{ format: 'beads', lines: 2, added: 2, updated: 0, unchanged: 0, reopened: 0 },
      ...{ links: 0, skipped: 0, problems: [] },
    })
    const { bead } = await place.ask({ cmd: 'show', bead_id: 'bd-1' })
    expect(bead).toMatchObject({
      ...{ title: 'Write the API', description: 'All of it.', status: 'pending', priority: 'p0' },
      ...{ bead_type: 'feature', labels: ['api'], stage: 'contract', created_at: '2026-01-20T04:20:51.344Z' },
    })
    const { id: _, title: __, description: ___, status: ____, priority, issue_type, labels, ...rest } = full
    const [row] =
      await sql`select metadata::text as t from swarm.bead_backlog where bead_id = 'bd-1' and repo_id = 'fields'`
    expect(row?.t).toContain('"__proto__": {"evil": true}')
    expect(JSON.parse(row?.t)).toMatchObject({ ...rest })
    expect([priority, issue_type, labels]).not.toContain(undefined)
    const bare = await place.ask({ cmd: 'show', bead_id: 'bd-2' })
    expect(bare.bead).toMatchObject({ description: '', priority: 'p2', bead_type: 'task', status: 'pending' })
  })

  it('map their status, and --reopen makes finished ones pending', async () => {
    const statuses = ['open', 'in_progress', 'closed', 'blocked', 'deferred', 'pinned', 'hooked', 'tombstone']
    const path = fileOf(
      ...statuses.map((status) => ({ id: status, title: status, status, closed_at: '2026-02-01T00:00:00Z' })),
    )
    const stored = async (repo: string) => {
      const rows =
        await sql`select bead_id, status, stage, finished_at from swarm.bead_backlog where repo_id = ${repo}`
      return new Map(rows.map((row) => [row.bead_id, row]))
    }
    await session('statuses').ask({ cmd: 'import', path })
    const rows = await stored('statuses')
    expect(statuses.map((status) => rows.get(status)?.status)).toEqual([
      ...['pending', 'pending', 'completed', 'blocked', 'deferred', 'deferred', 'deferred', 'cancelled'],
    ])
    expect(rows.get('closed')).toMatchObject({ stage: 'done', finished_at: new Date('2026-02-01T00:00:00Z') })
    await session('statuses-again').ask({ cmd: 'import', path, reopen: true })
    expect((await stored('statuses-again')).get('closed')).toMatchObject({
      status: 'pending',
      stage: 'contract',
      finished_at: null,
    })
    // also one that is there already
    expect(await session('statuses').ask({ cmd: 'import', path, reopen: true })).toMatchObject({
      reopened: 1,
      unchanged: 7,
    })
    expect((await stored('statuses')).get('closed')).toMatchObject({
      status: 'pending',
      stage: 'contract',
      finished_at: null,
    })
  })

  it('bring dependencies, and a parent that waits for its children', async () => {
    const place = session('links')
    const path = fileOf(
      { id: 'epic', title: 'epic', issue_type: 'epic' },
      { id: 'a', title: 'a', dependencies: [link('parent-child', 'a', 'epic'), link('blocks', 'a', 'b')] },
      {
        id: 'b',
        title: 'b',
        dependencies: [{ depends_on_id: 'epic', type: 'PARENT_CHILD' }, link('related', 'b', 'a')],
      },
      { id: 'c', title: 'c', status: 'closed', dependencies: [link('parent_child', 'c', 'epic')] },
      { id: 'd', title: 'd', dependencies: [{ depends_on_id: 'c' }, link('discovered_from', 'd', 'gone')] },
    )
    expect(await place.ask({ cmd: 'import', path })).toMatchObject({ added: 5, links: 7, problems: [] })
    expect(await blockersOf('links')).toEqual({ a: 1, b: 0, c: 0, d: 0, epic: 2 })
    const kinds =
      await sql`select bead_id, other_id, kind from swarm.bead_links where repo_id = 'links' order by 1, 2, 3`
    expect(kinds.map((row) => `${row.bead_id} ${row.kind} ${row.other_id}`)).toEqual([
      ...['a blocks b', 'b related a', 'd blocks c', 'd discovered-from gone'],
      ...['epic parent-child a', 'epic parent-child b', 'epic parent-child c'],
    ])
    expect(await place.ask({ cmd: 'import', path })).toMatchObject({
      unchanged: 5,
      added: 0,
      updated: 0,
      links: 0,
    })
  })

  it('come again with new texts, and leave progress alone', async () => {
    const place = session('progress')
    const bead = { id: 'a', title: 'a', updated_at: '2026-01-01T00:00:00Z' }
    await place.ask({ cmd: 'import', path: fileOf(bead) })
    await place.ask({ cmd: 'register', count: 1 })
    await place.ask({ cmd: 'claim-next', agent_id: 1 })
    await place.ask({ cmd: 'complete-stage', agent_id: 1, outcome: 'passed' })
    const times = { ...bead, updated_at: '2026-03-01T00:00:00Z', created_at: '2020-01-01T00:00:00Z' }
    expect(await place.ask({ cmd: 'import', path: fileOf(times) })).toMatchObject({ unchanged: 1 })
    const changed = { ...bead, title: 'better', status: 'closed', notes: 'x' }
    expect(await place.ask({ cmd: 'import', path: fileOf(changed) })).toMatchObject({
      updated: 1,
      unchanged: 0,
    })
    const d = await place.ask({ cmd: 'show', bead_id: 'a' })
    expect(d.bead).toMatchObject({
      title: 'better',
      status: 'in_progress',
      stage: 'implement',
      metadata: { notes: 'x' },
    })
    expect(await place.ask({ cmd: 'complete-stage', agent_id: 1, outcome: 'passed' })).toMatchObject({
      stage: 'qa',
    })
  })
})

describe('bad lines', () => {
  const good = { id: 'good', title: 'good' }

  it.each<[string, JsonObject | string | Uint8Array, RegExp]>([
    ['no JSON', '{"id": "x",', /not JSON/],
    ['null', 'null', /not a JSON object/],
    ['a list', '[1]', /not a JSON object/],
    ['a number', '7', /not a JSON object/],
    ['bytes that are not UTF-8', new Uint8Array([0x22, 0xff, 0x22]), /not UTF-8/],
    ['no id', { title: 'x' }, /^id is missing/],
    ['a blank id', { id: ' ', title: 'x' }, /^id: /],
    ['an id that is no text', { id: 7, title: 'x' }, /^id: /],
    ['no title', { id: 'x' }, /^title is missing/],
    ['an unknown status', { id: 'x', title: 'x', status: 'lost' }, /^status: must be one of open/],
    ['a priority beyond 4', { id: 'x', title: 'x', priority: 5 }, /^priority: must be 0 to 4/],
    ['labels that are no list', { id: 'x', title: 'x', labels: 'a' }, /^labels: /],
    [
      'a dependency on nothing',
      { id: 'x', title: 'x', dependencies: [{ type: 'blocks' }] },
      /dependencies\[0\]\.depends_on_id is missing/,
    ],
    ['a null byte', { id: 'x', title: 'x', notes: ['a\0b'] }, /notes\[0\] holds a null byte/],
    ['a null byte in a name', { id: 'x', title: 'x', 'a\0b': 1 }, /null byte/],
    [
      'an integer that would be changed',
      '{"id":"x","title":"x","n":9007199254740993}',
      /^n is an integer beyond 2\^53/,
    ],
    ['half a character', '{"id":"x","title":"\\ud800"}', /title holds half a character/],
  ])('are reported: %s', async (name, line, reason) => {
    const place = session(`bad ${name}`.replaceAll(/\W+/g, '-'))
    const path = fileOf('', good, line, { id: 'last', title: 'last' })
    const d = await place.ask({ cmd: 'import', path, format: 'beads' })
    expect(d).toMatchObject({
      lines: 3,
      added: 2,
      skipped: 1,
      problems: [{ line: 3, msg: expect.stringMatching(reason) }],
    })
    const strict = await session(`strict ${name}`.replaceAll(/\W+/g, '-')).refused({
      cmd: 'import',
      path,
      strict: true,
      format: 'beads',
    })
    expect(strict).toMatchObject({ code: 'INVALID', ctx: { problems: [{ line: 3 }] } })
  })

  it('are also beads that stand twice, and links that close a cycle', async () => {
    const place = session('twice')
    const path = fileOf(
      good,
      { ...good, title: 'other' },
      { id: 'a', title: 'a', dependencies: [link('blocks', 'a', 'b')] },
      { id: 'b', title: 'b', dependencies: [link('blocks', 'b', 'c'), link('blocks', 'b', 'b')] },
      { id: 'c', title: 'c', dependencies: [link('blocks', 'c', 'a'), link('blocks', 'c', 'nowhere')] },
    )
    const d = await place.ask({ cmd: 'import', path })
    expect(d).toMatchObject({ added: 4, links: 3, skipped: 1 })
    expect(listOf(d, 'problems').map(({ line, kind }) => [line, kind])).toEqual([
      [2, 'duplicate'],
      [4, 'cycle'],
      [5, 'cycle'],
      [5, 'unresolved'],
    ])
    expect(await blockersOf('twice')).toEqual({ a: 1, b: 1, c: 0, good: 0 })
    const strict = session('twice-strict')
    const links = fileOf(...linesOf(path).slice(2))
    const refusal = await strict.refused({ cmd: 'import', path: links, strict: true })
    expect(refusal).toMatchObject({
      code: 'INVALID',
      ctx: { problems: [{ line: 2 }, { line: 3 }, { line: 3 }] },
    })
    expect(await strict.ask({ cmd: 'status' })).toMatchObject({ beads: {} })
  })

  it('a link to a bead that is not here counts once it is', async () => {
    const place = session('late')
    const path = fileOf(
      { id: 'a', title: 'a', dependencies: [link('blocks', 'a', 'late')] },
      { id: 'child', title: 'child', dependencies: [link('parent-child', 'child', 'parent')] },
    )
    expect(await place.ask({ cmd: 'import', path })).toMatchObject({
      links: 2,
      problems: [{ line: 1 }, { line: 2 }],
    })
    expect(await blockersOf('late')).toEqual({ a: 0, child: 0 })
    await place.ask({
      cmd: 'enqueue',
      beads: [
        { bead_id: 'late', title: 'late' },
        { bead_id: 'parent', title: 'parent' },
      ],
    })
    expect(await blockersOf('late')).toEqual({ a: 1, child: 0, late: 0, parent: 1 })
  })

  it('a file that cannot be read is INVALID, with a likely other one as fix', async () => {
    const place = openAt(scratchWith('.beads/issues.jsonl'), { DATABASE_URL: url, SWARM_REPO: 'nofile' })
    const refusal = await place.refused({ cmd: 'import', path: 'issues.json', strict: true })
    expect(refusal).toMatchObject({ code: 'INVALID', ctx: { field: 'path', got: 'issues.json' } })
    expect(refusal.fix).toEqual({ cmd: 'import', path: '.beads/issues.jsonl', strict: true })
    expect(await place.ask(refusal.fix ?? {})).toMatchObject({ added: 1 })
    expect((await place.refused({ cmd: 'import', path: '.beads' })).fix).toMatchObject({
      path: '.beads/issues.jsonl',
    })
  })
})

describe('export', () => {
  it.each(['beads', 'swarm'])('in the format %s changes nothing when it comes back', async (format) => {
    const random = seeded(seedOfRun(`export ${format}`))
    const place = session(`export-${format}`)
    const ids = Array.from({ length: 40 }, (_, n) => `b${n}`)
    await place.ask({ cmd: 'register', count: 3 })
    await place.ask({
      cmd: 'import',
      path: fileOf({ id: 'old', title: 'old', status: 'pinned', closed_at: 'x', notes: 'n' }),
    })
    await place.ask({
      cmd: 'enqueue',
      beads: ids.map((bead_id, n) => ({
        bead_id,
        title: `Bead ${n}`,
        description: n % 3 ? `text ${n}\n"quoted"` : '',
        priority: n % 5,
        bead_type: pick(['task', 'bug', 'epic'], random),
        labels: n % 2 ? ['l', `l${n}`] : [],
        metadata: pick<JsonObject>(
          [{}, { n }, { id: 'clash', status: 'mine' }, { created_at: 'then', status: 'pinned' }],
          random,
        ),
        ...(n > 0 && random() < 0.5 ? { depends_on: [`b${Math.floor(random() * n)}`] } : {}),
      })),
    })
    for (const id of ids) {
      const roll = random()
      if (roll < 0.1) await place.ask({ cmd: 'cancel', bead_id: id })
      else if (roll < 0.4)
        await place.ask({
          cmd: 'update',
          bead_id: id,
          status: pick(['blocked', 'deferred', 'failed'], random),
        })
    }
    for (let n = 0; n < 8; n++) {
      const { bead } = await place.ask({ cmd: 'claim-next', agent_id: 1 })
      if (!bead) break
      for (let stage = 0; stage < 4; stage++)
        await place.ask({ cmd: 'complete-stage', agent_id: 1, outcome: 'passed' })
    }
    await place.ask({ cmd: 'claim-next', agent_id: 2 })

    const path = `export-${format}.jsonl`
    expect(await place.ask({ cmd: 'export', path, format })).toMatchObject({
      beads: 41,
      path: join(dir, path),
    })
    const before =
      await sql`select * from swarm.bead_backlog where repo_id = ${`export-${format}`} order by id`
    expect(await place.ask({ cmd: 'import', path })).toMatchObject({
      format,
      unchanged: 41,
      links: 0,
      problems: [],
    })
    const after =
      await sql`select * from swarm.bead_backlog where repo_id = ${`export-${format}`} order by id`
    expect([...after]).toEqual([...before])

    // and somewhere else it makes the same backlog, but for what is under way
    const other = session(`copy-${format}`)
    await other.ask({ cmd: 'import', path })
    await other.ask({ cmd: 'export', path: `copy-${format}.jsonl`, format })
    const comparable = (line: JsonObject) => ({
      ...line,
      status: ['in_progress', 'open', 'pending'].includes(String(line.status)) ? 'open' : line.status,
    })
    expect(linesOf(`copy-${format}.jsonl`).map(comparable)).toEqual(linesOf(path).map(comparable))
    expect(await wrongCounts(`copy-${format}`)).toBe(0)
  })

  it('writes the tracker’s fields back as they came', async () => {
    const place = session('faithful')
    const lines = [
      {
        ...{
          id: 'a',
          title: 'a',
          description: 'x',
          status: 'closed',
          priority: 3,
          issue_type: 'bug',
          labels: ['l'],
        },
        ...{ created_at: '2026-01-20T04:20:51.344765737Z', updated_at: '2026-01-20T22:03:51.146956183Z' },
        ...{ closed_at: '2026-01-20T22:03:51.146912761Z', close_reason: 'done', original_size: 0 },
        dependencies: [link('blocks', 'a', 'b'), link('parent-child', 'a', 'c')],
      },
      {
        id: 'b',
        title: 'b',
        status: 'hooked',
        priority: 0,
        issue_type: 'task',
        created_at: '2026-01-20T04:20:51Z',
        updated_at: '2026-01-20T04:20:52Z',
      },
      {
        id: 'c',
        title: 'c',
        status: 'tombstone',
        priority: 4,
        issue_type: 'epic',
        created_at: '2026-01-20T04:20:51Z',
        updated_at: '2026-01-20T04:20:52Z',
        deleted_at: '2026-01-20T04:20:53Z',
      },
    ]
    await place.ask({ cmd: 'import', path: fileOf(...lines) })
    const d = await place.ask({ cmd: 'export' })
    expect(d.rows).toEqual(lines)
    // the agents' work shows
    await place.ask({ cmd: 'reopen', bead_id: 'a' })
    const [reopened] = listOf(await place.ask({ cmd: 'export' }), 'rows')
    expect(reopened).toMatchObject({ status: 'open', close_reason: 'done' })
    expect(reopened).not.toHaveProperty('closed_at')
    expect(reopened?.updated_at).not.toBe(lines[0]?.updated_at)
  })

  it('pages, and does not write over a file unless told to', async () => {
    const place = session('pages')
    await place.ask({
      cmd: 'enqueue',
      beads: Array.from({ length: 7 }, (_, n) => ({ bead_id: `b${n}`, title: 'x' })),
    })
    const seen: unknown[] = []
    let after: unknown = 0
    for (let page = 0; page < 10 && after !== undefined; page++) {
      const d = await place.ask({ cmd: 'export', limit: 3, after: Number(after) })
      seen.push(...listOf(d, 'rows').map((row) => row.id))
      expect(d.more).toBe(d.cursor !== undefined)
      after = d.cursor
    }
    expect(seen).toEqual(['b0', 'b1', 'b2', 'b3', 'b4', 'b5', 'b6'])
    const path = fileOf('mine')
    const refusal = await place.refused({ cmd: 'export', path })
    // to write over it is for the sender to ask for: a fix destroys nothing
    expect(refusal).toMatchObject({ code: 'EXISTS' })
    expect(refusal.fix ?? {}).not.toHaveProperty('force')
    expect(readFileSync(join(dir, path), 'utf8')).toBe('mine\n')
    await place.ask({ cmd: 'export', path, force: true })
    expect(linesOf(path)).toHaveLength(7)
    const nowhere = await place.refused({ cmd: 'export', path: 'no/such/dir/x.jsonl' })
    expect(nowhere).toMatchObject({ code: 'INVALID', ctx: { field: 'path' } })
    expect(existsSync(join(dir, 'no'))).toBe(false)
  })

  it('writes through no link: not at the file, and not at a name beside it that can be foreseen', async () => {
    const place = session('export-links')
    await place.ask({ cmd: 'enqueue', beads: [{ bead_id: 'a', title: 'A' }] })
    const victim = fileOf('mine')
    for (const link of ['backlog.jsonl', `other.jsonl.${process.pid}.part`]) {
      symlinkSync(join(dir, victim), join(dir, link))
    }
    expect(await place.refused({ cmd: 'export', path: 'backlog.jsonl' })).toMatchObject({ code: 'EXISTS' })
    await place.ask({ cmd: 'export', path: 'backlog.jsonl', force: true })
    await place.ask({ cmd: 'export', path: 'other.jsonl' })
    expect(readFileSync(join(dir, victim), 'utf8')).toBe('mine\n')
    expect([linesOf('backlog.jsonl').length, linesOf('other.jsonl').length]).toEqual([1, 1])
  })
})

describe('large imports', () => {
  it('take 10,000 beads with 20,000 links in one go, and again without a change', async () => {
    const random = seeded(7)
    const lines = Array.from({ length: 10_000 }, (_, n) => ({
      ...{
        id: `b${n}`,
        title: `Bead ${n}`,
        description: 'x'.repeat(1_000),
        status: n % 3 ? 'open' : 'closed',
      },
      dependencies: n === 0 ? [] : [0, 1].map(() => link('blocks', `b${n}`, `b${Math.floor(random() * n)}`)),
    }))
    const path = fileOf(...lines)
    const place = session('large')
    const started = performance.now()
    expect(await place.ask({ cmd: 'import', path })).toMatchObject({ added: 10_000, problems: [] })
    expect(performance.now() - started).toBeLessThan(25_000)
    expect(await place.ask({ cmd: 'import', path })).toMatchObject({ added: 0, unchanged: 10_000, links: 0 })
    expect(await wrongCounts('large')).toBe(0)
  }, 90_000)

  it('of one backlog at the same moment add it once', async () => {
    const path = fileOf(
      ...Array.from({ length: 200 }, (_, n) => ({
        id: `b${n}`,
        title: 'x',
        dependencies: n ? [link('blocks', `b${n}`, `b${n - 1}`)] : [],
      })),
    )
    const all = await Promise.all(
      Array.from({ length: 4 }, () => session('together').ask({ cmd: 'import', path })),
    )
    expect(all.map((d) => d.added).sort()).toEqual([0, 0, 0, 200])
    expect(await wrongCounts('together')).toBe(0)
  })

  it('leave every count right while others claim, complete, cancel and reopen', async () => {
    const random = seeded(seedOfRun('import among others'))
    const some = (most: number) => Math.floor(random() * most)
    const operator = session('among')
    await operator.ask({ cmd: 'register', count: 3 })
    let imported = 0
    let over = false
    const importing = async () => {
      for (; imported < 12; imported++) {
        const first = imported * 8
        const lines = Array.from({ length: 8 }, (_, n) => ({
          id: `b${first + n}`,
          title: 'x',
          status: random() < 0.2 ? 'closed' : 'open',
          // mostly on what is there, also on what is still to come
          dependencies: [1, 2].map(() =>
            link(pick(['blocks', 'parent-child'], random), `b${first + n}`, `b${some(first + 12)}`),
          ),
        }))
        await session('among').ask({ cmd: 'import', path: fileOf(...lines), reopen: random() < 0.3 })
      }
      over = true
    }
    const working = async (agent_id: number) => {
      const place = session('among')
      while (!over) {
        const { bead } = await place.ask({ cmd: 'claim-next', agent_id })
        for (let stage = 0; bead && stage < 4; stage++) {
          await place.send({ cmd: 'complete-stage', agent_id, outcome: 'passed' })
        }
      }
    }
    const steering = async () => {
      while (!over) {
        await operator.send({ cmd: pick(['cancel', 'reopen'], random), bead_id: `b${some(100)}` })
      }
    }
    await Promise.all([importing(), working(1), working(2), working(3), steering()])
    expect(await wrongCounts('among')).toBe(0)
    const [row] = await sql`select count(*)::int as n from swarm.bead_backlog where repo_id = 'among'`
    expect(row?.n).toBe(96)
  })

  it('find a cycle through thousands', async () => {
    const path = fileOf(
      ...Array.from({ length: 3_000 }, (_, n) => ({
        id: `b${n}`,
        title: 'x',
        dependencies: [link('blocks', `b${n}`, `b${(n + 1) % 3_000}`)],
      })),
    )
    const d = await session('ring').ask({ cmd: 'import', path })
    expect(d).toMatchObject({ added: 3_000, links: 2_999, problems: [{ line: 3_000, kind: 'cycle' }] })
  })
})

function scratchWith(name: string): string {
  const place = scratch()
  mkdirSync(join(place, '.beads'))
  writeFileSync(join(place, name), '{"id":"a","title":"a"}\n')
  return place
}
