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
