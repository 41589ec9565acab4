import { tmpdir } from 'node:os'
import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/contract/json.ts'
import { openAt } from '../commands/setup-support.ts'
import { testDatabase } from '../support/database.ts'

const { url } = await testDatabase()
const claim = { cmd: 'claim-next', agent_id: 1 }
let repos = 0

/** A repo with two agents and two beads, of which agent 1 holds the first if `given` claims it. */
async function placeWith(given: readonly JsonObject[]) {
  const repo = `fixes-${++repos}`
  const place = openAt(tmpdir(), { DATABASE_URL: url, SWARM_REPO: repo })
  await place.ask({ cmd: 'register', count: 2 })
  const beads = [
    { bead_id: 'bead-1', title: 'One', priority: 'p0' },
    { bead_id: 'bead-2', title: 'Two' },
  ]
  await place.ask({ cmd: 'enqueue', beads })
  for (const request of given) await place.ask(request)
  return place
}

describe('a fix of a write acts on nothing that the request did not name, and destroys nothing', () => {
  it.each<[string, readonly JsonObject[], JsonObject, JsonObject | undefined, JsonObject]>([
    [
      'cancel of an unknown bead',
      [],
      { cmd: 'cancel', bead_id: 'bead-17' },
      { cmd: 'show', bead_id: 'bead-1' },
      { nearest: 'bead-1' },
    ],
    [
      'update of a bead in other letters',
      [],
      { cmd: 'update', bead_id: 'BEAD-1', title: 'x' },
      { cmd: 'show', bead_id: 'bead-1' },
      { nearest: 'bead-1' },
    ],
    ['cancel of nothing like it', [], { cmd: 'cancel', bead_id: 'zzz' }, { cmd: 'beads' }, {}],
    [
      'a stage that has been passed already',
      [claim, { cmd: 'complete-stage', agent_id: 1, stage: 'contract', outcome: 'passed' }],
      { cmd: 'complete-stage', agent_id: 1, stage: 'contract', outcome: 'passed' },
      { cmd: 'show', bead_id: 'bead-1' },
      { nearest: 'implement' },
    ],
    [
      'start of a later stage',
      [claim],
      { cmd: 'start-stage', agent_id: 1, stage: 'qa' },
      { cmd: 'show', bead_id: 'bead-1' },
      { nearest: 'contract' },
    ],
    [
      'assign to an agent who holds a bead',
      [claim],
      { cmd: 'assign', agent_id: 1, bead_id: 'bead-2' },
      { cmd: 'show', bead_id: 'bead-1' },
      {},
    ],
    [
      'enqueue of an id that is taken',
      [],
      { cmd: 'enqueue', beads: [{ bead_id: 'bead-1', title: 'Another' }] },
      { cmd: 'show', bead_id: 'bead-1' },
      {},
    ],
    [
      'a write of somebody who does not hold the bead',
      [claim],
      { cmd: 'release', agent_id: 2, bead_id: 'bead-1' },
      { cmd: 'show', bead_id: 'bead-1' },
      {},
    ],
    [
      'reopen to a stage that is none',
      [{ cmd: 'cancel', bead_id: 'bead-1' }],
      { cmd: 'reopen', bead_id: 'bead-1', stage: 'nowhere' },
      { cmd: 'workflows' },
      {},
    ],
    ['an agent far from those there are', [], { cmd: 'claim-next', agent_id: 5_000 }, { cmd: 'agents' }, {}],
  ])('%s', async (_name, given, wrong, fix, ctx) => {
    const place = await placeWith(given)
    const before = await place.ask({ cmd: 'state', full: true })
    const refusal = await place.refused(wrong)
    expect(refusal.fix).toEqual(fix)
    expect(refusal.ctx).toMatchObject(ctx)
    if (refusal.fix) await place.ask(refusal.fix)
    const after = await place.ask({ cmd: 'state', full: true })
    expect(after.beads).toEqual(before.beads)
  })
})

it('a fix is for the repo of its request', async () => {
  const place = await placeWith([])
  const other = `fixes-other-${repos}`
  await place.ask({ cmd: 'enqueue', repo: other, beads: [{ bead_id: 'bead-9', title: 'Nine' }] })
  const refusal = await place.refused({ cmd: 'cancel', bead_id: 'bead-99', repo: other })
  expect(refusal.fix).toEqual({ cmd: 'show', bead_id: 'bead-9', repo: other })
})

it.each(['from', 'since', 'cursor', 'start', 'offset'])('%s means after', async (name) => {
  const place = await placeWith([])
  for (const request of [{ cmd: 'events' }, { cmd: 'outbox', agent_id: 1 }]) {
    const refusal = await place.refused({ ...request, [name]: 116 })
    expect(refusal.fix).toEqual({ ...request, after: 116 })
  }
})
