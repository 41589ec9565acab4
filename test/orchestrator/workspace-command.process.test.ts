import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { runSwarm } from '../support/swarm.ts'
import { makeYard, type Yard } from './support.ts'

const database = await testDatabase()
let yard: Yard | undefined
afterAll(() => yard?.scratch.remove())

test('beads are worked on in clones that a command makes, land, and leave nothing', async () => {
  yard = await makeYard(database, {
    repo: 'clones',
    more: '[orchestrator]\nworkspace = "command"\nworkspace_command = { create = [".swarm/make"], remove = [".swarm/unmake"] }\n',
    // the first try of b2 crashes: what it had is kept in the repository
    script: { faults: [{ fault: 'crash', beads: ['b2'], stages: ['implement'], attempts: [1] }] },
  })
  const { ask, start, landed, leftovers, scratch, env } = yard
  const file = (name: string) => join(scratch.root, '.swarm', name)
  const script = (name: string, line: string) => {
    writeFileSync(
      file(name),
      `#!/bin/sh\nset -e\necho "$0 $SWARM_BEAD_ID" >> "$SWARM_ROOT/.swarm/calls"\n${line}\n`,
    )
    chmodSync(file(name), 0o755)
  }
  script(
    'make',
    'git clone -q --shared --no-checkout "$SWARM_ROOT" "$SWARM_WORKSPACE"\ncd "$SWARM_WORKSPACE"\ngit checkout -q -b "$SWARM_BRANCH" "$SWARM_COMMIT"',
  )
  script('unmake', 'rm -r "$SWARM_WORKSPACE"')
  const beads = ['b1', 'b2', 'b3'].map((bead_id) => ({ bead_id, title: bead_id, depends_on: [] as string[] }))
  beads[2]?.depends_on.push('b1')
  await ask('enqueue', '--json', JSON.stringify({ beads }))
  const { code, stderr } = await start('up', '--agents', 'implementer=2,reviewer=1').ended
  expect(stderr).toBe('')
  expect(code).toBe(0)
  expect(landed()).toEqual(['demo/b1.txt', 'demo/b2.txt', 'demo/b3.txt'])
  expect(scratch.git(['for-each-ref', '--format=%(refname)', 'refs/swarm/salvage/'])).toMatch(
    /^refs\/swarm\/salvage\/b2\/1-s-[\w-]+$/,
  )
  expect(await leftovers()).toEqual([])
  expect(readdirSync(file('worktrees'))).toEqual([])
  const calls = readFileSync(file('calls'), 'utf8').trimEnd().split('\n').sort()
  expect(calls.map((line) => line.slice(line.lastIndexOf('/') + 1))).toEqual(
    ['make', 'unmake'].flatMap((name) => beads.map(({ bead_id }) => `${name} ${bead_id}`)),
  )

  // a command that is not there is said before anything begins
  const config = readFileSync(file('config.toml'), 'utf8')
  writeFileSync(file('config.toml'), config.replace('".swarm/make"', '"./gone"'))
  const { stdout, code: exit } = await runSwarm(['up'], { env, cwd: scratch.root })
  expect(exit).toBe(7)
  expect(JSON.parse(stdout).err).toMatchObject({
    msg: expect.stringContaining('workspace_command.create'),
    ctx: { field: 'orchestrator.workspace_command.create' },
  })
}, 240_000)
