import { afterEach, beforeEach, expect, test } from 'vitest'
import { keepLate, obtain, publish, withdraw } from '../../src/workspaces/exchange.ts'
import { candidateRef } from '../../src/workspaces/names.ts'
import { openRepository, type Repository } from '../../src/workspaces/repository.ts'
import { ensureWorkspace } from '../../src/workspaces/workspace.ts'
import { type ScratchRepository, scratchRepository } from '../support/git.ts'

let scratch: ScratchRepository
let repository: Repository
beforeEach(async () => {
  scratch = scratchRepository({ remote: true })
  repository = await openRepository(scratch.root, 'main')
})
afterEach(() => scratch.remove())

const refs = (at: string) => scratch.git(['for-each-ref', '--format=%(refname)', 'refs/swarm/candidate'], at)

async function work(id: string): Promise<string> {
  const { path } = await ensureWorkspace(repository, id)
  return scratch.commit(`${id}.txt`, id, path)
}

test('a result that came too late is kept under its bead, once; one that has landed needs no keeping', async () => {
  const commit = await work('late')
  await keepLate(repository, { beadId: 'late', commit })
  await keepLate(repository, { beadId: 'late', commit })
  expect(refs(scratch.root)).toBe(candidateRef('late', commit))
  expect(scratch.git(['rev-parse', candidateRef('late', commit)])).toBe(commit)
  const landed = await work('landed')
  scratch.git(['merge', '--quiet', '--ff-only', landed])
  await keepLate(repository, { beadId: 'landed', commit: landed })
  expect(refs(scratch.root)).toBe(candidateRef('late', commit))
})

test('what a host has handed on is got by another, and taken back of beads that are over only', async () => {
  const one = { beadId: 'one', commit: await work('one') }
  const two = { beadId: 'two', commit: await work('two') }
  await publish(repository, 'origin', one)
  await publish(repository, 'origin', two)
  const missing = { beadId: 'one', commit: '1'.repeat(40) }
  expect(await obtain(repository, 'origin', missing)).toBe(false)
  expect(await obtain(repository, 'origin', one)).toBe(true)
  await withdraw(repository, 'origin', async (ids) => new Set(ids.filter((id) => id === 'one')))
  expect(refs(scratch.remote ?? '')).toBe(candidateRef('two', two.commit))
})
