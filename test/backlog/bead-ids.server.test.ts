import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { JsonObject } from '../../src/contract/json.ts'
import { listOf, openAt, scratch } from '../commands/setup-support.ts'
import { testDatabase } from '../support/database.ts'

const { url, sql } = await testDatabase()
const dir = scratch()
let repos = 0

function newRepo() {
  const repo = `ids-${++repos}`
  return { repo, place: openAt(dir, { DATABASE_URL: url, SWARM_REPO: repo }) }
}

function fileOf(...lines: readonly JsonObject[]): string {
  const name = `${repos}-${lines.length}.jsonl`
  writeFileSync(join(dir, name), lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  return name
}

const beadsOf = (repo: string) =>
  sql`select bead_id, metadata, open_blockers from swarm.bead_backlog where repo_id = ${repo} order by id`

test.each(['', '-rf', '../x', 'a b', 'a\nb', 'Ä1', 'x'.repeat(201), 'a\u202eb'])(
  'a new bead cannot have the id %j',
  async (bead_id) => {
    const { place } = newRepo()
    const { code, ctx } = await place.refused({ cmd: 'enqueue', beads: [{ bead_id, title: 'x' }] })
    expect({ code, field: ctx.field }).toEqual({ code: 'INVALID', field: 'beads[0].bead_id' })
  },
)

test.each(['a', 'A.b_c:d-9', `x${'-'.repeat(199)}`])('a new bead can have the id %s', async (bead_id) => {
  const { place } = newRepo()
  await place.ask({ cmd: 'enqueue', beads: [{ bead_id, title: 'x' }] })
})

test('an imported bead with another id gets a made one, keeps its own in its metadata, and links follow', async () => {
  const { repo, place } = newRepo()
  const long = 'y'.repeat(300)
  const path = fileOf(
    { id: 'API / v2', title: 'Write the API', owner: 'ada' },
    { id: long, title: 'Long' },
    {
      id: 'docs',
      title: 'Document it',
      dependencies: [
        { depends_on_id: 'API / v2', type: 'blocks' },
        { depends_on_id: long, type: 'blocks' },
        { depends_on_id: 'später', type: 'blocks' },
      ],
    },
  )
  const d = await place.ask({ cmd: 'import', path })
  expect(d).toMatchObject({ added: 3, links: 3, skipped: 0, problems: [{ line: 3, kind: 'unresolved' }] })
  const [api, other] = listOf(d, 'renamed')
  expect(api).toEqual({ id: 'API / v2', bead_id: expect.stringMatching(/^API-v2-[0-9a-f]{12}$/) })
  expect(other?.id).toBe(long)
  expect(await beadsOf(repo)).toMatchObject([
    { bead_id: api?.bead_id, metadata: { owner: 'ada', id: 'API / v2' } },
    { bead_id: other?.bead_id, metadata: { id: long } },
    { bead_id: 'docs', open_blockers: 2 },
  ])
  // the same ids in every import: nothing is there twice, and a link finds the bead that comes later
  expect(await place.ask({ cmd: 'import', path })).toMatchObject({
    added: 0,
    unchanged: 3,
    renamed: [api, other],
  })
  await place.ask({ cmd: 'import', path: fileOf({ id: 'später', title: 'Later' }) })
  expect((await beadsOf(repo))[2]).toMatchObject({ bead_id: 'docs', open_blockers: 3 })
})

test('a bead that an earlier version imported under such an id keeps it', async () => {
  const { repo, place } = newRepo()
  await place.ask({ cmd: 'import', path: fileOf({ id: 'a', title: 'a' }) })
  await sql`update swarm.bead_backlog set bead_id = 'a b' where repo_id = ${repo}`
  const d = await place.ask({ cmd: 'import', path: fileOf({ id: 'a b', title: 'New title' }) })
  expect(d).toMatchObject({ added: 0, updated: 1 })
  expect(d).not.toHaveProperty('renamed')
})
