import { afterEach, expect, test } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { openPipe, type Pipe } from '../support/swarm.ts'

const database = await testDatabase()
const pipes: Pipe[] = []

afterEach(async () => {
  await Promise.all(pipes.splice(0).map((pipe) => pipe.kill('SIGKILL')))
})

function open(repo: string): Pipe {
  const pipe = openPipe({ DATABASE_URL: database.url, SWARM_REPO: repo })
  pipes.push(pipe)
  return pipe
}

interface Claim {
  readonly bead: { readonly bead_id: string } | null
  readonly fence: number
}

/** Two processes of agent 1: the first has lost its bead to agent 2 and does not know, the second holds another one. */
async function lostClaim(repo: string): Promise<{ first: Pipe; second: Pipe; other: string }> {
  const [first, second] = [open(repo), open(repo)]
  await first.ok({ cmd: 'register', count: 2 })
  await first.ok({ cmd: 'enqueue', beads: ['a', 'b'].map((id) => ({ bead_id: id, title: id })) })
  expect(await first.ok<Claim>({ cmd: 'claim-next', agent_id: 1, lease_ms: 1_000 })).toMatchObject({
    bead: { bead_id: 'a' },
  })
  await database.sql`update swarm.bead_claims set lease_expires_at = clock_timestamp() - interval '1 s' where repo_id = ${repo}`
  expect(await second.ok<Claim>({ cmd: 'claim-next', agent_id: 2 })).toMatchObject({
    bead: { bead_id: 'a' },
    fence: 2,
  })
  expect(await second.ok<Claim>({ cmd: 'claim-next', agent_id: 1 })).toMatchObject({
    bead: { bead_id: 'b' },
    fence: 1,
  })
  return { first, second, other: 'b' }
}

test.each([
  ['at once', 0],
  // a third of the lease, and the timer that looks for it
  ['after its renewal was refused', 800],
])(
  'a process that lost its claim writes nothing for what its agent holds elsewhere, %s',
  async (_when, pauseMs) => {
    const { first, second, other } = await lostClaim(`fences-${pauseMs}`)
    if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs))
    const requests = [
      { cmd: 'complete-stage', agent_id: 1, outcome: 'passed' },
      { cmd: 'complete-stage', agent_id: 1, outcome: 'passed' },
      { cmd: 'heartbeat', agent_id: 1 },
      { cmd: 'release', agent_id: 1 },
    ] as const
    for (const request of requests) {
      expect(await first.send(request)).toMatchObject({ ok: false, err: { code: 'CONFLICT' } })
    }
    const { bead } = await second.ok<{ bead: object }>({ cmd: 'show', bead_id: other })
    expect(bead).toMatchObject({ status: 'in_progress', stage: 'contract' })
    // once it has claimed again, it writes again, and the other one does not
    expect(await first.ok<Claim>({ cmd: 'claim-next', agent_id: 1 })).toMatchObject({
      bead: { bead_id: other },
      fence: 2,
    })
    expect(await first.send({ cmd: 'heartbeat', agent_id: 1 })).toMatchObject({ ok: true })
    expect(await second.send({ cmd: 'heartbeat', agent_id: 1 })).toMatchObject({
      ok: false,
      err: { code: 'CONFLICT' },
    })
  },
)
