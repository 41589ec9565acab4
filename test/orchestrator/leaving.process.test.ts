import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { findMarked } from '../../src/process/index.ts'
import { testDatabase } from '../support/database.ts'
import { makeYard, until, type Yard } from './support.ts'

const database = await testDatabase()
const yards: Yard[] = []
afterAll(() => {
  for (const { scratch } of yards) scratch.remove()
})

/** An agent whose turns end while there is a file `turn`, and which throws its work away when it is told to go. */
const AGENT = `
const fs = require('node:fs')
const say = (event, more) => console.log(JSON.stringify({ event, ...more }))
process.on('SIGTERM', () => { fs.rmSync('half-way.txt', { force: true }); process.exit(1) })
say('ready', { session: 'native' })
fs.writeFileSync('half-way.txt', 'a thought')
say('output', { text: 'at work' })
say('usage', { of: 'step', input: 900, output: 100 })
setInterval(() => {
  if (fs.existsSync('../turn')) say('turn_ended')
}, 200)
`

async function yard(repo: string, more = ''): Promise<Yard> {
  const made = await makeYard(database, {
    repo,
    oneStage: true,
    more: `${more}\n[agents.implementer]\nadapter = "command"\ncommand = [${JSON.stringify(process.execPath)}, "-e", ${JSON.stringify(AGENT)}]\n`,
  })
  yards.push(made)
  await made.ask('enqueue', '--json', JSON.stringify({ beads: [{ bead_id: 'b1', title: 'b1' }] }))
  return made
}

interface Session {
  readonly session_id: string
  readonly status: string
  readonly wanted: string | null
  readonly reason: string | null
  readonly marker: string
}
const sessions = (repo: string) =>
  database.sql<
    Session[]
  >`select session_id, status, wanted, reason, marker from swarm.agent_sessions where repo_id = ${repo} order by queued_at`
const working = async (repo: string) => (await sessions(repo)).some(({ status }) => status === 'running')
const turn = ({ scratch }: Yard) => join(scratch.root, '.swarm', 'worktrees', 'turn')
const endTurns = (here: Yard) => writeFileSync(turn(here), '')
const kept = ({ scratch }: Yard, session: Session | undefined) =>
  scratch.git(['show', `refs/swarm/salvage/b1/1-${session?.session_id}:half-way.txt`])

test('down lets agents finish their turn; their work is kept, no attempt is charged, and the run can be gone on with', async () => {
  const here = await yard('graceful')
  const run = here.start('up', '--agents', 'implementer=1')
  await until(() => working('graceful'))
  await here.ask('down', '--reason', 'for today')
  await until(async () => (await sessions('graceful'))[0]?.wanted === 'turn')
  expect(await sessions('graceful')).toMatchObject([{ status: 'running', reason: null }])
  endTurns(here)
  const { stdout, code } = await run.ended
  const { d } = JSON.parse(stdout)
  expect(d).toMatchObject({ status: 'stopped', landed: 0 })
  expect(code).toBe(0)
  const [first] = await sessions('graceful')
  expect(first).toMatchObject({ reason: 'shutdown' })
  expect(kept(here, first)).toBe('a thought')
  const [bead] = await database.sql`select status, attempt from swarm.bead_backlog where repo_id = 'graceful'`
  expect(bead).toEqual({ status: 'pending', attempt: 1 })

  rmSync(turn(here))
  // told to stop while it works: this process leaves, and the run stays as it is
  const again = here.start('up', '--resume', d.run_id)
  await until(() => working('graceful'))
  let said = ''
  again.child.stderr?.on('data', (chunk: Buffer) => {
    said += chunk.toString()
  })
  again.child.kill('SIGINT')
  await until(async () => said.includes('1 session finishes its turn'))
  expect(await working('graceful')).toBe(true)
  endTurns(here)
  const left = await again.ended
  expect(left.code).toBe(0)
  expect(JSON.parse(left.stdout)).toMatchObject({
    d: { status: 'running' },
    next: `swarm up --resume ${d.run_id}`,
  })
  expect((await sessions('graceful')).map(({ reason }) => reason)).toEqual(['shutdown', 'shutdown'])
}, 120_000)

test('told twice to stop, up ends its sessions at once, keeps what they wanted to throw away, and leaves nothing running', async () => {
  const here = await yard('hurried')
  const run = here.start('up', '--agents', 'implementer=1')
  await until(() => working('hurried'))
  run.child.kill('SIGINT')
  await until(async () => run.child.signalCode !== null || (await leaving('hurried')))
  run.child.kill('SIGINT')
  const { code, stdout } = await run.ended
  expect(code).toBe(0)
  expect(JSON.parse(stdout).d).toMatchObject({ status: 'running' })
  const [only] = await sessions('hurried')
  expect(only).toMatchObject({ reason: 'shutdown' })
  expect(findMarked(only?.marker ?? '') ?? []).toEqual([])
  expect(kept(here, only)).toBe('a thought')
}, 120_000)

test('what a session uses counts while it runs: past its budget it is ended, its work is kept, and the run pauses', async () => {
  const here = await yard('dear', '[orchestrator]\nbudgets = { run_tokens = 500 }')
  const run = here.start('up', '--agents', 'implementer=1')
  await until(async () => (await sessions('dear'))[0]?.reason === 'budget')
  const [only] = await sessions('dear')
  expect(kept(here, only)).toBe('a thought')
  expect(await here.ask('ps')).toMatchObject({
    run: { status: 'paused', pause_reason: 'run_tokens is used up: 1000 of 500' },
    spent: { tokens: 1000 },
  })
  await here.ask('down')
  expect(JSON.parse((await run.ended).stdout).d).toMatchObject({ status: 'stopped', landed: 0 })
}, 120_000)

/** Whether the worker has said that it takes nothing new. */
async function leaving(repo: string): Promise<boolean> {
  const rows = await database.sql`select 1 from swarm.hosts where repo_id = ${repo} and draining`
  return rows.length > 0
}
