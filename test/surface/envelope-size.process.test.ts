import { expect, test } from 'vitest'
import type { JsonObject } from '../../src/contract/json.ts'
import { testDatabase } from '../support/database.ts'
import { openPipe } from '../support/swarm.ts'

const database = await testDatabase()

test('the median success envelope of the loop is at most 200 bytes without bead text', async () => {
  const pipe = openPipe({ DATABASE_URL: database.url, SWARM_REPO: 'sizes' })
  const sizes: number[] = []
  const measure = async (request: JsonObject) => {
    const envelope = await pipe.send(request)
    expect(envelope).toMatchObject({ ok: true })
    sizes.push(Buffer.byteLength(JSON.stringify(envelope)))
  }
  await measure({ cmd: 'register', count: 2 })
  await measure({ cmd: 'enqueue', beads: [{ bead_id: 'a', title: 'a' }] })
  await measure({ cmd: 'claim-next', agent_id: 1 })
  for (let stage = 0; stage < 4; stage++) {
    await measure({ cmd: 'heartbeat', agent_id: 1, note: 'working' })
    await measure({ cmd: 'complete-stage', agent_id: 1, outcome: 'passed' })
  }
  await measure({ cmd: 'send', agent_id: 1, to: 2, body: 'x' })
  await measure({ cmd: 'inbox', agent_id: 2 })
  await measure({ cmd: 'broadcast', from: 1, msg: 'x' })
  await measure({ cmd: 'lock', resource: 'r', agent: 1 })
  await measure({ cmd: 'unlock', resource: 'r', agent: 1 })
  await measure({ cmd: 'claim-next', agent_id: 1 })
  await pipe.close()
  sizes.sort((a, b) => a - b)
  expect(sizes[Math.floor(sizes.length / 2)]).toBeLessThanOrEqual(200)
})

test('describe is at most 8 KB', async () => {
  const pipe = openPipe({ DATABASE_URL: database.url, SWARM_REPO: 'sizes' })
  const envelope = await pipe.send({ cmd: 'describe' })
  await pipe.close()
  expect(envelope.ok).toBe(true)
  expect(Buffer.byteLength(JSON.stringify(envelope))).toBeLessThanOrEqual(8_192)
})
