import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { JsonObject } from '../../src/contract/json.ts'
import { testDatabase } from '../support/database.ts'

const { sql } = await testDatabase()
let repos = 0

interface Answer {
  readonly d?: Readonly<Record<string, unknown>>
  readonly refused?: { readonly code: string; readonly area: string }
}

/** A bead that agent 1 holds with a lease of a minute, and the attempt that something is run for. */
async function begun() {
  const repo = `finish-${++repos}`
  const run = async (cmd: string, args: JsonObject, proc: JsonObject = {}): Promise<Answer> => {
    const [row] = await sql`
      select swarm.run(${repo}, ${cmd}, ${JSON.stringify(args)}::text::jsonb, ${JSON.stringify(proc)}::text::jsonb, ${randomUUID()}) as r`
    return row?.r
  }
  await run('register', { count: 1 })
  await run('enqueue', { beads: [{ bead_id: 'b', title: 'b' }] })
  await run('assign', { bead_id: 'b', agent_id: 1 })
  await sql`update swarm.bead_claims set lease_ms = 60000 where repo_id = ${repo}`
  const [row] = await sql`select fence::integer, id::integer as attempt_id
    from swarm.stage_history where repo_id = ${repo} and status = 'started'`
  const claim = { agent_id: 1, bead_id: 'b', fence: Number(row?.fence), attempt_id: Number(row?.attempt_id) }
  const complete = { agent_id: 1, bead_id: 'b', fence: claim.fence, stage: 'contract', outcome: 'passed' }
  return {
    run,
    claim,
    complete,
    lease: async () =>
      (await sql`select lease_ms from swarm.bead_claims where repo_id = ${repo}`)[0]?.lease_ms,
    bead: async () =>
      (await sql`select status, stage from swarm.bead_backlog where repo_id = ${repo}`).map((b) => ({
        ...b,
      }))[0],
    reports: () =>
      sql`select a.trust, h.id::integer as attempt_id from swarm.stage_artifacts a
        join swarm.stage_history h on h.id = a.stage_history_id where a.repo_id = ${repo}`,
  }
}
type Begun = Awaited<ReturnType<typeof begun>>

/** What becomes of the claim while something is run under it. */
const MEANWHILE = {
  held: async () => undefined,
  moved: ({ run }: Begun) => run('start-stage', { agent_id: 1 }),
  ended: ({ run }: Begun) => run('release', { agent_id: 1, to: 'blocked' }),
  lost: ({ run }: Begun) => run('cancel', { bead_id: 'b' }),
} as const
type Meanwhile = keyof typeof MEANWHILE

async function finish(meanwhile: Meanwhile, cmd: string, proc: (of: Begun) => JsonObject) {
  const of = await begun()
  await MEANWHILE[meanwhile](of)
  const answer = await of.run(cmd, { agent_id: 1 }, { claim: of.claim, ...proc(of) })
  return { ...of, answer }
}

const completes = ({ complete }: Begun) => ({ complete, release: 'over', lease_ms: 5_000, ran: {} })
const keeps = ({ complete }: Begun) => ({ complete, lease_ms: 5_000, ran: {} })
const CONFLICT = { refused: { code: 'CONFLICT' } }

describe('run-once', () => {
  test.each<[Meanwhile, object, object, number | undefined]>([
    [
      'held',
      { d: { transition: 'advance', stage: 'implement', attempt: 1, kept: true } },
      { status: 'in_progress', stage: 'implement' },
      5_000,
    ],
    [
      'moved',
      { d: { transition: 'noop', stage: 'contract', attempt: 1, kept: true, by_command: true } },
      { status: 'in_progress', stage: 'contract' },
      60_000,
    ],
    [
      'ended',
      { d: { transition: 'noop', stage: 'contract', attempt: 1, kept: false, by_command: true } },
      { status: 'blocked', stage: 'contract' },
      undefined,
    ],
  ])('of a claim that is %s', async (meanwhile, said, left, lease) => {
    const { answer, bead, ...after } = await finish(meanwhile, 'run-once', keeps)
    expect(answer).toMatchObject(said)
    expect(answer.d?.by_command).toBe(meanwhile === 'held' ? undefined : true)
    expect(await bead()).toEqual(left)
    expect(await after.lease()).toBe(lease)
  })

  test.each<[Meanwhile, object]>([
    ['held', { status: 'pending' }],
    ['moved', { status: 'pending' }],
    ['ended', { status: 'blocked' }],
  ])('gives back a claim that is %s when it is stopped', async (meanwhile, left) => {
    const stopped = () => ({ release: 'over', reason: 'shutdown' })
    const { answer, bead } = await finish(meanwhile, 'run-once', stopped)
    expect(answer).toEqual({ d: { ran: null, reason: 'shutdown' } })
    expect(await bead()).toMatchObject(left)
  })
})

test.each<[Meanwhile, object, object]>([
  [
    'held',
    { d: { bead_id: 'b', stage: 'contract', attempt: 1, outcome: 'passed', next_stage: 'implement' } },
    { status: 'pending', stage: 'implement' },
  ],
  ['moved', { d: { by_command: true, status: 'pending' } }, { status: 'pending', stage: 'contract' }],
  ['ended', { d: { by_command: true, status: 'blocked' } }, { status: 'blocked', stage: 'contract' }],
])('work of a claim that is %s keeps none', async (meanwhile, said, left) => {
  const { answer, bead } = await finish(meanwhile, 'work', completes)
  expect(answer).toMatchObject(said)
  expect(Object.keys(answer.d ?? {})).not.toContain('kept')
  expect(await bead()).toEqual(left)
})

describe('qa', () => {
  const evidence = () => ({ evidence: { exit_code: 0, output: 'fine' }, ran: { exit_code: 0 } })

  test('stores evidence with the attempt that runs, and decides nothing', async () => {
    const { answer, bead, claim, reports, lease } = await finish('held', 'qa', evidence)
    expect(answer).toEqual({ d: { ran: { exit_code: 0 } } })
    expect(await bead()).toEqual({ status: 'in_progress', stage: 'contract' })
    expect(await reports()).toEqual([{ trust: 'verified', attempt_id: claim.attempt_id }])
    expect(await lease()).toBe(60_000)
  })

  test.each<Meanwhile>(['moved', 'ended', 'lost'])(
    'stores none under a claim that is %s',
    async (meanwhile) => {
      const { answer, reports } = await finish(meanwhile, 'qa', evidence)
      expect(answer).toMatchObject(CONFLICT)
      expect(await reports()).toEqual([])
    },
  )
})

test.each(['run-once', 'work'])('%s of a claim that was lost changes nothing', async (cmd) => {
  const { answer, bead } = await finish('lost', cmd, completes)
  expect(answer).toMatchObject({ refused: { code: 'CONFLICT', area: 'claim' } })
  expect(await bead()).toEqual({ status: 'cancelled', stage: 'contract' })
})

test('an attempt that is none of this claim is finished by nobody', async () => {
  const of = await begun()
  const claim = { ...of.claim, attempt_id: of.claim.attempt_id + 1 }
  for (const cmd of ['run-once', 'work', 'qa'])
    expect(await of.run(cmd, { agent_id: 1 }, { ...completes(of), claim })).toMatchObject({
      refused: { code: 'CONFLICT', area: 'stage' },
    })
  expect(await of.bead()).toEqual({ status: 'in_progress', stage: 'contract' })
})
