import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { thisProcess } from '../../src/process/index.ts'
import { pathName } from '../../src/workspaces/names.ts'
import { testDatabase } from '../support/database.ts'
import { makeYard } from './support.ts'

const database = await testDatabase()
const yard = await makeYard(database, { repo: 'swept' })
afterAll(() => yard.scratch.remove())

interface Collected {
  readonly removed: readonly { readonly kind: string; readonly name: string; readonly why: string }[]
  readonly left: Collected['removed']
}
const short = (found: Collected['removed']) =>
  found.map(({ kind, name, why }) => `${kind} ${name}: ${why}`).sort()

test('gc removes what nobody needs, leaves what holds work and says why, and finds nothing the second time', async () => {
  const { ask, start, scratch } = yard
  const { git, root } = scratch
  const enqueue = (...ids: readonly string[]) =>
    ask('enqueue', '--json', JSON.stringify({ beads: ids.map((bead_id) => ({ bead_id, title: bead_id })) }))
  // too long for a name of a file that tells it
  const long = `long${'.x'.repeat(60)}`
  await enqueue('done.1', 'done.2', long)
  await start('up', '--agents', 'implementer=2,reviewer=1').ended
  await enqueue('waiting')
  const landed = await database.sql<{ bead_id: string; candidate: string; session_id: string }[]>`
    select l.bead_id, l.candidate, (select min(session_id) from swarm.agent_sessions s where s.bead_id = l.bead_id) as session_id
    from swarm.landings l where l.status = 'landed' order by l.bead_id`
  const [first, second, third] = landed
  const session = first?.session_id ?? ''
  const worktrees = join(root, '.swarm', 'worktrees')
  const place = (name: string) => join(worktrees, name)
  const add = (name: string, from: string) =>
    git(['worktree', 'add', '--quiet', '-b', `swarm/${name}`, place(name), from])

  add('done=2e=1', first?.candidate ?? '')
  add('done=2e=2', second?.candidate ?? '')
  writeFileSync(join(place('done=2e=2'), 'thought.txt'), 'not committed\n')
  add(pathName(long), third?.candidate ?? '')
  add('waiting', 'main')
  // of a bead of another database, where an agent is at work
  add('elsewhere', 'main')
  const agent = spawn('sleep', ['600'], { cwd: place('elsewhere') })
  await once(agent, 'spawn')
  add('stranger', 'main')
  scratch.commit('own.txt', 'work of its own\n', place('stranger'))
  const own = git(['rev-parse', 'swarm/stranger'])
  git(['branch', 'swarm/empty', 'main'])
  git(['update-ref', 'refs/swarm/salvage/done=2e=1/1-s', 'main'])
  const lost = scratch.commit('lost.txt', 'what a session left\n', place('stranger'))
  git(['update-ref', 'refs/swarm/salvage/stranger/1-s', own])
  mkdirSync(place('foreign'))
  // made by a process of this machine that is gone, and by one that runs
  const gone = thisProcess().replace(/\d+$/, '1')
  const [orphan, living] = [place(`checkout-${gone}-abc123`), place(`checkout-${thisProcess()}-abc123`)]
  for (const path of [orphan, living]) git(['worktree', 'add', '--quiet', '--detach', path, 'main'])
  const index = (who: string) => join(root, '.git', `swarm-index-${who}-abc`)
  for (const who of [gone, thisProcess()]) writeFileSync(index(who), '')
  const temporary = mkdtempSync(join(tmpdir(), `swarm-${session}-`))
  const others = mkdtempSync(join(tmpdir(), 'swarm-s-0123456789ab-'))
  const logs = join(root, '.swarm', 'logs')
  mkdirSync(logs, { recursive: true })
  for (const name of [session, 's-unknown', second?.session_id ?? ''])
    writeFileSync(join(logs, `${name}.log`), 'x\n')
  const old = new Date('2026-01-01')
  for (const name of [session, 's-unknown']) utimesSync(join(logs, `${name}.log`), old, old)

  const removed = [
    `checkout ${orphan}: the process that made it is gone`,
    `directory ${session}: its session is over`,
    `index ${index(gone)}: the process that made it is gone`,
    `log ${session}.log: its session is over, and it is old`,
    'ref refs/swarm/salvage/done=2e=1/1-s: it is part of main',
    'workspace done.1: all of it has landed or is kept',
    'workspace empty: all of it has landed or is kept',
    `workspace ${long}: all of it has landed or is kept`,
  ]
  const left = [
    'ref refs/swarm/salvage/stranger/1-s: it holds work that is not on main',
    'workspace done.2: it has changes that are not committed',
    `workspace elsewhere: sleep (process ${agent.pid}) runs in it`,
    'workspace foreign: its directory is no worktree of its branch',
    'workspace stranger: it has commits that have not landed and that nothing else keeps',
    'workspace waiting: its bead is pending',
  ]
  const dry = await ask<{ would_do: readonly string[] }>('gc', '--dry')
  expect([...dry.would_do].sort()).toEqual(
    [...removed.map((one) => `remove ${one}`), ...left.map((one) => `leave ${one}`)].sort(),
  )
  expect(existsSync(place('done=2e=1'))).toBe(true)

  const found = await ask<Collected>('gc', '--reason', 'the disk is full', '--idem', 'gc-1')
  expect(short(found.removed)).toEqual(removed)
  expect(short(found.left)).toEqual(left)
  expect(existsSync(place('done=2e=1'))).toBe(false)
  for (const path of [temporary, orphan, index(gone), join(logs, `${session}.log`)])
    expect(existsSync(path)).toBe(false)
  for (const path of [others, living, index(thisProcess()), place('elsewhere'), place('done=2e=2')])
    expect(existsSync(path)).toBe(true)
  git(['cat-file', '-e', lost])
  expect(git(['rev-parse', 'swarm/stranger'])).toBe(lost)
  expect(
    await database.sql`select payload ->> 'reason' as reason from swarm.execution_events where event_type = 'leftovers_removed'`,
  ).toMatchObject([{ reason: 'the disk is full' }])

  // the same request again has its first answer; another finds nothing to remove
  expect(await ask('gc', '--reason', 'the disk is full', '--idem', 'gc-1')).toEqual(found)
  const again = await ask<Collected>('gc')
  expect(again.removed).toEqual([])
  expect(short(again.left)).toEqual(left)
  agent.kill('SIGKILL')
  for (const path of [others, temporary]) rmSync(path, { recursive: true, force: true })
}, 120_000)
