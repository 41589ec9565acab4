import { beforeEach, describe, expect, test } from 'vitest'
import type { JsonObject } from '../../src/contract/json.ts'
import { testDatabase } from '../support/database.ts'
import { pick, seeded, seedOfRun } from '../support/random.ts'
import { openAt, type Place, scratch } from './setup-support.ts'

const { url, sql } = await testDatabase()
const dir = scratch()
let repos = 0
let repo = ''
let swarm: Place

/** Agents 1 and 2 are there, 3 has a number and has not come; the bead `api` is ready. */
beforeEach(async () => {
  repo = `independent-${++repos}`
  swarm = openAt(dir, { DATABASE_URL: url, SWARM_REPO: repo })
  await swarm.ask({ cmd: 'register', count: 3 })
  for (const agent_id of [1, 2]) await swarm.ask({ cmd: 'claim-next', agent_id })
  await enqueue('api')
})

const enqueue = (...ids: string[]) =>
  swarm.ask({ cmd: 'enqueue', beads: ids.map((bead_id) => ({ bead_id, title: bead_id })) })
const claim = (agent_id: number, more: JsonObject = {}) => swarm.ask({ cmd: 'claim-next', agent_id, ...more })
const complete = (agent_id: number, outcome = 'passed') =>
  swarm.ask({ cmd: 'complete-stage', agent_id, outcome, ...(outcome === 'passed' ? {} : { feedback: 'no' }) })
const setStage = (stage: string, independent: string | null) =>
  sql`update swarm.workflow_stages set independent = ${independent} where repo_id = ${repo} and stage = ${stage}`
/** The agent was last seen so long ago. */
const silent = (agent_id: number, minutes: number) =>
  sql`update swarm.agent_state set last_update = clock_timestamp() - make_interval(mins => ${minutes})
    where repo_id = ${repo} and agent_id = ${agent_id}`
async function bead(id = 'api') {
  const [row] = await sql`select status, stage, not_for from swarm.bead_backlog
    where repo_id = ${repo} and bead_id = ${id}`
  return row
}
/** The bead as far as the stage qa, implemented by the agent. */
async function implementedBy(agent_id: number): Promise<JsonObject> {
  await claim(agent_id)
  await complete(agent_id)
  return complete(agent_id)
}

describe('nobody reviews their own work', () => {
  test('the bead is given back where the next stage is for somebody else, who then does the rest', async () => {
    expect(await implementedBy(1)).toEqual({ transition: 'advance', stage: 'qa', attempt: 1, kept: false })
    expect(await bead()).toEqual({ status: 'pending', stage: 'qa', not_for: 1 })
    expect(await claim(1)).toMatchObject({ bead: null, reason: 'independent_reviewer', pending: 1 })
    expect(await claim(2)).toMatchObject({ bead: { bead_id: 'api' }, stage: 'qa' })
    expect(await complete(2)).toMatchObject({ stage: 'red-queen', kept: true })
    expect(await complete(2)).toMatchObject({ transition: 'finalize' })
  })

  test('what failed is implemented by whoever takes it, and is then not for that one', async () => {
    await implementedBy(1)
    await claim(2)
    expect(await complete(2, 'failed')).toMatchObject({ stage: 'implement', kept: true })
    expect(await complete(2)).toMatchObject({ stage: 'qa', kept: false })
    expect(await bead()).toMatchObject({ not_for: 2 })
    expect(await claim(2)).toMatchObject({ bead: null, reason: 'independent_reviewer' })
    expect(await claim(1)).toMatchObject({ bead: { bead_id: 'api' }, stage: 'qa' })
  })

  test('one agent alone finishes its backlog', async () => {
    await silent(2, 16)
    expect(await implementedBy(1)).toMatchObject({ stage: 'qa', kept: true })
    await complete(1)
    expect(await complete(1)).toMatchObject({ transition: 'finalize' })
    await swarm.ask({ cmd: 'enqueue', beads: [{ bead_id: 'docs', title: 'docs' }] })
    expect(await swarm.ask({ cmd: 'agent', agent_id: 1, command: ['true'], rid: 'r' })).toMatchObject({
      completed: 1,
      stopped: 'empty',
    })
  })

  test('a bead that waits for others goes back to its author when they have been away for 15 minutes', async () => {
    await implementedBy(1)
    await silent(2, 14)
    expect(await claim(1)).toMatchObject({ reason: 'independent_reviewer' })
    await silent(2, 16)
    expect(await claim(1)).toMatchObject({ bead: { bead_id: 'api' }, stage: 'qa' })
  })

  test('an agent that holds a bead under a lease is there, however long ago it wrote', async () => {
    await claim(2)
    await silent(2, 60)
    await enqueue('docs')
    expect(await implementedBy(1)).toMatchObject({ stage: 'qa', kept: false })
  })

  test('asking for work is a sign of life', async () => {
    await silent(2, 60)
    await claim(2, { labels: ['none'] })
    expect(await implementedBy(1)).toMatchObject({ kept: false })
  })

  test('who may not do the stage is nobody else for it', async () => {
    await sql`update swarm.agent_state set role = 'planner' where repo_id = ${repo} and agent_id = 2`
    expect(await implementedBy(1)).toMatchObject({ stage: 'qa', kept: true })
  })

  test('where it is required, the bead waits for another agent, whoever is there', async () => {
    await setStage('qa', 'require')
    await silent(2, 60)
    expect(await implementedBy(1)).toMatchObject({ stage: 'qa', kept: false })
    expect(await claim(1)).toMatchObject({ reason: 'independent_reviewer' })
    expect(await swarm.refused({ cmd: 'assign', agent_id: 1, bead_id: 'api' })).toMatchObject({
      code: 'CONFLICT',
      msg: 'stage qa of bead api checks the work of agent 1: it is for another agent',
    })
    expect(await claim(2)).toMatchObject({ bead: { bead_id: 'api' } })
  })

  test('no verb gets round it: start-stage, run-once, work, reopen', async () => {
    await implementedBy(1)
    await claim(2)
    await complete(2)
    await swarm.ask({ cmd: 'release', agent_id: 2 })
    // back from red-queen to qa: not by who implemented, even if it was given the later stage
    await swarm.ask({ cmd: 'assign', agent_id: 1, bead_id: 'api' })
    expect(await swarm.refused({ cmd: 'start-stage', agent_id: 1, stage: 'qa' })).toMatchObject({
      code: 'CONFLICT',
      ctx: { not_for: 1 },
    })
    await swarm.ask({ cmd: 'release', agent_id: 1 })
    for (const cmd of ['run-once', 'work'])
      expect(await swarm.ask({ cmd, agent_id: 1, command: ['true'], rid: cmd })).toMatchObject({
        reason: 'independent_reviewer',
      })
    await claim(2)
    await complete(2)
    await swarm.ask({ cmd: 'reopen', bead_id: 'api', stage: 'qa' })
    expect(await claim(1)).toMatchObject({ bead: null, reason: 'independent_reviewer' })
  })

  test('a stage that leads nowhere back is not for who did the one before', async () => {
    await sql`update swarm.workflow_stages set on_fail = null where repo_id = ${repo} and stage = 'qa'`
    await implementedBy(1)
    expect(await bead()).toMatchObject({ stage: 'qa', not_for: 1 })
  })

  test('next, ready, show and explain say the same as claim-next', async () => {
    await implementedBy(1)
    expect(await swarm.ask({ cmd: 'next', agent_id: 1 })).toMatchObject({
      bead: null,
      reason: 'independent_reviewer',
      others: [
        { bead_id: 'api', why_not: 'its stage qa checks the work of agent 1, so another agent does it' },
      ],
    })
    expect(await swarm.ask({ cmd: 'next', agent_id: 2 })).toMatchObject({ bead: { bead_id: 'api' } })
    expect(await swarm.ask({ cmd: 'ready' })).toMatchObject({
      beads: [{ bead_id: 'api', not_for: 1 }],
      ready: 1,
    })
    expect(await swarm.ask({ cmd: 'show', bead_id: 'api' })).toMatchObject({ bead: { not_for: 1 } })
    expect(await swarm.ask({ cmd: 'explain', subject: 'api' })).toMatchObject({
      waits_for: 'another agent than 1, whose work qa checks',
      why: 'independent',
    })
    await claim(2)
    expect((await swarm.ask({ cmd: 'show', bead_id: 'api' })).bead).not.toHaveProperty('not_for')
  })

  test('workflows shows it, and the leader’s snapshot has it with whose work it is', async () => {
    const { workflows } = await swarm.ask({ cmd: 'workflows' })
    expect(workflows).toMatchObject([
      {
        stages: [
          {},
          {},
          { stage: 'qa', independent: 'prefer' },
          { stage: 'red-queen', independent: 'prefer' },
        ],
      },
    ])
    await sql`select swarm.run(${repo}, 'run-start', '{"run_id":"one"}', '{}', gen_random_uuid()::text)`
    await implementedBy(1)
    const [row] = await sql`select swarm.snapshot(${repo}, 'one') as s`
    expect(row?.s.ready).toMatchObject([{ bead_id: 'api', stage: 'qa', implementer: 1 }])
    expect(row?.s.stages).toContainEqual(expect.objectContaining({ stage: 'qa', independent: 'prefer' }))
    expect(row?.s.stages).toContainEqual(expect.objectContaining({ stage: 'contract', independent: null }))
  })
})

describe('what is kept from an agent', () => {
  const many = async (stage: string, not_for: number | null, count: number) =>
    sql`insert into swarm.bead_backlog (repo_id, bead_id, title, stage, not_for, priority)
      select ${repo}, ${stage} || '-' || coalesce(${not_for}::integer, 9) || '-' || n, 'x', ${stage}, ${not_for}::integer, 'p0'
      from generate_series(1, ${count}::integer) n`

  test('costs its claim nothing, however much it is and wherever it stands', async () => {
    await many('qa', 1, 20_000)
    await many('land', 0, 20_000)
    await sql`analyze swarm.bead_backlog`
    const blocks = async (agent: number) => {
      const [row] = await sql`explain (analyze, buffers, format json)
        select (swarm.pick_bead(${repo}, ${agent}::integer, null, null, null)).bead_id`
      const [{ Plan }] = row?.['QUERY PLAN'] ?? []
      return Plan['Shared Hit Blocks'] + Plan['Shared Read Blocks']
    }
    await blocks(1)
    expect(await blocks(1)).toBeLessThan(400)
    expect(await claim(1)).toMatchObject({ bead: { bead_id: 'api' } })
    await complete(1)
    await swarm.ask({ cmd: 'release', agent_id: 1, to: 'blocked', reason: 'x' })
    await many('qa', 2, 1)
    expect(await claim(1)).toMatchObject({ bead: { bead_id: 'qa-2-1' } })
    await swarm.ask({ cmd: 'release', agent_id: 1, to: 'blocked', reason: 'x' })
    expect(await claim(1)).toMatchObject({ bead: null, reason: 'independent_reviewer' })
    await blocks(1)
    expect(await blocks(1)).toBeLessThan(400)
  })

  test('does not change the order of the rest', async () => {
    const random = seeded(seedOfRun('independent'))
    for (let at = 0; at < 60; at++) {
      await sql`insert into swarm.bead_backlog (repo_id, bead_id, title, stage, not_for, priority) values (${repo}, ${`b${at}`}, 'x',
        ${pick(['qa', 'red-queen'], random)}, ${pick([1, 1, 2, 3, null], random)}, ${pick(['p0', 'p1', 'p2'], random)})`
      if (random() < 0.3) await enqueue(`n${at}`)
    }
    await sql`update swarm.workflow_stages set role = null where repo_id = ${repo}`
    for (;;) {
      const agent_id = random() < 0.5 ? 1 : 2
      const [first] =
        await sql`select bead_id from swarm.bead_backlog where repo_id = ${repo} and status = 'pending'
        and not_for is distinct from ${agent_id} order by priority, created_at, id limit 1`
      const next = await swarm.ask({ cmd: 'next', agent_id })
      const got = await claim(agent_id)
      expect(got.bead ?? null).toEqual(first ? expect.objectContaining({ bead_id: first.bead_id }) : null)
      expect(next.bead ?? null).toEqual(first ? expect.objectContaining({ bead_id: first.bead_id }) : null)
      if (!first) break
      await swarm.ask({ cmd: 'release', agent_id, to: 'blocked', reason: 'done with it' })
    }
  })

  test('follows the configuration, also for beads that are there already', async () => {
    await sql`update swarm.workflow_stages set independent = null where repo_id = ${repo}`
    expect(await implementedBy(1)).toMatchObject({ kept: true })
    await swarm.ask({ cmd: 'release', agent_id: 1 })
    const stages = ['contract', 'implement', 'qa'].map((name) => ({
      name,
      ...(name === 'qa' ? { on_fail: 'implement', independent: 'require' } : {}),
    }))
    await sql`select swarm.run(${repo}, 'init-repo', ${sql.json({ workflows: { default: { stages } }, path: null })}, '{}', gen_random_uuid()::text)`
    expect(await bead()).toMatchObject({ stage: 'qa', not_for: 1 })
    expect(await claim(1)).toMatchObject({ reason: 'independent_reviewer' })
  })
})

describe('the landing stage', () => {
  beforeEach(async () => {
    await sql`select swarm.run(${repo}, 'run-start', '{"run_id":"one"}', '{}', gen_random_uuid()::text)`
    await sql`update swarm.bead_backlog set stage = 'red-queen' where repo_id = ${repo}`
    await claim(2)
    expect(await complete(2)).toMatchObject({ stage: 'land', kept: false })
  })

  test('is nobody’s but swarm’s: no agent claims it, is assigned it, or starts it again', async () => {
    await sql`update swarm.agent_state set role = 'swarm' where repo_id = ${repo} and agent_id = 3`
    expect(await bead()).toEqual({ status: 'pending', stage: 'land', not_for: 0 })
    for (const agent_id of [1, 2, 3]) {
      expect(await claim(agent_id)).toMatchObject({ bead: null })
      expect(await swarm.refused({ cmd: 'assign', agent_id, bead_id: 'api' })).toMatchObject({
        code: 'CONFLICT',
        msg: 'stage land of bead api is done by swarm itself',
      })
    }
    expect(await claim(1)).toMatchObject({ reason: 'waiting' })
    expect(await swarm.ask({ cmd: 'next', agent_id: 1 })).toMatchObject({
      bead: null,
      others: [{ bead_id: 'api', why_not: 'swarm itself does its stage land' }],
    })
    expect(await swarm.ask({ cmd: 'ready' })).toEqual({ beads: [], ready: 0 })
  })

  test('is passed by no agent, even one that holds it', async () => {
    await sql`select swarm.give_bead(b, 1, 'h', 60000) from swarm.bead_backlog b where repo_id = ${repo}`
    for (const outcome of ['passed', 'failed'])
      expect(
        await swarm.refused({ cmd: 'complete-stage', agent_id: 1, outcome, feedback: 'x' }),
      ).toMatchObject({ code: 'CONFLICT', ctx: { stage: 'land' } })
    expect(await swarm.refused({ cmd: 'start-stage', agent_id: 1 })).toMatchObject({ code: 'CONFLICT' })
    expect(await swarm.ask({ cmd: 'start-stage', agent_id: 1, stage: 'implement' })).toMatchObject({
      stage: 'implement',
    })
    expect(await bead()).toMatchObject({ not_for: null })
  })
})
