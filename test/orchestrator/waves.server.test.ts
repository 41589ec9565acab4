import { expect, test } from 'vitest'
import { testDatabase } from '../support/database.ts'

const { sql } = await testDatabase()

/** Beads of a workflow of one stage, and who waits for whom. Nothing is analysed, as after an import. */
async function backlog(
  repo: string,
  beads: readonly string[],
  links: readonly (readonly [string, string])[],
) {
  await sql`select swarm.run(${repo}, 'register', '{"count":1}', '{}', gen_random_uuid()::text)`
  await sql`insert into swarm.workflows (repo_id, name) values (${repo}, 'one')`
  await sql`insert into swarm.workflow_stages (repo_id, name, stage, position) values (${repo}, 'one', 'only', 1)`
  await sql`insert into swarm.bead_backlog (repo_id, bead_id, title, workflow, stage)
    select ${repo}, id, id, 'one', 'only' from jsonb_array_elements_text(${JSON.stringify(beads)}::text::jsonb) id`
  await sql`insert into swarm.bead_links (repo_id, bead_id, other_id, kind)
    select ${repo}, l ->> 0, l ->> 1, 'blocks' from jsonb_array_elements(${JSON.stringify(links)}::text::jsonb) l`
}

async function waves(repo: string): Promise<Record<string, number | null>> {
  const rows = await sql<{ bead_id: string; wave: number | null }[]>`
    select bead_id, wave from swarm.bead_backlog where repo_id = ${repo} order by bead_id`
  return Object.fromEntries(rows.map(({ bead_id, wave }) => [bead_id, wave]))
}

const start = (repo: string, run: string) =>
  sql`select swarm.run(${repo}, 'run-start', ${JSON.stringify({ run_id: run })}::text::jsonb, '{}', gen_random_uuid()::text) as r`

test('a wave is the longest way to a bead; beads on a circle have none, nor what waits for them', async () => {
  await backlog(
    'graph',
    ['a', 'b', 'c', 'd', 'x', 'y', 'z', 'done', 'after'],
    [
      ['b', 'a'],
      ['c', 'b'],
      ['c', 'a'],
      ['d', 'a'],
      ['d', 'c'],
      ['x', 'y'],
      ['y', 'x'],
      ['z', 'x'],
      ['after', 'done'],
    ],
  )
  await sql`update swarm.bead_backlog set status = 'completed' where repo_id = 'graph' and bead_id = 'done'`
  await start('graph', 'r')
  expect(await waves('graph')).toEqual({
    a: 1,
    b: 2,
    c: 3,
    d: 4,
    x: null,
    y: null,
    z: null,
    done: null,
    after: 1,
  })
})

test('a run over thousands of beads that were just imported begins at once', async () => {
  const ids = Array.from({ length: 3_000 }, (_, at) => `b${at}`)
  await backlog(
    'many',
    ids,
    ids.flatMap((id, at) => (at % 10 === 0 ? [] : [[id, `b${at - 1}`] as const])),
  )
  // a look at each bead's links without statistics took minutes
  await sql.begin(async (transaction) => {
    await transaction`set local statement_timeout = '20s'`
    await transaction`select swarm.run('many', 'run-start', '{"run_id":"r"}', '{}', gen_random_uuid()::text)`
  })
  const counts = new Map<number | null, number>()
  for (const wave of Object.values(await waves('many'))) counts.set(wave, (counts.get(wave) ?? 0) + 1)
  expect([...counts].sort()).toEqual(Array.from({ length: 10 }, (_, at) => [at + 1, 300]).sort())
})
