import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { JsonObject } from '../../src/contract/json.ts'
import { openAt, scratch } from '../commands/setup-support.ts'
import { testDatabase } from '../support/database.ts'
import { gatesOf } from '../support/gates.ts'

const { sql, url } = await testDatabase()
const dir = scratch()
let repos = 0

/** A repo of its own with agent 1 and the bead `api`, in the first stage, not claimed. */
async function repoWithBead() {
  const repo = `attempts-${++repos}`
  const place = openAt(dir, { DATABASE_URL: url, SWARM_REPO: repo, PATH: process.env.PATH ?? '' })
  await place.ask({ cmd: 'register', count: 1 })
  await place.ask({ cmd: 'enqueue', beads: [{ bead_id: 'api', title: 'Write the API' }] })
  return { repo, place }
}

async function run(repo: string, cmd: string, args: JsonObject, proc: JsonObject) {
  const [row] = await sql`
    select swarm.run(${repo}, ${cmd}, ${JSON.stringify(args)}::text::jsonb, ${JSON.stringify(proc)}::text::jsonb, ${randomUUID()}) as r`
  return row?.r
}

async function beadOf(repo: string) {
  const [bead] =
    await sql`select status, stage, verification_status from swarm.bead_backlog where repo_id = ${repo}`
  return bead
}

const historyOf = (repo: string) =>
  sql`select stage, attempt_number as attempt, status from swarm.stage_history where repo_id = ${repo} order by id`

test.each(['run-once', 'work'])('%s does not complete an attempt that it did not begin', async (cmd) => {
  const { repo, place } = await repoWithBead()
  const fifo = join(dir, repo)
  execFileSync('mkfifo', [fifo])
  const running = place.send({ cmd, rid: 'r', agent_id: 1, command: ['cat', fifo] })
  // opens as soon as the command reads it
  const release = await open(fifo, 'w')
  // the same stage under the same number, and yet another attempt
  expect(await place.ask({ cmd: 'start-stage', agent_id: 1 })).toMatchObject({
    stage: 'contract',
    attempt: 1,
  })
  await release.close()
  expect(await running).toMatchObject({ ok: true, d: { by_command: true } })
  expect(await beadOf(repo)).toMatchObject({ stage: 'contract' })
  expect((await historyOf(repo)).map(({ stage, attempt }) => `${stage} ${attempt}`)).toEqual([
    'contract 1',
    'contract 1',
  ])
  expect(await historyOf(repo)).not.toContainEqual(expect.objectContaining({ status: 'passed' }))
})

test('evidence that swarm itself gathered passes no stage unless all of it exited with 0, gate or not', async () => {
  const { repo, place } = await repoWithBead()
  await place.ask({ cmd: 'claim-next', agent_id: 1 })
  const pass = (...codes: (number | null)[]): JsonObject => ({
    agent_id: 1,
    outcome: 'passed',
    evidence: codes.map((exit_code) => ({ command: 'make', exit_code, output: `exited with ${exit_code}` })),
  })
  for (const codes of [[1], [0, 1], [null]]) {
    expect(await run(repo, 'complete-stage', pass(...codes), { verified: true })).toMatchObject({
      refused: { code: 'CONFLICT', area: 'stage' },
    })
  }
  expect(await beadOf(repo)).toMatchObject({ stage: 'contract', verification_status: 'unverified' })
  // what an agent merely says stands, but is no claim of success
  await run(repo, 'complete-stage', pass(1), {})
  expect(await beadOf(repo)).toMatchObject({ stage: 'implement', verification_status: 'unverified' })
  await run(repo, 'complete-stage', pass(0), { verified: true })
  expect(await beadOf(repo)).toMatchObject({ stage: 'qa', verification_status: 'verified' })
})

test('evidence says in which stage and attempt and under which fence it was made', async () => {
  const { repo, place } = await repoWithBead()
  await place.ask({ cmd: 'claim-next', agent_id: 1 })
  await place.ask({
    cmd: 'complete-stage',
    agent_id: 1,
    outcome: 'passed',
    evidence: [{ command: 'make', exit_code: 0 }],
  })
  const [stored] = await sql`select metadata from swarm.stage_artifacts where repo_id = ${repo}`
  expect(stored?.metadata).toMatchObject({ exit_code: 0, stage: 'contract', attempt: 1, fence: 1 })
})

test('a gate of qa that was run while implementing is no evidence for the stage qa', async () => {
  const { repo } = await repoWithBead()
  const root = scratch()
  await gatesOf(sql, root)(repo, 'qa', ['true'])
  const place = openAt(root, { DATABASE_URL: url, SWARM_REPO: repo, PATH: process.env.PATH ?? '' })
  await place.ask({ cmd: 'claim-next', agent_id: 1 })
  await place.ask({ cmd: 'complete-stage', agent_id: 1, outcome: 'passed' })
  await place.ask({ cmd: 'qa', rid: 'q', agent_id: 1 })
  await place.ask({ cmd: 'complete-stage', agent_id: 1, outcome: 'passed' })
  expect(await place.refused({ cmd: 'complete-stage', agent_id: 1, outcome: 'passed' })).toMatchObject({
    code: 'CONFLICT',
    ctx: { stage: 'qa' },
  })
})
