import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { makeYard } from './support.ts'

const database = await testDatabase()
const yard = await makeYard(database, {
  repo: 'checked',
  script: {
    faults: [
      { fault: 'crash', beads: ['b1'], stages: ['implement'], attempts: [1] },
      { fault: 'dirty_tree', beads: ['b2'], stages: ['implement'] },
    ],
  },
})
afterAll(() => yard.scratch.remove())

interface Cycle {
  readonly audit_id: number
  readonly checked: number
  readonly failed: number
  readonly running: number
  readonly ended: number
  readonly failures: readonly { readonly session_id: string; readonly findings: readonly string[] }[]
}

test('every turn of a run is checked at its end, those that failed with findings; a cycle on demand finds what is new', async () => {
  const { sql } = database
  const { ask, start, scratch } = yard
  const beads = ['b1', 'b2', 'b3'].map((bead_id) => ({ bead_id, title: bead_id }))
  await ask('enqueue', '--json', JSON.stringify({ beads }))
  await start('up', '--agents', 'implementer=2,reviewer=1').ended
  const results = await sql<{ bead_id: string; reason: string; qa_result: string; finding: string | null }[]>`
    select s.bead_id, s.reason, i.qa_result, (select q.findings ->> 0 from swarm.iteration_qa_results q
      where q.session_id = i.session_id and q.iteration = i.number) as finding
    from swarm.session_iterations i join swarm.agent_sessions s using (repo_id, session_id)
    where s.repo_id = 'checked' order by s.bead_id, s.queued_at`
  expect(results.filter(({ qa_result }) => qa_result === 'pending')).toEqual([])
  const of = (bead: string) => results.filter(({ bead_id }) => bead_id === bead)
  expect(of('b1')[0]).toMatchObject({
    reason: 'crashed',
    qa_result: 'failed',
    finding: expect.stringMatching(/crashed/),
  })
  expect(of('b1').slice(1)).toMatchObject([{ qa_result: 'passed' }, { qa_result: 'passed' }])
  expect(of('b2').every(({ qa_result }) => qa_result === 'failed')).toBe(true)
  expect(of('b3')).toMatchObject([{ qa_result: 'passed' }, { qa_result: 'passed' }])
  const audits = () => sql<{ checked: number; ended: number; notes: string | null }[]>`
    select checked, ended, notes from swarm.qa_audits where repo_id = 'checked' order by id`
  expect(await audits()).toEqual([{ checked: results.length, ended: 0, notes: null }])

  // a session that counts as completed, with files that were never committed and a gate that ran on another tree
  const copy = async (id: string, more: string) =>
    sql.unsafe(`insert into swarm.agent_sessions select (jsonb_populate_record(s, jsonb_build_object('session_id', '${id}') || '${more}')).*
      from swarm.agent_sessions s where repo_id = 'checked' and bead_id = 'b2' order by queued_at desc limit 1`)
  await copy('s-new', '{"reason": "completed", "tree": "0000", "queued_at": "2099-01-01T00:00:00Z"}')
  await sql`insert into swarm.session_iterations (repo_id, session_id, number, status, started_at)
    values ('checked', 's-new', 1, 'completed', clock_timestamp())`
  writeFileSync(join(scratch.root, '.swarm', 'worktrees', 'b2', 'more.txt'), 'never committed\n')
  // and one that has said nothing for two hours, and whose host does nothing about it
  await copy(
    's-silent',
    '{"bead_id": "b9", "status": "running", "reason": null, "ended_at": null, "wanted": null, "last_output_at": "2020-01-01T00:00:00Z", "last_tool_at": null}',
  )
  const found = await ask<Cycle>('qa-cycle', '--reason', 'before the release', '--idem', 'qa-1')
  expect(found).toMatchObject({ checked: 1, failed: 1, running: 1, ended: 1 })
  expect(found.failures).toMatchObject([
    {
      session_id: 's-new',
      findings: [
        'files of its worktree are not committed',
        expect.stringMatching(/^(no gate has run|gates ran)/),
      ],
    },
  ])
  expect(
    await sql`select wanted, rule from swarm.agent_sessions where session_id = 's-silent'`,
  ).toMatchObject([{ wanted: 'stuck:no_output', rule: 'no_output' }])
  expect((await audits()).at(-1)).toEqual({ checked: 1, ended: 1, notes: 'before the release' })
  expect(await ask('qa-cycle', '--reason', 'before the release', '--idem', 'qa-1')).toEqual(found)
  expect(await ask('qa-cycle')).toMatchObject({ checked: 0, running: 1, ended: 0, failures: [] })
  expect(await ask('iterations', 's-new')).toMatchObject({
    iterations: [
      {
        qa_result: 'failed',
        checks: [{ checked_by: 'swarm', recommendations: [expect.any(String), expect.any(String)] }],
      },
    ],
  })
}, 120_000)
