import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { schemaSql } from '../../src/db/schema.ts'
import { scratchServer } from '../support/scratch-server.ts'
import { runSwarm } from '../support/swarm.ts'
import { plainClient } from '../support/template.ts'
import { pidIn } from './support.ts'

const server = await scratchServer()
const dir = mkdtempSync(join(tmpdir(), 'swarm-work-away-'))
afterAll(async () => {
  await server.close()
  rmSync(dir, { recursive: true })
})
const sql = plainClient(server.url)
await sql.unsafe(schemaSql())
await sql.end()

const env = { DATABASE_URL: server.url, SWARM_REPO: 'away' }
const swarm = (...args: readonly string[]) => runSwarm(args, { env })
const first = async (...args: readonly string[]) => (await swarm(...args)).envelopes[0]
await swarm('register', '--count', '1')
await swarm('enqueue', '--beads', '{"bead_id":"api","title":"Write the API"}')

/** Runs `swarm work` with the server down from when its command runs, for so long. */
async function workWhileAway(awayMs: number, leaseMs: number, seconds: number) {
  const file = join(dir, `pid-${leaseMs}`)
  const command = ['sh', '-c', `echo $$ > ${file}; exec sleep ${seconds}`]
  const running = swarm('work', '--agent-id', '1', '--lease-ms', String(leaseMs), '--', ...command)
  await pidIn(file)
  await server.stop('SIGINT')
  await new Promise((resolve) => setTimeout(resolve, awayMs))
  await server.start()
  return running
}

test('a database that is away for less than the lease does no harm', async () => {
  const { code, envelopes } = await workWhileAway(2_000, 20_000, 2)
  expect(envelopes).toMatchObject([{ ok: true, d: { outcome: 'passed', transition: 'advance' } }])
  expect(code).toBe(0)
})

test('one that is away for longer ends the command, and nothing is written', async () => {
  const { code, envelopes } = await workWhileAway(3_000, 1_500, 60)
  expect(code).toBe(4)
  expect(envelopes).toMatchObject([
    { ok: false, err: { code: 'CONFLICT', msg: expect.stringContaining('the database was away') } },
  ])
  expect(await first('show', 'api')).toMatchObject({ ok: true, d: { bead: { stage: 'implement' } } })
})
