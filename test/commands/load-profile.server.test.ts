import { describe, expect, it } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { openSession } from './look-support.ts'

const { url, sql } = await testDatabase()

const TABLES = [
  'repos',
  'workflows',
  'workflow_stages',
  'agent_state',
  'bead_backlog',
  'bead_links',
  'bead_claims',
  'stage_history',
  'stage_artifacts',
  'agent_messages',
  'execution_events',
  'operations',
  'command_audit',
]

/** Every row of every table of every repo, as one text per table. */
async function everything(): Promise<Record<string, string>> {
  const tables: Record<string, string> = {}
  for (const table of TABLES) {
    const rows = await sql.unsafe(`select t::text as row from swarm.${table} t order by 1`)
    tables[table] = rows.map(({ row }) => row).join('\n')
  }
  return tables
}

describe('load-profile', () => {
  it('measures, and leaves the database as it was', async () => {
    const session = openSession(url, 'mine')
    await session.ask({ cmd: 'register', count: 2 })
    await session.ask({
      cmd: 'enqueue',
      beads: [
        { bead_id: 'a', title: 'a' },
        { bead_id: 'b', title: 'b', depends_on: ['a'] },
      ],
    })
    await session.ask({ cmd: 'claim-next', agent_id: 1 })
    const before = await everything()
    const d = await session.ask({ cmd: 'load-profile', agents: 3, rounds: 4 })
    expect(d).toMatchObject({ agents: 3, beads: 12, finished: 12, errors: 0, timed_out: false })
    expect(d.completions).toMatchObject({ count: 48 })
    expect(Object.values(await everything())).toEqual(Object.values(before))
    expect(session.dispatcher).toBeDefined()
    expect(await session.ask({ cmd: 'complete-stage', agent_id: 1, outcome: 'passed' })).toMatchObject({
      kept: true,
    })
  })

  it('ends in time, and still tidies up', async () => {
    const session = openSession(url, 'mine')
    const before = await everything()
    const d = await session.ask({ cmd: 'load-profile', agents: 2, rounds: 400, timeout_ms: 100 })
    expect(d).toMatchObject({ beads: 800, errors: 0, timed_out: true })
    expect(d.finished).toBeLessThan(800)
    expect(Object.values(await everything())).toEqual(Object.values(before))
  })

  it('removes what a run that was killed left behind, after an hour', async () => {
    const session = openSession(url, 'mine')
    for (const repo of ['load-profile-00000000', 'load-profile-11111111', 'load-profile-mine']) {
      await session.ask({ cmd: 'register', count: 1, repo })
    }
    await sql`update swarm.repos set created_at = created_at - interval '2 hours' where repo_id <> 'load-profile-11111111'`
    await session.ask({ cmd: 'load-profile', agents: 1, rounds: 1 })
    const left = await sql`select repo_id from swarm.repos order by 1`
    expect(left.map((row) => row.repo_id)).toEqual(['load-profile-11111111', 'load-profile-mine', 'mine'])
  })

  it('can remove nobody else', async () => {
    await expect(sql`select swarm.forget_load_profile('mine', 0)`).rejects.toThrow(
      'not a repo of load-profile',
    )
  })
})
