import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/contract/json.ts'
import { testDatabase } from '../support/database.ts'
import { allPages, column, openSession, rowsOf } from './look-support.ts'

const { url, sql } = await testDatabase()

async function started(
  repo: string,
  beads: readonly JsonObject[] = [{ bead_id: 'api', title: 'Write the API' }],
) {
  const session = openSession(url, repo)
  await session.ask({ cmd: 'register', count: 3 })
  await session.ask({ cmd: 'enqueue', beads })
  return session
}

describe('resume', () => {
  it('says who holds what since when, with the last attempt and what waits in the inbox', async () => {
    const session = await started('crash', [
      { bead_id: 'a', title: 'a' },
      { bead_id: 'b', title: 'b' },
    ])
    await session.ask({ cmd: 'claim-next', agent_id: 1 })
    await session.ask({ cmd: 'claim-next', agent_id: 2 })
    await session.ask({
      cmd: 'complete-stage',
      agent_id: 1,
      outcome: 'failed',
      feedback: 'the schema is wrong',
    })
    await session.ask({ cmd: 'send', agent_id: 2, to: 1, body: 'which schema?' })
    const rows = await allPages(session, { cmd: 'resume', limit: 1 }, 'claims')
    expect(rows).toMatchObject([
      {
        bead_id: 'a',
        agent_id: 1,
        stage: 'contract',
        attempt: 2,
        feedback: 'the schema is wrong',
        last_attempt: { stage: 'contract', attempt: 1, status: 'failed', result: 'retry', agent_id: 1 },
        unread: 1,
      },
      { bead_id: 'b', agent_id: 2, attempt: 1, unread: 0 },
    ])
    expect(rows[1]).not.toHaveProperty('last_attempt')
  })

  it('offers the context of what the agent holds as the next request', async () => {
    const session = openSession(url, 'crash')
    const envelope = await session.send({ cmd: 'resume', agent_id: 2 })
    expect(envelope).toMatchObject({ ok: true, next: '{"cmd":"resume-context","bead_id":"b"}' })
    expect(await session.ask({ cmd: 'resume', agent_id: 3 })).toEqual({ claims: [], more: false })
    expect((await session.refused({ cmd: 'resume', agent_id: 9 })).fix).toBe('{"cmd":"register","count":9}')
  })
})

describe('resume-context', () => {
  it('holds all that a fresh process needs', async () => {
    const session = await started('fresh', [
      { bead_id: 'base', title: 'base' },
      { bead_id: 'api', title: 'Write the API', description: 'all of it', priority: 'p0' },
    ])
    await session.ask({ cmd: 'claim-next', agent_id: 1 })
    const artifacts = [
      { artifact_type: 'requirements', content: 'short' },
      { artifact_type: 'contract_document', content: 'x'.repeat(5_000) },
    ]
    await session.ask({ cmd: 'complete-stage', agent_id: 1, outcome: 'passed', artifacts })
    await session.ask({ cmd: 'complete-stage', agent_id: 1, outcome: 'failed', feedback: 'no tests' })
    await session.ask({ cmd: 'send', agent_id: 2, to: 1, body: 'look at the tests', bead_id: 'api' })
    const d = await session.ask({ cmd: 'resume-context', bead_id: 'api' })
    expect(d).toMatchObject({
      bead: { description: 'all of it', stage: 'implement', attempt: 2, feedback: 'no tests', fence: 1 },
      claim: { agent_id: 1, fence: 1 },
      attempts: [
        { stage: 'contract', status: 'passed' },
        { stage: 'implement', attempt: 1, status: 'failed', feedback: 'no tests' },
        { stage: 'implement', attempt: 2, status: 'started' },
      ],
      messages: [{ from: 2, to: 1, body: 'look at the tests', state: 'queued' }],
      diagnostics: { category: 'held', retryable: true, next_command: '{"cmd":"claim-next","agent_id":1}' },
    })
    const [short, long] = rowsOf(d, 'artifacts')
    expect(short).toMatchObject({ content: 'short', bytes: 5, stage: 'contract', trust: 'claimed' })
    expect(long).toMatchObject({ bytes: 5_000, content: `${'x'.repeat(1_999)}…` })
    expect(column(rowsOf(d, 'events'), 'event_type')).toContain('transition_retry')
    expect(rowsOf(d, 'events').length).toBeLessThanOrEqual(20)
  })

  it('says how the bead stands, with a request that works', async () => {
    const session = await started('stands', [
      { bead_id: 'api', title: 'Write the API' },
      { bead_id: 'docs', title: 'Document it', depends_on: ['api'] },
    ])
    const stand = async (bead_id: string) =>
      (await session.ask({ cmd: 'resume-context', bead_id })).diagnostics
    const follow = async (diagnostics: unknown) => {
      const { next_command } = { next_command: '', ...(diagnostics as object) }
      return session.ask(JSON.parse(next_command))
    }
    expect(await stand('api')).toMatchObject({ category: 'ready', next_command: '{"cmd":"next"}' })
    expect(await stand('docs')).toMatchObject({
      category: 'waiting',
      next_command: '{"cmd":"show","bead_id":"api"}',
    })
    await session.ask({ cmd: 'claim-next', agent_id: 1 })
    await sql`update swarm.bead_claims set lease_expires_at = clock_timestamp() - interval '1 second' where repo_id = 'stands'`
    const late = await stand('api')
    expect(late).toMatchObject({ category: 'lease_expired', retryable: true })
    expect(await follow(late)).toMatchObject({ bead: { bead_id: 'api' }, fence: 2 })
    await session.ask({ cmd: 'release', agent_id: 1, to: 'blocked', reason: 'no key' })
    const blocked = await stand('api')
    expect(blocked).toMatchObject({ category: 'blocked', retryable: false, detail: 'no key' })
    expect(await follow(blocked)).toMatchObject({ status: 'pending' })
    expect(await stand('api')).toMatchObject({
      category: 'ready',
      next_command: '{"cmd":"claim-next","agent_id":1}',
    })
    await session.ask({ cmd: 'update', bead_id: 'api', status: 'deferred' })
    expect(await follow(await stand('api'))).toMatchObject({ changed: ['status'] })
    await session.ask({ cmd: 'cancel', bead_id: 'api' })
    expect(await stand('api')).toMatchObject({ category: 'cancelled', retryable: false })
    await sql`update swarm.bead_backlog set status = 'completed', stage = 'done' where repo_id = 'stands' and bead_id = 'docs'`
    expect(await stand('docs')).toMatchObject({ category: 'finished', retryable: false })
  })

  it('answers NOTFOUND with the nearest id', async () => {
    const session = openSession(url, 'stands')
    const refused = await session.refused({ cmd: 'resume-context', bead_id: 'API' })
    expect(refused).toMatchObject({
      err: { code: 'NOTFOUND', ctx: { nearest: 'api' } },
    })
    expect(await session.send(JSON.parse(refused.fix ?? ''))).toMatchObject({ ok: true })
  })
})

describe('history', () => {
  it('gives attempts latest first, by bead, agent and stage, page by page', async () => {
    const session = await started('tried', [
      { bead_id: 'a', title: 'a' },
      { bead_id: 'b', title: 'b' },
    ])
    for (const agent_id of [1, 2]) {
      await session.ask({ cmd: 'claim-next', agent_id })
      await session.ask({ cmd: 'complete-stage', agent_id, outcome: 'passed' })
      await session.ask({ cmd: 'complete-stage', agent_id, outcome: 'failed', feedback: 'f'.repeat(1_000) })
    }
    const all = await allPages(session, { cmd: 'history', limit: 1 }, 'attempts')
    expect(all).toHaveLength(6)
    const ids = column(all, 'attempt_id').map(Number)
    expect(ids).toEqual(ids.toSorted((x, y) => y - x))
    expect(column(await allPages(session, { cmd: 'history', agent_id: 2 }, 'attempts'), 'bead_id')).toEqual([
      'b',
      'b',
      'b',
    ])
    const failed = rowsOf(await session.ask({ cmd: 'history', bead_id: 'a', stage: 'implement' }), 'attempts')
    expect(column(failed, 'status')).toEqual(['started', 'failed'])
    expect(failed[1]?.feedback).toBe(`${'f'.repeat(199)}…`)
    const full = rowsOf(
      await session.ask({ cmd: 'history', bead_id: 'a', stage: 'implement', full: true }),
      'attempts',
    )
    expect(full[1]?.feedback).toBe('f'.repeat(1_000))
    const refused = await session.refused({ cmd: 'history', bead_id: 'A' })
    expect(refused).toMatchObject({ err: { code: 'NOTFOUND', ctx: { nearest: 'a' } } })
    expect((await session.refused({ cmd: 'history', agent_id: 9 })).err.code).toBe('NOTFOUND')
  })
})

describe('artifacts', () => {
  it('gives names and sizes, contents when asked, at most a megabyte of them', async () => {
    const session = await started('left')
    await session.ask({ cmd: 'claim-next', agent_id: 1 })
    const content = 'ä'.repeat(262_144)
    const artifacts = ['a', 'b', 'c'].map((end) => ({
      artifact_type: 'stage_log',
      content: `${content}${end}`,
    }))
    await session.ask({ cmd: 'complete-stage', agent_id: 1, outcome: 'passed', artifacts })
    await session.ask({
      cmd: 'complete-stage',
      agent_id: 1,
      outcome: 'passed',
      artifacts: [{ artifact_type: 'feedback', content: '' }],
    })
    const names = rowsOf(await session.ask({ cmd: 'artifacts', bead_id: 'api' }), 'artifacts')
    expect(column(names, 'bytes')).toEqual([524_289, 524_289, 524_289, 0])
    expect(names.some((row) => 'content' in row)).toBe(false)
    const full = rowsOf(await session.ask({ cmd: 'artifacts', bead_id: 'api', full: true }), 'artifacts')
    expect(full.map((row) => 'content' in row)).toEqual([true, false, false, false])
    const third = Number(names[2]?.artifact_id)
    const [one] = rowsOf(
      await session.ask({ cmd: 'artifacts', bead_id: 'api', artifact_id: third }),
      'artifacts',
    )
    expect(one?.content).toBe(`${content}c`)
    expect(
      column(
        await allPages(session, { cmd: 'artifacts', bead_id: 'api', limit: 1 }, 'artifacts'),
        'artifact_id',
      ),
    ).toEqual(column(names, 'artifact_id'))
    expect(
      rowsOf(await session.ask({ cmd: 'artifacts', bead_id: 'api', stage: 'implement' }), 'artifacts'),
    ).toHaveLength(1)
    expect(
      rowsOf(
        await session.ask({ cmd: 'artifacts', bead_id: 'api', artifact_type: 'stage_log' }),
        'artifacts',
      ),
    ).toHaveLength(3)
    const other = await started('left-too')
    const refused = await other.refused({ cmd: 'artifacts', bead_id: 'api', artifact_id: third })
    expect(refused).toMatchObject({ err: { code: 'NOTFOUND' }, fix: '{"cmd":"artifacts","bead_id":"api"}' })
  })
})
