import type postgres from 'postgres'
import { describe, expect, test } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { subscriptions } from '../support/stream.ts'
import { runSwarm } from '../support/swarm.ts'

/** A database of its own: the floor and the id of the log are of all repos. */
const database = await testDatabase()
const env = { DATABASE_URL: database.url, SWARM_REPO: 'floor' }
const subscribe = subscriptions(env)

async function record(count: number, size = 0, sql: postgres.ISql = database.sql): Promise<number[]> {
  const rows = await sql<{ seq: number }[]>`
    insert into swarm.execution_events (event_type, entity_id, repo_id, payload)
    select 'step', 'e' || n, 'floor', jsonb_build_object('text', repeat('x', ${size}::integer))
    from generate_series(1, ${count}::integer) n returning seq::float8 as seq`
  return rows.map(({ seq }) => seq)
}

/** Removes what lies up to `seq`, as retention does. */
const prune = (seq: number) => database.sql.begin((sql) => pruneWithin(sql, seq))

async function pruneWithin(sql: postgres.ISql, seq: number): Promise<void> {
  await sql`delete from swarm.execution_events where seq <= ${seq}`
  await sql`update swarm.swarm_config set log_floor = ${seq}`
}

describe('what has been removed', () => {
  test('a cursor below the floor is told, and the fix reads on from the floor', async () => {
    const seqs = await record(4)
    await runSwarm(['subscribe', '--cursor', 'old', '--until', 'idle:1ms'], { env })
    await runSwarm(['ack-cursor', '--cursor', 'old', '--at', String(seqs[0])], { env })
    await prune(Number(seqs[2]))
    for (const place of [
      ['--from', String(seqs[1])],
      ['--cursor', 'old'],
    ]) {
      const refused = await runSwarm(['subscribe', ...place, '--until', 'idle:1ms'], { env })
      expect(refused.code).toBe(4)
      const [line] = refused.envelopes
      expect(line).toMatchObject({ ok: false, err: { code: 'CONFLICT', ctx: { log_floor: seqs[2] } } })
      const fix = line?.ok === false ? (line.fix ?? '') : ''
      const words = fix.split(' ').slice(1)
      expect((await runSwarm(words, { env })).code).toBe(0)
    }
    const after = subscribe('--cursor', 'old', '--until', 'idle:1ms')
    expect(await after.end()).toBe(0)
    expect(after.kind('event').map(({ sequence }) => sequence)).toEqual([seqs[3]])
    // from the beginning is from where there is something
    const all = subscribe('--from', 'beginning', '--until', 'idle:1ms')
    await all.end()
    expect(all.kind('event').map(({ sequence }) => sequence)).toEqual([seqs[3]])
  })

  test('a reader that is overtaken by retention is told, never skipped', async () => {
    const stream = subscribe('--from', 'now')
    await stream.line(({ kind }) => kind === 'start')
    stream.process.kill('SIGSTOP')
    // at once: a look that is under way must not find the rows before they are removed
    const seqs = await database.sql.begin(async (sql) => {
      const made = await record(3, 0, sql)
      await pruneWithin(sql, Number(made[1]))
      return made
    })
    stream.process.kill('SIGCONT')
    expect(await stream.end()).toBe(4)
    expect(stream.lines.at(-1)).toMatchObject({
      ok: false,
      err: { code: 'CONFLICT', ctx: { log_floor: seqs[1] } },
    })
    expect(stream.kind('event')).toEqual([])
  })

  test('a log whose history does not go on ends the stream', async () => {
    const stream = subscribe('--from', 'now')
    await stream.line(({ kind }) => kind === 'start')
    await database.sql`update swarm.swarm_config set log_id = 'other'`
    await record(1)
    expect(await stream.end()).toBe(4)
    expect(stream.lines.at(-1)).toMatchObject({
      ok: false,
      err: { code: 'CONFLICT', ctx: { log_id: 'other' } },
    })
    expect(stream.kind('event')).toEqual([])
  })
})
