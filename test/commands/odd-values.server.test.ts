import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseConfig } from '../../src/root/config.ts'
import { testDatabase } from '../support/database.ts'
import { openAt, scratch } from './setup-support.ts'

const { url } = await testDatabase()

test.each(['abc\\', '100%', '_'.repeat(5), '\\\\%'])(
  'a bead %j that is not there is not found, whatever its letters mean to a pattern',
  async (bead_id) => {
    const place = openAt(scratch(), { DATABASE_URL: url, SWARM_REPO: 'odd' })
    await place.ask({ cmd: 'enqueue', beads: [{ bead_id: 'abcdef', title: 'x' }] })
    const { code, ctx } = await place.refused({ cmd: 'show', bead_id })
    expect(code).toBe('NOTFOUND')
    expect(ctx.nearest).toBe(undefined)
  },
)

test('a part of an id finds the bead that is meant', async () => {
  const place = openAt(scratch(), { DATABASE_URL: url, SWARM_REPO: 'parts' })
  await place.ask({ cmd: 'enqueue', beads: [{ bead_id: 'abcdef', title: 'x' }] })
  for (const bead_id of ['abcd', 'cdef', 'abcdef-2'])
    expect(await place.refused({ cmd: 'show', bead_id })).toMatchObject({ ctx: { nearest: 'abcdef' } })
})

test.each(['0000-01-01T00:00:00Z', '2026-01-01T00:00:00+23:59', '2026-01-01T00:00:00-16:00'])(
  'the time %s is INVALID, as Postgres cannot read it',
  async (time) => {
    const place = openAt(scratch(), { DATABASE_URL: url, SWARM_REPO: 'times' })
    const recorded = { cmd: 'record-event', event_type: 'note', entity_id: 'x', timestamp: time }
    expect(await place.refused(recorded)).toMatchObject({ code: 'INVALID', ctx: { field: 'timestamp' } })
    expect((await place.refused({ cmd: 'prune', before: time })).code).toBe('INVALID')
  },
)

test.each(['0001-01-01T00:00:00Z', '9999-12-31T23:59:59.999999Z', '0001-01-01T00:00:00+15:59'])(
  'the time %s is a time',
  async (time) => {
    const dir = scratch()
    const place = openAt(dir, { DATABASE_URL: url, SWARM_REPO: 'times' })
    await place.ask({ cmd: 'record-event', event_type: 'note', entity_id: 'x', timestamp: time })
    await place.ask({ cmd: 'prune', before: time, dry: true })
    const lines = [time, '0000-01-01T00:00:00Z'].map((created_at, n) =>
      JSON.stringify({ id: `${n}`, title: 'x', created_at }),
    )
    writeFileSync(join(dir, 'x.jsonl'), lines.join('\n'))
    expect(await place.ask({ cmd: 'import', path: 'x.jsonl' })).toMatchObject({ skipped: 0 })
  },
)

test('a workflow whose passing stages lead in a circle is refused', () => {
  const tried = (...stages: readonly (readonly [string, string?])[]) => {
    const lines = stages.map(
      ([name, on_pass]) => `{ name = "${name}"${on_pass ? `, on_pass = "${on_pass}"` : ''} }`,
    )
    return () => parseConfig(`[workflows.default]\nstages = [${lines.join(', ')}]\n`, 'config.toml')
  }
  expect(tried(['a'], ['b', 'done'], ['c', 'b'])).not.toThrow()
  expect(tried(['a', 'c'], ['b'], ['c', 'done'])).not.toThrow()
  expect(tried(['a', 'a'])).toThrow(/for ever/)
  expect(tried(['a'], ['b', 'a'])).toThrow(/for ever/)
  expect(tried(['a', 'c'], ['b', 'done'], ['c', 'a'])).toThrow(/for ever/)
})
