import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { makeYard, type Yard } from './support.ts'

const database = await testDatabase()
let yard: Yard | undefined
afterAll(() => yard?.scratch.remove())

test('a run of which some have landed says when it will be done at the pace of late', async () => {
  yard = await makeYard(database, { repo: 'pace', oneStage: true })
  const { ask } = yard
  const beads = ['a', 'b', 'c', 'd', 'e', 'f'].map((bead_id) => ({ bead_id, title: bead_id }))
  await ask('enqueue', '--json', JSON.stringify({ beads }))
  await ask('start-run', '--agents', 'implementer=1')
  const run = async () => (await ask<{ run: { estimated_completion?: string } }>('ps')).run
  expect(await run()).not.toHaveProperty('estimated_completion')
  await database.sql`update swarm.bead_backlog set status = 'completed', finished_at = now() where repo_id = 'pace' and bead_id in ('a', 'b', 'c')`
  await database.sql`update swarm.swarm_runs set started_at = now() - interval '1 hour' where repo_id = 'pace'`
  // three within the last half hour: the other three take as long
  const inMinutes = (Date.parse((await run()).estimated_completion ?? '') - Date.now()) / 60_000
  expect(inMinutes).toBeGreaterThan(27)
  expect(inMinutes).toBeLessThan(33)
  await ask('pause')
  expect(await run()).not.toHaveProperty('estimated_completion')
}, 60_000)
