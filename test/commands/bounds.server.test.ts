import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { JsonObject } from '../../src/contract/json.ts'
import { testDatabase } from '../support/database.ts'
import { listOf, openAt, scratch } from './setup-support.ts'

const { url } = await testDatabase()
let repos = 0

async function newPlace(cwd = tmpdir()) {
  const place = openAt(cwd, { DATABASE_URL: url, SWARM_REPO: `bounds-${++repos}` })
  await place.ask({ cmd: 'register', count: 2 })
  await place.ask({ cmd: 'enqueue', beads: [{ bead_id: 'api', title: 'Write the API' }] })
  await place.ask({ cmd: 'claim-next', agent_id: 1 })
  return place
}

/** A JSON object of so many bytes as JSON. */
const sized = (bytes: number): JsonObject => ({ x: 'ä'.repeat((bytes - 8) / 2) })

const CARRIERS: readonly (readonly [string, string, (object: JsonObject) => JsonObject])[] = [
  ['record-event', 'payload', (payload) => ({ event_type: 'note', entity_id: 'x', payload })],
  ['enqueue', 'beads[0].metadata', (metadata) => ({ beads: [{ bead_id: 'b', title: 'b', metadata }] })],
  ['update', 'metadata', (metadata) => ({ bead_id: 'api', metadata })],
  ['send', 'metadata', (metadata) => ({ agent_id: 1, to: 2, body: 'hi', metadata })],
  [
    'complete-stage',
    'artifacts[0].metadata',
    (metadata) => ({
      agent_id: 1,
      outcome: 'passed',
      artifacts: [{ artifact_type: 'invariants', content: 'x', metadata }],
    }),
  ],
]

test.each(CARRIERS)('%s takes %s up to 256 KiB as JSON and refuses more', async (cmd, field, fields) => {
  const place = await newPlace()
  const { code, msg, ctx } = await place.refused({ cmd, ...fields(sized(262_146)) })
  expect({ code, field: ctx.field }).toEqual({ code: 'INVALID', field })
  expect(msg).toMatch(/at most 262144 bytes/)
  await place.ask({ cmd, ...fields(sized(262_144)) })
})

test('a line of an import that says more than 256 KiB beyond the known fields is left out and told', async () => {
  const dir = scratch()
  const place = await newPlace(dir)
  const lines = [
    { id: 'big', title: 'big', notes: 'x'.repeat(300_000) },
    { id: 'small', title: 'small' },
  ]
  writeFileSync(join(dir, 'b.jsonl'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  expect(await place.ask({ cmd: 'import', path: 'b.jsonl' })).toMatchObject({
    added: 1,
    skipped: 1,
    problems: [{ line: 1, kind: 'wrong', msg: expect.stringContaining('262144 bytes') }],
  })
})

test('a list ends at 1 MiB, and going on from its cursor brings each row once', async () => {
  const place = await newPlace()
  const ids = Array.from({ length: 10 }, (_, n) => `long-${n}`)
  for (const bead_id of ids)
    await place.ask({ cmd: 'enqueue', beads: [{ bead_id, title: 'x', description: 'y'.repeat(250_000) }] })
  for (const [cmd, name] of [
    ['beads', 'beads'],
    ['state', 'beads'],
  ] as const) {
    const seen: unknown[] = []
    let pages = 0
    for (let after: JsonObject['after'], more: unknown = true; more; pages++) {
      const page = await place.ask({
        cmd,
        full: true,
        limit: 1_000,
        ...(after === undefined ? {} : { after }),
      })
      expect(JSON.stringify(page).length).toBeLessThan(1_300_000)
      seen.push(...listOf(page, name).map(({ bead_id }) => bead_id))
      after = page.cursor
      more = page.more
    }
    expect(seen).toEqual(['api', ...ids])
    expect(pages).toBe(3)
  }
})

test('an inbox is read in parts of about 1 MiB, and none of its messages and broadcasts is lost', async () => {
  const place = await newPlace()
  const body = 'y'.repeat(250_000)
  for (let n = 0; n < 10; n++) {
    await place.ask({ cmd: 'send', agent_id: 1, to: 2, body: `${n}${body}` })
    await place.ask({ cmd: 'broadcast', from: 'somebody', msg: `${n}${body}` })
  }
  const seen: unknown[] = []
  let reads = 0
  for (let unread: unknown = 1; unread; reads++) {
    const d = await place.ask({ cmd: 'inbox', agent_id: 2, limit: 1_000 })
    expect(JSON.stringify(d).length).toBeLessThan(2_200_000)
    seen.push(...listOf(d, 'messages').map((one) => `m${String(one.body).charAt(0)}`))
    seen.push(...listOf(d, 'broadcasts').map((one) => `b${String(one.msg).charAt(0)}`))
    unread = d.unread
  }
  expect(reads).toBe(3)
  expect(seen.toSorted()).toEqual(
    ['b', 'm'].flatMap((kind) => Array.from({ length: 10 }, (_, n) => `${kind}${n}`)),
  )
})

test('two spellings of one name are one agent, who is found by both', async () => {
  const place = await newPlace()
  const composed = 'Zo\u00eb'
  const decomposed = 'Zoe\u0308'
  const first = await place.ask({ cmd: 'register', name: decomposed })
  expect(await place.ask({ cmd: 'register', name: composed })).toEqual(first)
  const names = listOf(await place.ask({ cmd: 'agents' }), 'agents').map(({ name }) => name)
  expect(names).toContain(composed)
  await place.ask({ cmd: 'send', agent_id: 1, to: decomposed, body: 'hello' })
})
