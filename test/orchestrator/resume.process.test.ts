import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { makeYard, until } from './support.ts'

const database = await testDatabase()
const dir = mkdtempSync(join(tmpdir(), 'swarm-resume-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

test('a program that waits long for its quota is held, and goes on with its conversation where it still knows it', async () => {
  const agent = JSON.stringify([process.execPath, join(__dirname, 'forgetful-agent.mjs'), join(dir, 'tried')])
  const yard = await makeYard(database, {
    repo: 'resume',
    oneStage: true,
    more: `[agents.implementer]\nadapter = "command"\naccount = "team"\ncommand = ${agent}`,
  })
  const tmp = join(dir, 'tmp')
  for (const made of [tmp, join(dir, 'tried')]) mkdirSync(made)
  Object.assign(yard.env, { TMPDIR: tmp })
  const beads = ['b1', 'b2'].map((bead_id) => ({ bead_id, title: bead_id }))
  await yard.ask('enqueue', '--json', JSON.stringify({ beads }))
  const run = yard.start('up', '--agents', 'implementer=2')
  const sessions = () =>
    database.sql<
      { session_id: string; bead_id: string; attempt: number; reason: string | null; native_id: string }[]
    >`
      select session_id, bead_id, attempt, reason, native_id from swarm.agent_sessions where repo_id = 'resume' order by bead_id, queued_at`
  await until(async () => (await sessions()).filter(({ reason }) => reason === 'quota').length === 2)
  const windows = await database.sql`
    select account, kind, until_at > clock_timestamp() + interval '50 minutes' as long from swarm.quota_windows where repo_id = 'resume'`
  expect(windows).toEqual([{ account: 'command/team', kind: 'limit', long: true }])
  expect(await yard.ask('explain', 'b1')).toMatchObject({ why: 'quota', status: 'pending' })
  // its conversations are kept, and nothing else
  expect(readdirSync(tmp).filter((name) => name.startsWith('swarm-s-'))).toHaveLength(2)
  await database.sql`update swarm.quota_windows set until_at = clock_timestamp() - interval '1 hour' where repo_id = 'resume'`
  await yard.ask('enqueue', '--beads', '[{"bead_id":"b9","title":"wakes the leader"}]')
  const { stdout, stderr } = await run.ended
  expect(JSON.parse(stdout).d, stderr).toMatchObject({ status: 'completed', landed: 2 })
  const all = await sessions()
  expect(all.map(({ bead_id, attempt, reason }) => `${bead_id} ${attempt} ${reason}`)).toEqual([
    'b1 1 quota',
    'b1 1 completed',
    'b2 1 quota',
    'b2 1 completed',
  ])
  const [first, second, third, fourth] = all.map(({ native_id }) => native_id)
  expect(second).toBe(first)
  expect(fourth).not.toBe(third)
  const [log] = await database.sql<{ text: string }[]>`
    select string_agg(log_content, '' order by sequence) as text from swarm.agent_run_logs where session_id = ${all[3]?.session_id ?? ''}`
  expect(log?.text).toContain('no conversation found')
  expect(log?.text).toContain('[result completed] done')
  expect(readdirSync(tmp).filter((name) => name.startsWith('swarm-s-'))).toEqual([])
  expect(await yard.leftovers()).toEqual([])
  yard.scratch.remove()
}, 120_000)
