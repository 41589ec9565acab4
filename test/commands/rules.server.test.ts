import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { JsonObject } from '../../src/contract/json.ts'
import { testDatabase } from '../support/database.ts'
import { seedOfRun } from '../support/random.ts'

const { sql } = await testDatabase()
const seed = seedOfRun('rules')
let repos = 0

interface Answer {
  readonly d?: Record<string, unknown>
  readonly refused?: { readonly code: string }
}

async function run(repo: string, cmd: string, args: JsonObject): Promise<Answer> {
  const [row] =
    await sql`select swarm.run(${repo}, ${cmd}, ${JSON.stringify(args)}::text::jsonb, '{"session":"s"}', ${randomUUID()}) as r`
  return row?.r
}

const STAGES = ['contract', 'implement', 'qa', 'red-queen'] as const
const BACK_TO: Readonly<Record<string, string>> = {
  contract: 'contract',
  implement: 'implement',
  qa: 'implement',
  'red-queen': 'implement',
}
const MAX_ATTEMPTS = 3

/** The default workflow as a reader of the design would write it down: what one outcome makes of a bead. */
function expected(tries: Map<string, number>, stage: string, outcome: string) {
  const done = (tries.get(stage) ?? 0) + 1
  tries.set(stage, done)
  if (outcome === 'passed') {
    const next = STAGES[STAGES.indexOf(stage as (typeof STAGES)[number]) + 1]
    if (!next) return { transition: 'finalize', stage: 'done', attempt: done, kept: false }
    return { transition: 'advance', stage: next, attempt: (tries.get(next) ?? 0) + 1, kept: true }
  }
  const back = outcome === 'failed' ? (BACK_TO[stage] ?? stage) : stage
  const attempt = (tries.get(back) ?? 0) + 1
  if (attempt > MAX_ATTEMPTS) return { transition: 'block', stage: back, attempt: done, kept: false }
  return { transition: 'retry', stage: back, attempt, kept: true }
}

test('every sequence of outcomes makes the transitions of the default workflow', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom('passed', 'passed', 'failed', 'error'), { minLength: 1, maxLength: 14 }),
      async (outcomes) => {
        const repo = `flow-${++repos}`
        await run(repo, 'register', { count: 1 })
        await run(repo, 'enqueue', { beads: [{ bead_id: 'b', title: 'b' }] })
        await run(repo, 'claim-next', { agent_id: 1 })
        const tries = new Map<string, number>()
        let stage: string = 'contract'
        for (const outcome of outcomes) {
          const answer = await run(repo, 'complete-stage', { agent_id: 1, outcome, feedback: 'because' })
          const want = expected(tries, stage, outcome)
          expect(answer.d).toEqual(want)
          stage = want.stage
          if (!want.kept) {
            const [bead] = await sql`select status, stage from swarm.bead_backlog where repo_id = ${repo}`
            expect(bead?.status).toBe(want.transition === 'finalize' ? 'completed' : 'blocked')
            expect(
              (await run(repo, 'complete-stage', { agent_id: 1, outcome: 'passed' })).refused?.code,
            ).toBe('CONFLICT')
            return
          }
        }
        const [claim] =
          await sql`select lease_expires_at > clock_timestamp() as live from swarm.bead_claims where repo_id = ${repo}`
        expect(claim?.live).toBe(true)
      },
    ),
    { numRuns: 60, seed },
  )
}, 120_000)

type Step =
  | { readonly kind: 'finish' }
  | { readonly kind: 'cancel' | 'reopen'; readonly bead: number }
  | { readonly kind: 'link'; readonly bead: number; readonly others: readonly number[] }

const SIZE = 8
const index = fc.integer({ min: 0, max: SIZE - 1 })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Step>({ kind: 'finish' }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom('cancel' as const, 'reopen' as const), bead: index }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('link' as const),
      bead: index,
      others: fc.array(index, { maxLength: 3 }),
    }),
  },
)

test('a bead is ready exactly when it is pending and nothing that it waits for is open', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const repo = `ready-${++repos}`
      const ids = Array.from({ length: SIZE }, (_, n) => `b${n}`)
      const status = new Map(ids.map((id) => [id, 'pending']))
      const waits = new Map<string, Set<string>>(ids.map((id) => [id, new Set()]))
      const isOpen = (id: string) => status.get(id) === 'pending'
      const reaches = (from: string, to: string): boolean =>
        from === to || [...(waits.get(from) ?? [])].some((next) => reaches(next, to))
      const readyIds = () => ids.filter((id) => isOpen(id) && ![...(waits.get(id) ?? [])].some(isOpen))

      await run(repo, 'register', { count: 1 })
      await run(repo, 'enqueue', { beads: ids.map((bead_id) => ({ bead_id, title: bead_id })) })
      for (const one of steps) {
        if (one.kind === 'finish') {
          const claim = await run(repo, 'claim-next', { agent_id: 1 })
          // beads come by priority, then age: here all of one priority, in the order they were added
          const first = readyIds()[0]
          const bead = claim.d?.bead as { bead_id: string } | null
          expect(bead?.bead_id).toBe(first)
          if (!first) continue
          for (let n = 0; n < STAGES.length; n++)
            await run(repo, 'complete-stage', { agent_id: 1, outcome: 'passed' })
          status.set(first, 'completed')
        } else if (one.kind === 'link') {
          const id = `b${one.bead}`
          const others = [...new Set(one.others.map((n) => `b${n}`))]
          const before = waits.get(id) ?? new Set<string>()
          waits.set(id, new Set([...before].filter((other) => others.includes(other))))
          const cyclic = others.some(
            (other) => !before.has(other) && reachesWith(waits, before, id, other, reaches),
          )
          const answer = await run(repo, 'update', { bead_id: id, depends_on: others })
          expect(answer.refused?.code).toBe(cyclic ? 'CONFLICT' : undefined)
          waits.set(id, cyclic ? before : new Set(others))
        } else {
          const id = `b${one.bead}`
          const answer = await run(repo, one.kind, { bead_id: id })
          if (one.kind === 'cancel' && isOpen(id)) status.set(id, 'cancelled')
          if (one.kind === 'reopen') {
            expect(answer.refused?.code).toBe(isOpen(id) ? 'CONFLICT' : undefined)
            status.set(id, 'pending')
          }
        }
        const ready = await sql`select bead_id from swarm.bead_backlog
          where repo_id = ${repo} and status = 'pending' and open_blockers = 0 order by id`
        expect(ready.map((row) => row.bead_id)).toEqual(readyIds())
      }
    }),
    { numRuns: 40, seed },
  )
}, 120_000)

/** Whether `other` leads back to `id` over the links as they stand before the change. */
function reachesWith(
  waits: Map<string, Set<string>>,
  before: Set<string>,
  id: string,
  other: string,
  reaches: (from: string, to: string) => boolean,
): boolean {
  const kept = waits.get(id) ?? new Set()
  waits.set(id, before)
  const found = reaches(other, id)
  waits.set(id, kept)
  return found
}
