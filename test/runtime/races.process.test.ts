import { afterEach, describe, expect, test } from 'vitest'
import type { JsonObject } from '../../src/contract/json.ts'
import { testDatabase } from '../support/database.ts'
import { pick, seeded, seedOfRun } from '../support/random.ts'
import { letAnyoneReview } from '../support/reviews.ts'
import { openPipe, type Pipe } from '../support/swarm.ts'

interface Claim {
  readonly bead: { readonly bead_id: string } | null
  readonly reason?: string
  readonly fence?: number
}
interface Completed {
  readonly kept: boolean
  readonly transition: string
}

const database = await testDatabase()
const pipes: Pipe[] = []

function open(repo: string, extra: Record<string, string> = {}): Pipe {
  const pipe = openPipe({ DATABASE_URL: database.url, SWARM_REPO: repo, ...extra })
  pipes.push(pipe)
  return pipe
}

afterEach(async () => {
  await Promise.all(pipes.splice(0).map((pipe) => pipe.close().catch(() => {})))
})

/** Beads whose stored count of open blockers is not what a recount says. */
async function wrongCounts(repo: string) {
  return database.sql`
    select bead_id, open_blockers, swarm.count_blockers(repo_id, bead_id) as counted from swarm.bead_backlog
    where repo_id = ${repo} and open_blockers <> swarm.count_blockers(repo_id, bead_id)`
}

/** Claims and completes until nothing is left; answers how many beads this worker finished. */
async function work(pipe: Pipe, agentId: number): Promise<number> {
  for (let finished = 0; ; ) {
    const claim = await pipe.ok<Claim>({ cmd: 'claim-next', agent_id: agentId, wait_ms: 2_000 })
    if (!claim.bead && claim.reason === 'empty') return finished
    if (!claim.bead) continue
    for (let kept = true; kept; ) {
      const done = await pipe.ok<Completed>({ cmd: 'complete-stage', agent_id: agentId, outcome: 'passed' })
      kept = done.kept
      if (done.transition === 'finalize') finished++
    }
  }
}

describe('one backlog, many processes', () => {
  test('8 processes finish 500 beads, each bead once, and nobody reviews their own work', async () => {
    const random = seeded(seedOfRun('backlog of 500'))
    const repo = 'five-hundred'
    const first = open(repo)
    await first.ok({ cmd: 'register', count: 8 })
    await database.sql`update swarm.workflow_stages set independent = 'require' where repo_id = ${repo} and independent = 'prefer'`
    const beads = Array.from({ length: 500 }, (_, n) => ({
      bead_id: `b${n}`,
      title: `bead ${n}`,
      priority: pick(['p0', 'p1', 'p2', 'p3', 'p4'], random),
      depends_on:
        n > 10 && random() < 0.4 ? [`b${Math.floor(random() * n)}`, `b${Math.floor(random() * n)}`] : [],
    }))
    await first.ok({ cmd: 'enqueue', beads })

    const workers = [first, ...Array.from({ length: 7 }, () => open(repo))]
    const finished = await Promise.all(workers.map((pipe, at) => work(pipe, at + 1)))

    expect(finished.reduce((sum, n) => sum + n, 0)).toBe(500)
    const finals = await database.sql`
      select bead_id, count(*)::integer as times from swarm.execution_events
      where repo_id = ${repo} and event_type = 'transition_finalize' group by bead_id`
    expect(finals).toHaveLength(500)
    expect(finals.filter((row) => row.times !== 1)).toEqual([])
    expect(
      await database.sql`select 1 from swarm.bead_backlog where repo_id = ${repo} and status <> 'completed'`,
    ).toHaveLength(0)
    expect(
      await database.sql`select 1 from swarm.bead_claims where repo_id = ${repo} and status = 'in_progress'`,
    ).toHaveLength(0)
    expect(await wrongCounts(repo)).toEqual([])
    const own = await database.sql`
      select r.bead_id from swarm.stage_history r join swarm.stage_history i
        on i.repo_id = r.repo_id and i.bead_id = r.bead_id and i.agent_id = r.agent_id and i.stage = 'implement' and i.status = 'passed'
      where r.repo_id = ${repo} and r.stage in ('qa', 'red-queen') and r.status = 'passed'`
    expect(own).toEqual([])
    // nobody claimed a bead while one it waits for was still open
    const early = await database.sql`
      select c.bead_id from swarm.execution_events c join swarm.bead_links l on l.repo_id = c.repo_id and l.bead_id = c.bead_id
        join swarm.execution_events f on f.repo_id = l.repo_id and f.bead_id = l.other_id and f.event_type = 'transition_finalize'
      where c.repo_id = ${repo} and c.event_type = 'bead_claimed' and c.seq < f.seq`
    expect(early).toEqual([])
  }, 120_000)
})

describe('open blockers', () => {
  test.each([1, 2, 3])(
    'equal a recount after finishing, linking, reopening and importing at once (%i)',
    async (round) => {
      const seed = seedOfRun(`links ${round}`) + round
      const repo = `links-${round}`
      const ids = Array.from({ length: 24 }, (_, n) => `b${n}`)
      const first = open(repo)
      await first.ok({ cmd: 'register', count: 4 })
      await first.ok({ cmd: 'enqueue', beads: ids.map((bead_id) => ({ bead_id, title: bead_id })) })

      const act = async (pipe: Pipe, agentId: number) => {
        const random = seeded(seed * 31 + agentId)
        const codes: string[] = []
        for (let n = 0; n < 120; n++) {
          const bead_id = pick(ids, random)
          const roll = random()
          const request: JsonObject =
            roll < 0.35
              ? { cmd: 'claim-next', agent_id: agentId }
              : roll < 0.6
                ? {
                    cmd: 'update',
                    bead_id,
                    depends_on: [...new Set([pick(ids, random), pick(ids, random)])].filter(
                      (id) => id !== bead_id,
                    ),
                  }
                : roll < 0.75
                  ? { cmd: 'reopen', bead_id }
                  : roll < 0.85
                    ? { cmd: 'cancel', bead_id }
                    : {
                        cmd: 'enqueue',
                        beads: [{ bead_id: `x${agentId}-${n}`, title: 'new', depends_on: [bead_id] }],
                      }
          const envelope = await pipe.send(request)
          if (!envelope.ok) codes.push(envelope.err.code)
          else if (request.cmd === 'claim-next' && (envelope.d as unknown as Claim).bead) {
            for (let kept = true; kept; ) {
              const done = await pipe.send({ cmd: 'complete-stage', agent_id: agentId, outcome: 'passed' })
              kept = done.ok && (done.d as unknown as Completed).kept
            }
          }
        }
        return codes
      }
      const codes = await Promise.all(
        [first, open(repo), open(repo), open(repo)].map((pipe, at) => act(pipe, at + 1)),
      )
      // refusals (a cycle, a bead that is not closed) are expected; faults, deadlocks and time-outs are not
      expect(codes.flat().filter((code) => code !== 'CONFLICT')).toEqual([])
      expect(await wrongCounts(repo)).toEqual([])
    },
    120_000,
  )

  test('two blockers that finish at the same moment make their dependant ready', async () => {
    const repo = 'two-blockers'
    const [a, b] = [open(repo), open(repo)]
    await a.ok({ cmd: 'register', count: 2 })
    await letAnyoneReview(database.sql, repo)
    for (let round = 0; round < 25; round++) {
      const [x, y, z] = [`x${round}`, `y${round}`, `z${round}`]
      await a.ok({
        cmd: 'enqueue',
        beads: [
          { bead_id: x, title: x },
          { bead_id: y, title: y },
          { bead_id: z, title: z, depends_on: [x, y] },
        ],
      })
      await Promise.all([a.ok({ cmd: 'claim-next', agent_id: 1 }), b.ok({ cmd: 'claim-next', agent_id: 2 })])
      const finish = async (pipe: Pipe, agent_id: number) => {
        for (let kept = true; kept; )
          kept = (await pipe.ok<Completed>({ cmd: 'complete-stage', agent_id, outcome: 'passed' })).kept
      }
      await Promise.all([finish(a, 1), finish(b, 2)])
      const claim = await a.ok<Claim>({ cmd: 'claim-next', agent_id: 1 })
      expect(claim.bead?.bead_id).toBe(z)
      await finish(a, 1)
    }
    expect(await wrongCounts(repo)).toEqual([])
  }, 60_000)
})

describe('a killed process', () => {
  test('its bead comes back after the lease with a higher fence, and its late write is refused', async () => {
    const repo = 'killed'
    const [victim, other] = [open(repo), open(repo)]
    await other.ok({ cmd: 'register', count: 2 })
    await other.ok({ cmd: 'enqueue', beads: [{ bead_id: 'only', title: 'only' }] })
    const held = await victim.ok<Claim>({ cmd: 'claim-next', agent_id: 1, lease_ms: 1_500 })
    expect(held.bead?.bead_id).toBe('only')
    await victim.kill('SIGKILL')

    const none = await other.ok<Claim>({ cmd: 'claim-next', agent_id: 2 })
    expect(none.bead).toBeNull()
    const back = await other.ok<Claim>({ cmd: 'claim-next', agent_id: 2, wait_ms: 10_000 })
    expect(back.bead?.bead_id).toBe('only')
    expect(back.fence).toBeGreaterThan(held.fence ?? 0)

    const late = await other.send({
      cmd: 'complete-stage',
      agent_id: 1,
      bead_id: 'only',
      outcome: 'passed',
      fence: held.fence ?? 0,
    })
    expect(late).toMatchObject({ ok: false, err: { code: 'CONFLICT', ctx: { holder: 2 } } })
    const [bead] = await database.sql`select status, stage from swarm.bead_backlog where repo_id = ${repo}`
    expect(bead).toMatchObject({ status: 'in_progress', stage: 'contract' })
  }, 30_000)

  test('a claim over an open pipe outlives its lease, because the process renews it', async () => {
    const repo = 'renewed'
    const [holder, other] = [open(repo), open(repo)]
    await holder.ok({ cmd: 'register', count: 2 })
    await holder.ok({ cmd: 'enqueue', beads: [{ bead_id: 'only', title: 'only' }] })
    const held = await holder.ok<Claim>({ cmd: 'claim-next', agent_id: 1, lease_ms: 1_000 })
    const none = await other.ok<Claim>({ cmd: 'claim-next', agent_id: 2, wait_ms: 3_000 })
    expect(none).toMatchObject({ bead: null, reason: 'waiting', in_progress: 1 })
    await expect(
      holder.ok<Completed>({ cmd: 'complete-stage', agent_id: 1, outcome: 'passed', fence: held.fence ?? 0 }),
    ).resolves.toMatchObject({
      transition: 'advance',
    })
  }, 30_000)

  test('another process of the same agent takes over, and the first one is told', async () => {
    const repo = 'takeover'
    const [first, second] = [open(repo), open(repo)]
    await first.ok({ cmd: 'register', count: 1 })
    await first.ok({ cmd: 'enqueue', beads: [{ bead_id: 'only', title: 'only' }] })
    const one = await first.ok<Claim>({ cmd: 'claim-next', agent_id: 1 })
    const again = await first.ok<Claim>({ cmd: 'claim-next', agent_id: 1 })
    expect(again).toMatchObject({ fence: one.fence, held: true })
    const two = await second.ok<Claim>({ cmd: 'claim-next', agent_id: 1 })
    expect(two).toMatchObject({ fence: (one.fence ?? 0) + 1, held: true })
    expect(await first.send({ cmd: 'complete-stage', agent_id: 1, outcome: 'passed' })).toMatchObject({
      ok: false,
      err: { code: 'CONFLICT', ctx: { fence: one.fence, current_fence: two.fence } },
    })
    await second.ok({ cmd: 'complete-stage', agent_id: 1, outcome: 'passed' })
  }, 30_000)
})
