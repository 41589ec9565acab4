import { expect, test } from 'vitest'
import { openSession, rowsOf } from '../commands/look-support.ts'
import { testDatabase } from '../support/database.ts'

const database = await testDatabase()
const session = openSession(database.url, 'enqueue')

test('a bead that was found during another says so, and waits for nothing', async () => {
  await session.ask({ cmd: 'enqueue', beads: [{ bead_id: 'api', title: 'api' }] })
  await session.ask({ cmd: 'enqueue', beads: [{ bead_id: 'found', title: 'found', discovered_from: 'api' }] })
  const shown = await session.ask({ cmd: 'show', bead_id: 'found' })
  expect(shown).toMatchObject({ bead: { open_blockers: 0 } })
  expect(rowsOf(shown, 'blockers')).toMatchObject([{ bead_id: 'api', kind: 'discovered-from', open: false }])
  const refused = await session.refused({
    cmd: 'enqueue',
    beads: [{ bead_id: 'other', title: 'other', discovered_from: 'nobody' }],
  })
  expect(refused.err).toMatchObject({ code: 'NOTFOUND', ctx: { field: 'beads[0].discovered_from' } })
})

test('a bead that is there in another workflow is not passed over in silence', async () => {
  await database.sql`insert into swarm.workflows values ('enqueue', 'short')`
  await database.sql`insert into swarm.workflow_stages (repo_id, name, stage, position) values ('enqueue', 'short', 'do', 1)`
  await session.ask({ cmd: 'enqueue', beads: [{ bead_id: 'w', title: 'w' }] })
  const refused = await session.refused({
    cmd: 'enqueue',
    beads: [{ bead_id: 'w', title: 'w', workflow: 'short' }],
  })
  expect(refused.err).toMatchObject({ code: 'EXISTS', ctx: { bead_id: 'w', differs: ['workflow'] } })
  expect(refused.fix).toBe('{"cmd":"show","bead_id":"w"}')
  // the same one, said or not, is the same bead
  for (const workflow of [{}, { workflow: 'default' }])
    expect(
      await session.ask({ cmd: 'enqueue', beads: [{ bead_id: 'w', title: 'w', ...workflow }] }),
    ).toMatchObject({ added: 0 })
})

test('a thousand dependencies on a chain of 20,000 are looked at in one walk', async () => {
  await database.sql`insert into swarm.bead_backlog (repo_id, bead_id, stage, open_blockers)
    select 'chain', 'c' || n, 'contract', (n < 20000)::integer from generate_series(1, 20000) n`
  await database.sql`insert into swarm.bead_links select 'chain', 'c' || n, 'c' || n + 1, 'blocks' from generate_series(1, 19999) n`
  await database.sql`analyze swarm.bead_links, swarm.bead_backlog`
  const chain = openSession(database.url, 'chain')
  await chain.ask({ cmd: 'enqueue', beads: [{ bead_id: 'top', title: 'top' }] })
  const depends_on = Array.from({ length: 1_000 }, (_, at) => `c${at * 19 + 1}`)
  const started = performance.now()
  expect(await chain.ask({ cmd: 'update', bead_id: 'top', depends_on })).toMatchObject({
    changed: ['depends_on'],
  })
  expect(performance.now() - started).toBeLessThan(10_000)
  expect(await chain.ask({ cmd: 'show', bead_id: 'top' })).toMatchObject({ bead: { open_blockers: 1_000 } })
  const refused = await chain.refused({ cmd: 'update', bead_id: 'c20000', depends_on: ['top'] })
  expect(refused.err).toMatchObject({ code: 'CONFLICT', ctx: { field: 'depends_on' } })
  await chain.ask({ cmd: 'update', bead_id: 'top', depends_on: ['c1'] })
  expect(await chain.ask({ cmd: 'show', bead_id: 'top' })).toMatchObject({ bead: { open_blockers: 1 } })
})
