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

async function verdictOf(commit: string, argv: readonly string[], path: string) {
  const tree = await treeOf(scratch.root, commit)
  const gates = [{ stage: 'qa', argv, timeoutMs: 20_000 }]
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
