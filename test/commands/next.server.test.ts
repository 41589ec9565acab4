import { describe, expect, it } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { pick, seeded, seedOfRun } from '../support/random.ts'
import { openSession, rowsOf } from './look-support.ts'

const { url, sql } = await testDatabase()

describe('next', () => {
  it('names the bead that claim-next then gives, whatever the backlog', async () => {
    const random = seeded(seedOfRun('next'))
    const session = openSession(url, 'same')
    const chance = (share: number) => random() < share
    const stages = ['contract', 'implement', 'qa', 'red-queen']
    const roles = [undefined, 'planner', 'test_writer', 'implementer', 'reviewer', 'stranger']
    for (const role of roles)
      await session.ask({ cmd: 'register', name: `agent-${role}`, ...(role ? { role } : {}) })
    for (let at = 0; at < 60; at++) {
      const earlier = at > 0 && chance(0.3) ? [`b${Math.floor(random() * at)}`] : []
      await session.ask({
        cmd: 'enqueue',
        beads: [
          {
            bead_id: `b${at}`,
            title: 'a bead',
            priority: Math.floor(random() * 5),
            labels: ['x', 'y'].filter(() => chance(0.4)),
            bead_type: pick(['task', 'bug'], random),
            depends_on: earlier,
          },
        ],
      })
      await sql`update swarm.bead_backlog set stage = ${pick(stages, random)} where repo_id = 'same' and bead_id = ${`b${at}`}`
    }
    let claims = 0
    let nones = 0
    for (let round = 0; round < 120; round++) {
      const agent_id = 1 + Math.floor(random() * roles.length)
      const filter = {
        ...(chance(0.3) ? { labels: [pick(['x', 'y'], random)] } : {}),
        ...(chance(0.3) ? { bead_types: [pick(['task', 'bug', 'epic'], random)] } : {}),
      }
      if (chance(0.2)) {
        await sql`update swarm.bead_claims set lease_expires_at = clock_timestamp() - interval '1 second'
          where repo_id = 'same' and claimed_by = ${1 + Math.floor(random() * roles.length)}`
      }
      const [overdue] = await sql`select count(*)::int as n from swarm.bead_claims
        where repo_id = 'same' and status = 'in_progress' and lease_expires_at < clock_timestamp()`
      const { others, why, ...next } = await session.ask({ cmd: 'next', agent_id, ...filter })
      const { fence, lease_ms, ...claim } = await session.ask({ cmd: 'claim-next', agent_id, ...filter })
      expect(Array.isArray(others)).toBe(true)
      if (claim.bead) {
        claims += 1
        expect(claim, String(why)).toMatchObject(next)
        if (chance(0.6)) {
          const outcome = pick(['passed', 'passed', 'failed'], random)
          await session.ask({
            cmd: 'complete-stage',
            agent_id,
            outcome,
            ...(outcome === 'failed' ? { feedback: 'no' } : {}),
          })
        }
      } else {
        nones += 1
        expect(next.bead).toBeNull()
        // claims whose lease has run out are still counted as in progress until somebody claims
        if (overdue?.n === 0) expect(next).toEqual(claim)
      }
    }
    expect(claims).toBeGreaterThan(20)
    expect(nones).toBeGreaterThan(5)
  })

  it('says why it is that one, and why not the others', async () => {
    const session = openSession(url, 'why')
    await session.ask({ cmd: 'register', count: 2, role: 'planner' })
    const bead = (bead_id: string, more = {}) => ({ bead_id, title: bead_id, ...more })
    await session.ask({
      cmd: 'enqueue',
      beads: [
        bead('first', { priority: 'p0', bead_type: 'bug' }),
        bead('labelled', { priority: 'p1', labels: ['ui'] }),
        bead('plain', { priority: 'p2', labels: ['api'] }),
        bead('at-qa', { priority: 'p2', labels: ['ui'] }),
        bead('waiting', {
          priority: 'p3',
          labels: ['ui'],
          depends_on: ['first', 'labelled', 'plain', 'at-qa'],
        }),
      ],
    })
    await sql`update swarm.bead_backlog set stage = 'qa' where repo_id = 'why' and bead_id = 'at-qa'`
    const next = await session.ask({ cmd: 'next', agent_id: 1, labels: ['ui'], bead_types: ['task'] })
    expect(next).toMatchObject({
      bead: { bead_id: 'labelled' },
      why: 'the first ready one by priority, then age',
    })
    expect(rowsOf(next, 'others')).toEqual([
      { bead_id: 'first', why_not: 'it lacks a label asked for' },
      { bead_id: 'plain', why_not: 'it lacks a label asked for' },
      { bead_id: 'at-qa', why_not: 'its stage qa is not for role planner' },
      { bead_id: 'waiting', why_not: 'waits for at-qa, first, labelled and 1 more' },
    ])
    const typed = await session.ask({ cmd: 'next', bead_types: ['task'] })
    expect(rowsOf(typed, 'others')[0]).toEqual({ bead_id: 'first', why_not: 'it is of type bug' })
    expect(rowsOf(typed, 'others')[1]).toEqual({ bead_id: 'plain', why_not: 'it comes later' })
  })

  it('says that the agent holds one, that a lease has run out, that the swarm is paused', async () => {
    const session = openSession(url, 'held')
    await session.ask({ cmd: 'register', count: 2 })
    await session.ask({
      cmd: 'enqueue',
      beads: [
        { bead_id: 'a', title: 'a' },
        { bead_id: 'b', title: 'b' },
      ],
    })
    await session.ask({ cmd: 'claim-next', agent_id: 1 })
    expect(await session.ask({ cmd: 'next', agent_id: 1 })).toMatchObject({
      bead: { bead_id: 'a' },
      held: true,
      why: 'agent 1 holds it',
      others: [{ bead_id: 'b', why_not: 'agent 1 holds a bead already' }],
    })
    await sql`update swarm.bead_claims set lease_expires_at = clock_timestamp() - interval '1 second' where repo_id = 'held'`
    expect(await session.ask({ cmd: 'next', agent_id: 2 })).toMatchObject({
      bead: { bead_id: 'a' },
      held: false,
      why: 'its lease has run out, and it is the first by priority, then age',
    })
    await sql`update swarm.swarm_config set swarm_status = 'paused'`
    expect(await session.ask({ cmd: 'next', agent_id: 2 })).toMatchObject({
      bead: null,
      reason: 'paused',
      others: [{ bead_id: 'b', why_not: 'the swarm is paused' }],
    })
    await sql`update swarm.swarm_config set swarm_status = 'running'`
  })

  it('claims nothing, and knows who asks from the environment', async () => {
    const session = openSession(url, 'env', { SWARM_AGENT_ID: '1' })
    await session.ask({ cmd: 'register', count: 1, role: 'reviewer' })
    await session.ask({ cmd: 'enqueue', beads: [{ bead_id: 'a', title: 'a' }] })
    expect(await session.ask({ cmd: 'next' })).toMatchObject({ bead: null, reason: 'no_match' })
    expect(await session.ask({ cmd: 'status' })).toMatchObject({ claims: 0, beads: { pending: 1 } })
  })

  it('answers NOTFOUND with register for an unknown agent', async () => {
    const refused = await openSession(url, 'nobody').refused({ cmd: 'next', agent_id: 7 })
    expect(refused).toMatchObject({ err: { code: 'NOTFOUND' }, fix: '{"cmd":"register","count":7}' })
  })

  it('is what a dry claim would do', async () => {
    const d = await openSession(url, 'held').ask({ cmd: 'claim-next', agent_id: 2, dry: true })
    expect(JSON.stringify(d)).toContain('its lease has run out')
  })
})
