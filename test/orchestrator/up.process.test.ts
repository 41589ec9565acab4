import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { findMarked } from '../../src/process/index.ts'
import { testDatabase } from '../support/database.ts'
import { makeYard, rewriteScript, until, type Yard } from './support.ts'

const database = await testDatabase()
const yards: Yard[] = []
afterAll(() => {
  for (const { scratch } of yards) scratch.remove()
})

async function yard(options: Parameters<typeof makeYard>[1]): Promise<Yard> {
  const made = await makeYard(database, options)
  yards.push(made)
  return made
}

const AGENTS = 'implementer=3,reviewer=2'
const beads = (count: number) =>
  JSON.stringify({
    beads: Array.from({ length: count }, (_, at) => ({
      bead_id: `b${at + 1}`,
      title: `Bead ${at + 1}`,
      ...(at >= 3 ? { depends_on: [`b${at - 2}`] } : {}),
    })),
  })

interface Ended {
  readonly d: {
    readonly status: string
    readonly landed: number
    readonly run_id: string
    readonly pause_reason?: string
  }
}
const answer = (stdout: string): Ended => JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}')

describe('swarm up', () => {
  test('takes a backlog to landed commits: database, git and remote agree, and nothing is left over', async () => {
    const { ask, start, landed, leftovers, scratch } = await yard({ repo: 'whole' })
    await ask('enqueue', '--json', beads(6))
    const { code, stdout, stderr } = await start('up', '--agents', AGENTS).ended
    expect(stderr).toBe('')
    expect(code).toBe(0)
    expect(answer(stdout).d).toMatchObject({ status: 'completed', landed: 6 })
    expect(landed()).toEqual([
      'demo/b1.txt',
      'demo/b2.txt',
      'demo/b3.txt',
      'demo/b4.txt',
      'demo/b5.txt',
      'demo/b6.txt',
    ])
    expect(scratch.git(['rev-parse', 'main'])).toBe(scratch.git(['rev-parse', 'main'], scratch.remote))
    expect(scratch.git(['status', '--porcelain'])).toBe('')
    expect(await leftovers()).toEqual([])
    const rows =
      await database.sql`select bead_id, commit_hash from swarm.bead_backlog where repo_id = 'whole' and status = 'completed'`
    for (const { commit_hash } of rows) scratch.git(['merge-base', '--is-ancestor', commit_hash, 'main'])
  }, 240_000)

  test('stops at its target', async () => {
    const { ask, start, landed } = await yard({ repo: 'target' })
    await ask('enqueue', '--json', beads(6))
    const { stdout } = await start('up', '--agents', AGENTS, '--target', '2').ended
    expect(answer(stdout).d).toMatchObject({ status: 'completed', landed: 2 })
    expect(landed()).toHaveLength(2)
    // the demo agent writes one file a bead
    const files = await database.sql`select distinct payload ->> 'files' as files from swarm.execution_events
      where repo_id = 'target' and event_type = 'session_ended' and stage = 'implement' and payload ->> 'reason' = 'completed'`
    expect(files).toEqual([{ files: '1' }])
  }, 240_000)

  test('survives agents that crash, lie, leave a mess, ask too much of their quota and fork', async () => {
    const { ask, start, landed, leftovers } = await yard({
      repo: 'faulty',
      script: {
        faults: [
          { fault: 'crash', beads: ['b1'], stages: ['implement'], attempts: [1] },
          { fault: 'fake_done', beads: ['b2'], stages: ['implement'], attempts: [1] },
          { fault: 'dirty_tree', beads: ['b6'], stages: ['implement'] },
          { fault: 'quota', ms: 300, beads: ['b4'], stages: ['implement'] },
          { fault: 'fork_and_leave', beads: ['b5'], stages: ['implement'] },
          { fault: 'hang_after_result', beads: ['b3'], stages: ['qa'] },
        ],
      },
    })
    await ask('enqueue', '--json', beads(6))
    const run = start('up', '--agents', AGENTS)
    await until(async () => {
      const rows =
        await database.sql`select 1 from swarm.agent_sessions where repo_id = 'faulty' and reason = 'quota'`
      return rows.length > 0
    })
    // held under the name by which sessions are given out: nothing more starts for it
    const explained = () => ask<{ why?: string }>('explain', 'b4')
    await until(async () => (await explained()).why === 'quota')
    await database.sql`delete from swarm.quota_windows where repo_id = 'faulty' and account = 'demo/default'`
    const { code, stdout } = await run.ended
    expect(answer(stdout).d).toMatchObject({ status: 'completed', landed: 5 })
    expect(code).toBe(0)
    expect(landed()).toHaveLength(5)
    // its work is not thrown away: the worktree stays for the person whom it waits for
    const left = await leftovers()
    expect(
      left.every((what) => what.endsWith('/b6')),
      left.join(', '),
    ).toBe(true)
    const reasons = await database.sql<{ bead_id: string; reason: string }[]>`
      select bead_id, reason from swarm.agent_sessions where repo_id = 'faulty' and reason <> 'completed' order by bead_id`
    expect(reasons.map(({ bead_id, reason }) => `${bead_id} ${reason}`)).toEqual(
      expect.arrayContaining(['b1 crashed', 'b2 failed', 'b4 quota', 'b6 failed']),
    )
  }, 240_000)

  test('blocks what its gate refuses, tells the agent why, and lands the rest', async () => {
    const { ask, start, landed } = await yard({ repo: 'gated', gate: ['sh', '-c', 'test ! -e demo/b1.txt'] })
    await ask(
      'enqueue',
      '--json',
      JSON.stringify({
        beads: [
          { bead_id: 'b1', title: 'Bad' },
          { bead_id: 'b2', title: 'Good' },
        ],
      }),
    )
    const { stdout } = await start('up', '--agents', AGENTS).ended
    expect(answer(stdout).d).toMatchObject({ status: 'completed', landed: 1 })
    expect(landed()).toEqual(['demo/b2.txt'])
    const explained = await ask<{ status: string; why: string; waits_for: string }>('explain', 'b1')
    expect(explained).toMatchObject({
      status: 'blocked',
      why: 'blocked',
      waits_for: expect.stringContaining('exited with 1'),
    })
  }, 240_000)

  test('goes on when its leader is killed half-way, and no bead lands twice', async () => {
    const { ask, start, landed, scratch } = await yard({ repo: 'killed', script: { pace_ms: 300 } })
    await ask('enqueue', '--json', beads(6))
    const first = start('up', '--agents', AGENTS)
    await until(async () => {
      const rows =
        await database.sql`select 1 from swarm.bead_backlog where repo_id = 'killed' and status = 'completed'`
      return rows.length >= 1
    })
    first.child.kill('SIGKILL')
    await first.ended
    const [run] = await database.sql<
      { run_id: string }[]
    >`select run_id from swarm.swarm_runs where repo_id = 'killed'`
    const { stdout } = await start('up', '--resume', run?.run_id ?? '').ended
    expect(answer(stdout).d).toMatchObject({ status: 'completed', landed: 6 })
    expect(landed()).toHaveLength(6)
    const subjects = scratch
      .git(['log', '--format=%s', 'main'])
      .split('\n')
      .filter((line) => line.startsWith('Work on'))
    expect(new Set(subjects).size).toBe(subjects.length)
  }, 240_000)

  test('ends what a killed worker left running, before its beads go on, and keeps the work', async () => {
    const { ask, start, landed, leftovers, scratch } = await yard({
      repo: 'orphans',
      script: { faults: [{ fault: 'silent_tool', ms: 600_000, stages: ['implement'] }] },
    })
    await ask('enqueue', '--json', beads(1))
    const first = start('up', '--agents', AGENTS)
    const markers = async () =>
      database.sql<{ marker: string; run_id: string; workspace: string }[]>`
        select marker, run_id, workspace from swarm.agent_sessions where repo_id = 'orphans' and open_tool = 'shell'`
    await until(async () => (await markers()).length > 0)
    const [open] = await markers()
    writeFileSync(join(open?.workspace ?? '', 'half-way.txt'), 'a thought\n')
    first.child.kill('SIGKILL')
    await first.ended
    const left = findMarked(open?.marker ?? '') ?? []
    expect(left.length).toBeGreaterThan(0)
    rewriteScript(scratch.root, {})
    const second = start('up', '--resume', open?.run_id ?? '')
    await until(async () => (findMarked(open?.marker ?? '') ?? []).length === 0)
    const salvaged = scratch.git(['for-each-ref', '--format=%(refname)', 'refs/swarm/salvage/b1'])
    expect(scratch.git(['show', `${salvaged}:half-way.txt`])).toBe('a thought')
    rmSync(join(open?.workspace ?? '', 'half-way.txt'))
    expect(JSON.parse((await second.ended).stdout).d).toMatchObject({ status: 'completed', landed: 1 })
    expect(landed()).toEqual(['demo/b1.txt'])
    expect(await leftovers()).toEqual([])
    const [lost] = await database.sql<{ evidence: string }[]>`
      select evidence from swarm.agent_sessions where repo_id = 'orphans' and reason = 'host_lost'`
    // known at once, not only after the silence that tells of other machines
    expect(lost?.evidence).toBe('its process is gone')
  }, 240_000)

  test('says before it starts anything that the program of a gate is not here', async () => {
    const { start, ask } = await yard({ repo: 'unfound', gate: ['no-such-check-program', '--all'] })
    const { code, stdout } = await start('up').ended
    expect(JSON.parse(stdout)).toMatchObject({
      ok: false,
      err: {
        code: 'DEPENDENCY',
        ctx: { binary: 'no-such-check-program', workflow: 'default', stage: 'implement' },
      },
    })
    expect(code).toBe(7)
    expect(await ask('runs')).toMatchObject({ runs: [] })
  }, 30_000)

  test('says before it starts anything that a gate is not the one that was entered, and init-db enters it', async () => {
    const { ask, start, scratch } = await yard({ repo: 'regated', oneStage: true })
    const file = join(scratch.root, '.swarm', 'config.toml')
    writeFileSync(file, readFileSync(file, 'utf8').replace('"--check"', '"--stat"'))
    for (const verb of ['up', 'worker']) {
      const { code, stdout } = await start(verb).ended
      expect(JSON.parse(stdout)).toMatchObject({
        ok: false,
        err: { code: 'INVALID', ctx: { workflow: 'default', stage: 'implement' } },
        fix: 'swarm init-db',
      })
      expect(code).toBe(2)
    }
    await ask('init-db')
    await ask('enqueue', '--json', beads(1))
    const { stdout } = await start('up', '--agents', 'implementer=1').ended
    expect(answer(stdout).d).toMatchObject({ status: 'completed', landed: 1 })
  }, 60_000)

  test('refuses to land what nothing checks', async () => {
    const { start, scratch } = await yard({ repo: 'ungated' })
    writeFileSync(
      `${scratch.root}/.swarm/config.toml`,
      'repo = "ungated"\n[agents.default]\nadapter = "command"\ncommand = ["true"]\n',
    )
    const { code, stdout } = await start('up').ended
    expect(code).toBe(2)
    expect(JSON.parse(stdout)).toMatchObject({
      ok: false,
      err: { code: 'INVALID', msg: expect.stringContaining('gate') },
    })
  }, 30_000)
})
