import { tmpdir } from 'node:os'
import { describe, expect, it } from 'vitest'
import { createConnections } from '../../src/runtime/connections.ts'
import { openAt } from '../commands/setup-support.ts'
import { testDatabase } from '../support/database.ts'

const { url, sql, name } = await testDatabase()
const session = (repo: string) => openAt(tmpdir(), { DATABASE_URL: url, SWARM_REPO: repo })

/** Connections that the program under test has to this file's database. */
async function connections(application: string): Promise<number> {
  const [row] = await sql<{ n: number }[]>`select count(*)::integer as n from pg_stat_activity
    where datname = ${name} and application_name like ${application}`
  return row?.n ?? 0
}

describe('the connections of a process', () => {
  it('are the same however long a request lets connecting take', async () => {
    const place = session('timeouts')
    const before = await connections('swarm %')
    for (let at = 0; at < 60; at++) await place.ask({ cmd: 'status', connect_timeout_ms: 1_000 + at })
    expect((await connections('swarm %')) - before).toBeLessThanOrEqual(4)
  })

  it('are bounded, however many databases and users it is asked to use', async () => {
    const place = session('many')
    const base = `${url}${url.includes('?') ? '&' : '?'}application_name=many`
    for (let at = 0; at < 40; at++) await place.ask({ cmd: 'status', database_url: `${base}${at}` })
    await expect.poll(() => connections('many%')).toBeLessThanOrEqual(16)
  })

  it('are not closed under a claim', async () => {
    const place = session('kept')
    const own = (label: string) => `${url}${url.includes('?') ? '&' : '?'}application_name=kept${label}`
    await place.ask({ cmd: 'register', count: 1, database_url: own('holder') })
    await place.ask({ cmd: 'enqueue', beads: [{ bead_id: 'a', title: 'a' }], database_url: own('holder') })
    await place.ask({ cmd: 'claim-next', agent_id: 1, database_url: own('holder') })
    for (let at = 0; at < 40; at++) await place.ask({ cmd: 'status', database_url: own(String(at)) })
    const d = await place.ask({
      cmd: 'complete-stage',
      agent_id: 1,
      outcome: 'passed',
      database_url: own('later'),
    })
    expect(d).toMatchObject({ transition: 'advance' })
  })
})

it('the database of a claim is not given up for others, so that the claim is renewed', async () => {
  const own = createConnections('holder')
  const use = (database_url: string) => own.use({ database_url }, {}, null)
  const first = use(url)
  const claim = { repo: 'r', agent_id: 1, bead_id: 'a', fence: 1, lease_ms: 60_000, since: 0 }
  first.holdings.set(claim)
  first.release()
  for (let at = 0; at < 40; at++) use(`postgres://nobody@127.0.0.1:1/other-${at}`).release()
  expect(own.all().flatMap(({ holdings }) => holdings.list())).toEqual([claim])
  expect(own.all().length).toBeLessThanOrEqual(16)
  // a claim that is lost holds nothing
  first.holdings.set({ ...claim, lost: true })
  for (let at = 0; at < 40; at++) use(`postgres://nobody@127.0.0.1:1/next-${at}`).release()
  expect(own.all().flatMap(({ holdings }) => holdings.list())).toEqual([])
  await own.close()
})

it('the fence of a claim goes with a write that names another connect timeout', async () => {
  const [first, second] = [session('fences'), session('fences')]
  await first.ask({ cmd: 'register', count: 1 })
  await first.ask({ cmd: 'enqueue', beads: [{ bead_id: 'a', title: 'a' }] })
  await first.ask({ cmd: 'claim-next', agent_id: 1 })
  await second.ask({ cmd: 'claim-next', agent_id: 1 })
  const late = { cmd: 'complete-stage', agent_id: 1, outcome: 'passed' }
  expect(await first.refused({ ...late, connect_timeout_ms: 2_500 })).toMatchObject({ code: 'CONFLICT' })
  expect(await first.refused({ ...late, database_url: `${url}?application_name=other` })).toMatchObject({
    code: 'CONFLICT',
  })
  expect(await second.ask(late)).toMatchObject({ transition: 'advance' })
})
