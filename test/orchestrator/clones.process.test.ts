import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { makeYard, rewriteScript, startIn, until, type Yard } from './support.ts'

const database = await testDatabase()
const base = mkdtempSync(join(tmpdir(), 'swarm-clones-'))
let yard: Yard | undefined
afterAll(() => {
  yard?.scratch.remove()
  rmSync(base, { recursive: true, force: true })
})

test('a worker in another clone gets what has landed, its work lands from there, and goes on elsewhere when it dies', async () => {
  yard = await makeYard(database, { repo: 'clones' })
  const { ask, start, landed, scratch, env } = yard
  const remote = scratch.remote ?? ''
  const clone = join(base, 'clone')
  scratch.git(['clone', '--quiet', remote, clone])
  cpSync(join(scratch.root, '.swarm'), join(clone, '.swarm'), {
    recursive: true,
    filter: (path) => !path.includes('/run'),
  })
  rewriteScript(clone, {
    faults: [{ fault: 'silent_tool', ms: 600_000, stages: ['qa'], beads: ['b3'] }],
  })
  await ask(
    'enqueue',
    '--json',
    JSON.stringify({
      beads: ['b1', 'b2', 'b3'].map((bead_id, at) => ({
        bead_id,
        title: bead_id,
        ...(at > 0 ? { depends_on: [`b${at}`] } : {}),
      })),
    }),
  )
  // with the most room it gets all the work
  const worker = startIn(clone, env, 'worker', '--capacity', 'implementer=9,reviewer=9')
  await until(async () => {
    const rows = await database.sql`select 1 from swarm.hosts where repo_id = 'clones'`
    return rows.length > 0
  })
  const run = start('up', '--agents', 'implementer=1,reviewer=1')
  await until(async () => {
    const rows = await database.sql`
      select 1 from swarm.agent_sessions where repo_id = 'clones' and bead_id = 'b3' and stage = 'qa' and open_tool is not null`
    return rows.length > 0
  })
  // what the bead waited for is in its workspace, though it landed from another clone
  expect(scratch.git(['ls-tree', '--name-only', 'swarm/b3', 'demo/'], clone)).toBe(
    ['demo/b1.txt', 'demo/b2.txt', 'demo/b3.txt'].join('\n'),
  )
  worker.child.kill('SIGKILL')
  await worker.ended
  const { stdout, stderr } = await run.ended
  expect(JSON.parse(stdout).d, stderr).toMatchObject({ status: 'completed', landed: 3 })
  expect(landed()).toEqual(['demo/b1.txt', 'demo/b2.txt', 'demo/b3.txt'])
  const implemented = await database.sql<{ bead_id: string }[]>`
    select distinct bead_id from swarm.agent_sessions where repo_id = 'clones' and stage = 'implement' and workspace like ${`${clone}%`} order by 1`
  expect(implemented.map(({ bead_id }) => bead_id)).toEqual(['b1', 'b2', 'b3'])
  // nothing that was handed on stays behind
  expect(scratch.git(['for-each-ref', 'refs/swarm/'], remote)).toBe('')
}, 240_000)
