import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, inject, test } from 'vitest'
import { findMarked } from '../../src/process/index.ts'
import { testDatabase } from '../support/database.ts'
import { cloneTemplate, plainClient } from '../support/template.ts'
import { makeYard, until, type Yard } from './support.ts'

const yards: Yard[] = []
afterAll(() => {
  for (const { scratch } of yards) scratch.remove()
})

test('a database that is dropped ends up with a clear error, nothing running and the work kept', async () => {
  const { name, url, drop } = await cloneTemplate(inject('serverUrl'))
  const sql = plainClient(url, 2)
  const yard = await makeYard(
    { name, url, sql },
    {
      repo: 'dropped',
      script: { faults: [{ fault: 'silent_tool', ms: 600_000, stages: ['implement'] }] },
      more: '[orchestrator]\ndatabase_away_ms = 1000',
    },
  )
  yards.push(yard)
  await yard.ask('enqueue', '--json', JSON.stringify({ beads: [{ bead_id: 'b1', title: 'One' }] }))
  const run = yard.start('up', '--agents', 'implementer=1,reviewer=1')
  const open = async () =>
    sql<
      { marker: string; run_id: string }[]
    >`select marker, run_id from swarm.agent_sessions where open_tool = 'shell'`
  await until(async () => (await open()).length > 0)
  const [session] = await open()
  expect(findMarked(session?.marker ?? '')?.length).toBeGreaterThan(0)
  await sql.end({ timeout: 1 })
  await drop()
  const { code, stdout } = await run.ended
  expect(JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}')).toMatchObject({
    ok: false,
    err: { code: 'DEPENDENCY', msg: expect.stringContaining('is given up') },
    fix: expect.stringContaining(`--resume ${session?.run_id}`),
  })
  expect(code).toBe(7)
  expect(findMarked(session?.marker ?? '')).toEqual([])
  expect(existsSync(join(yard.scratch.root, '.swarm', 'worktrees', 'b1'))).toBe(true)
}, 120_000)

test('what a leader that was killed after a landing has left is removed by the next up', async () => {
  const database = await testDatabase()
  const yard = await makeYard(database, { repo: 'tidied' })
  yards.push(yard)
  const { ask, start, scratch, leftovers } = yard
  const bead = (bead_id: string) =>
    ask('enqueue', '--json', JSON.stringify({ beads: [{ bead_id, title: bead_id }] }))
  await bead('b1')
  await start('up', '--agents', 'implementer=1,reviewer=1').ended
  const [landing] = await database.sql<{ candidate: string }[]>`
    select candidate from swarm.landings where repo_id = 'tidied' and status = 'landed'`
  // as it is when the leader dies between the landing and the removal
  const place = join(scratch.root, '.swarm', 'worktrees', 'b1')
  scratch.git(['worktree', 'add', '--quiet', '-b', 'swarm/b1', place, landing?.candidate ?? ''])
  // and between the removal of the worktree and that of its branch
  scratch.git(['branch', 'swarm/b0', 'main'])
  // the landing of a bead that was never known is not known either: its branch stays
  expect(await leftovers()).toHaveLength(3)
  await bead('b2')
  await start('up', '--agents', 'implementer=1,reviewer=1').ended
  expect(await leftovers()).toEqual(['refs/heads/swarm/b0'])
  rmSync(place, { recursive: true, force: true })
}, 120_000)
