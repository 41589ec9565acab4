import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runGates } from '../../src/orchestrator/gate.ts'
import { openRepository, type Repository, treeOf } from '../../src/workspaces/repository.ts'
import { scratchRepository } from '../support/git.ts'

const scratch = scratchRepository()
let repository: Repository
beforeAll(async () => {
  repository = await openRepository(scratch.root, 'main')
})
afterAll(() => scratch.remove())

function script(file: string, text: string): void {
  mkdirSync(join(file, '..'), { recursive: true })
  writeFileSync(file, `#!/bin/sh\n${text}\n`)
  chmodSync(file, 0o755)
}

async function verdictOf(commit: string, argv: readonly string[], path: string, files?: readonly string[]) {
  const tree = await treeOf(scratch.root, commit)
  const gates = [{ stage: 'qa', argv, timeoutMs: 20_000, ...(files ? { files } : {}) }]
  return runGates(repository, commit, tree, gates, path, new AbortController().signal)
}

test('the program of a gate is the operator’s, whatever the commit and the working copy hold under its name', async () => {
  const planted = join(scratch.root, '..', 'planted')
  script(join(scratch.root, 'check'), 'exit 1')
  const bin = join(scratch.root, 'bin')
  script(join(bin, 'gate-of-the-operator'), `touch ${planted}`)
  scratch.git(['add', '--', 'check', 'bin'])
  scratch.git(['commit', '--quiet', '-m', 'what an agent commits'])
  const commit = scratch.git(['rev-parse', 'HEAD'])
  const system = process.env.PATH ?? ''

  const path = ['bin', '', '.', bin, system].join(':')
  expect(await verdictOf(commit, ['gate-of-the-operator'], path)).toMatchObject({ passed: false })
  expect(existsSync(planted)).toBe(false)

  script(join(scratch.root, 'check'), 'test "$(git show HEAD:check | tail -1)" = "exit 1"')
  expect(await verdictOf(commit, ['./check'], system)).toMatchObject({ passed: true })
})

test('work that changes what its gate is made of is not judged by it', async () => {
  const path = process.env.PATH ?? ''
  script(join(scratch.root, 'ci', 'judge.sh'), 'exit 0')
  script(join(scratch.root, 'test', 'one.sh'), 'exit 0')
  scratch.git(['add', '--all', 'ci', 'test'])
  scratch.git(['commit', '--quiet', '-m', 'a gate'])
  scratch.git(['checkout', '--quiet', '-b', 'work'])
  const fair = scratch.commit('work.txt', 'work')
  script(join(scratch.root, 'test', 'one.sh'), 'true')
  const other = scratch.commit('test/one.sh', '#!/bin/sh\n')
  const bent = scratch.commit('ci/judge.sh', '#!/bin/sh\nexit 0 # whatever it is\n')
  // what has landed meanwhile is not the work's
  scratch.git(['checkout', '--quiet', 'main'])
  scratch.commit('ci/judge.sh', '#!/bin/sh\nexit 0 # of the operator\n')
  const judge = ['sh', './ci/judge.sh']
  expect(await verdictOf(fair, judge, path)).toMatchObject({ passed: true })
  expect(await verdictOf(other, judge, path)).toMatchObject({ passed: true })
  expect(await verdictOf(bent, judge, path)).toMatchObject({
    passed: false,
    feedback: expect.stringContaining('the work changes ci/judge.sh'),
    evidence: [{ exit_code: -1 }],
  })
  expect(await verdictOf(other, ['true'], path, ['test/**'])).toMatchObject({
    passed: false,
    feedback: expect.stringContaining('test/one.sh'),
  })
  // said so, a gate may be changed
  expect(await verdictOf(bent, judge, path, [])).toMatchObject({ passed: true })
})
