import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { checkGit, checkLeft, checkRows, readRows } from '../../src/demo/checks.ts'
import { testDatabase } from '../support/database.ts'
import { seeded, seedOfRun } from '../support/random.ts'
import { makeYard } from './support.ts'

const database = await testDatabase()
const yard = await makeYard(database, { repo: 'sixty', oneStage: true })
const tmp = mkdtempSync(join(tmpdir(), 'swarm-sixty-'))
afterAll(() => {
  yard.scratch.remove()
  rmSync(tmp, { recursive: true, force: true })
})

const BEADS = 60

/** Beads that wait for up to three of those before them, mostly near ones, as people file them. */
function backlog(random: () => number) {
  return Array.from({ length: BEADS }, (_, at) => {
    const waits = Array.from(
      { length: Math.floor(random() * 4) },
      () => at - 1 - Math.floor(random() ** 2 * 12),
    )
    const depends_on = [...new Set(waits.filter((other) => other >= 0))].map((other) => `bead-${other}`)
    return {
      bead_id: `bead-${at}`,
      title: `Bead ${at}`,
      priority: `p${Math.floor(random() * 5)}`,
      ...(depends_on.length > 0 ? { depends_on } : {}),
    }
  })
}

test('sixty beads that wait for each other land whole: numbers agree, and nothing is left', async () => {
  const beads = backlog(seeded(seedOfRun('sixty beads')))
  const { ask, start, scratch, leftovers, landed } = yard
  const { root, remote = '' } = scratch
  const first = scratch.git(['rev-parse', 'main'])
  await ask('enqueue', '--json', JSON.stringify({ beads }))
  const run = start('up', '--agents', 'implementer=6')
  const { code, stdout, stderr } = await run.ended
  expect(stderr).toBe('')
  expect(code).toBe(0)
  const { d } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}')
  expect(d).toMatchObject({ status: 'completed', landed: BEADS, overview: { beads: { completed: BEADS } } })

  const rows = await readRows((statement, params) => database.sql.unsafe(statement, params), 'sixty')
  expect(rows.completed).toHaveLength(BEADS)
  const checks = [
    checkRows(rows, d.landed),
    ...(await checkGit(rows, { root, remote, first })),
    await checkLeft(rows, { root, tmp }, run.child.exitCode === null ? 1 : 0),
  ]
  expect(checks.filter(({ ok }) => !ok)).toEqual([])
  expect(landed()).toHaveLength(BEADS)
  expect(await leftovers()).toEqual([])
  expect(Number(scratch.git(['rev-list', '--count', `${first}..main`], remote))).toBe(BEADS)

  // nobody began before what it waits for had landed
  const early = await database.sql`
    select s.bead_id, l.other_id from swarm.agent_sessions s
    join swarm.bead_links l on l.repo_id = s.repo_id and l.bead_id = s.bead_id and l.kind = 'blocks'
    join swarm.bead_backlog b on b.repo_id = s.repo_id and b.bead_id = l.other_id
    where s.repo_id = 'sixty' and s.queued_at < b.finished_at`
  expect(early).toHaveLength(0)
}, 240_000)
