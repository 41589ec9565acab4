import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { scratchRepository } from '../support/git.ts'
import { runSwarm } from '../support/swarm.ts'

const { url, sql } = await testDatabase()
const scratch = scratchRepository()
afterAll(() => scratch.remove())
mkdirSync(join(scratch.root, '.swarm'))
writeFileSync(join(scratch.root, '.swarm', 'config.toml'), 'repo = "shop"\n')

async function ask(...args: readonly string[]) {
  const { stdout } = await runSwarm(args, { cwd: scratch.root, env: { DATABASE_URL: url } })
  return JSON.parse(stdout.trim())
}

/** A commit beside main, on a branch of its own. */
function beside(branch: string, file: string): string {
  scratch.git(['checkout', '--quiet', '-b', branch, 'main'])
  const commit = scratch.commit(file, `${file} of ${branch}\n`)
  scratch.git(['checkout', '--quiet', 'main'])
  return commit
}

test('a bead’s changes are those of its branch, of its session, then of what landed', async () => {
  const beads = ['api', 'docs'].map((bead_id) => ({ bead_id, title: bead_id }))
  await ask('enqueue', '--json', JSON.stringify({ beads }))
  expect(await ask('diff', 'api')).toMatchObject({ ok: false, err: { code: 'NOTFOUND' } })

  const base = scratch.git(['rev-parse', 'main'])
  const work = beside('swarm/api', 'work.txt')
  expect(await ask('diff', 'api')).toMatchObject({
    d: { of: 'branch', base, commit: work, files: [{ path: 'work.txt', added: 1 }] },
  })

  const early = beside('early', 'early.txt')
  await sql`insert into swarm.agent_sessions (repo_id, session_id, run_id, host_id, agent_id, adapter, bead_id, stage, attempt, fence,
    status, reason, head_after, queued_at, ended_at)
    values ('shop', 's-1', 'run-1', 'h', 1, 'demo', 'api', 'implement', 1, 1, 'ended', 'completed', ${early}, now(), now())`
  expect(await ask('diff', 'api', '--session-id', 's-1')).toMatchObject({
    d: { of: 'session', session_id: 's-1', base, commit: early, files: [{ path: 'early.txt' }] },
  })

  const landed = scratch.commit('landed.txt', 'landed\n')
  await sql`insert into swarm.landings (repo_id, bead_id, target, fence, candidate, status, base, head)
    values ('shop', 'api', 'main', 1, ${work}, 'landed', ${base}, ${landed})`
  await sql`update swarm.bead_backlog set status = 'completed', stage = 'done' where bead_id = 'api'`
  expect(await ask('diff', 'api')).toMatchObject({
    d: { of: 'landed', base, commit: landed, files: [{ path: 'landed.txt' }], cut: false },
  })
}, 60_000)

test('commits that agents name are not looked at, nor the repository of another repo', async () => {
  const secret = beside('secret', 'secret.txt')
  await sql`update swarm.bead_backlog set commit_hash = ${secret} where bead_id = 'docs'`
  expect(await ask('diff', 'docs')).toMatchObject({ err: { code: 'NOTFOUND' } })
  // a row is no order to git
  await sql`insert into swarm.landings (repo_id, bead_id, target, fence, candidate, status, base, head)
    values ('shop', 'docs', 'main', 1, '', 'landed', '--output=/tmp/x', 'HEAD')`
  await sql`update swarm.bead_backlog set status = 'completed', stage = 'done' where bead_id = 'docs'`
  expect(await ask('diff', 'docs')).toMatchObject({ err: { code: 'NOTFOUND' } })

  await ask('enqueue', '--repo', 'other', '--json', '{"beads":[{"bead_id":"api","title":"another"}]}')
  expect(await ask('diff', 'api', '--repo', 'other')).toMatchObject({
    err: { code: 'NOTFOUND', msg: expect.stringContaining('other') },
  })
}, 60_000)
