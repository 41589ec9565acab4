import { tmpdir } from 'node:os'
import { afterAll, expect, it } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { seeded, seedOfRun } from '../support/random.ts'
import { openPipe } from '../support/swarm.ts'

const PIPES = 8
const BATCHES = 3
const BEADS = 8

const { url } = await testDatabase()
const pipes = Array.from({ length: PIPES }, () =>
  openPipe({ DATABASE_URL: url, SWARM_REPO: 'contention' }, tmpdir()),
)
afterAll(async () => {
  await Promise.all(pipes.map((pipe) => pipe.close()))
})

it('atomic batches over the same beads in different orders all succeed, within seconds', async () => {
  const random = seeded(seedOfRun('batch contention'))
  const ids = Array.from({ length: BEADS }, (_, at) => `b${at}`)
  const [first] = pipes
  await first?.ok({ cmd: 'enqueue', beads: ids.map((bead_id) => ({ bead_id, title: bead_id })) })
  await Promise.all(pipes.map((pipe) => pipe.ok({ cmd: 'status' })))
  const startedAt = performance.now()
  const answers = await Promise.all(
    pipes.map(async (pipe, number) => {
      const codes: string[] = []
      for (let at = 0; at < BATCHES; at++) {
        const order = ids.map((id) => ({ id, rank: random() })).sort((a, b) => a.rank - b.rank)
        const ops = order.map(({ id }) => ({
          cmd: 'update',
          bead_id: id,
          title: `${id} of ${number}, ${at}`,
        }))
        const envelope = await pipe.send({ cmd: 'batch', ops })
        codes.push(envelope.ok ? 'ok' : envelope.err.code)
      }
      return codes
    }),
  )
  const seconds = (performance.now() - startedAt) / 1_000
  process.stderr.write(`${PIPES * BATCHES} batches in ${seconds.toFixed(1)} s\n`)
  expect(answers.flat().filter((code) => code !== 'ok')).toEqual([])
  expect(seconds).toBeLessThan(20)
}, 120_000)
