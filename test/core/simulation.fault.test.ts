import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decide } from '../../src/core/decide.ts'
import { DEFAULT_RULES, type Rules } from '../../src/core/rules.ts'
import { World } from './world.ts'

/** Histories of the whole run; `SIM_RUNS` and `SEED` change how many and which. */
const RUNS = Number(process.env.SIM_RUNS ?? 10_000)
const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000_000)
const DEMO = { adapter: 'demo', accounts: ['default'] }
const FAULTY_TICKS = 30
const CALM_TICKS = 400

const options = fc.record({
  beads: fc.array(
    fc.record({
      priority: fc.constantFrom('p0', 'p1', 'p2', 'p3'),
      blockers: fc.array(fc.nat(11), { maxLength: 3 }),
    }),
    { minLength: 1, maxLength: 12 },
  ),
  agents: fc
    .array(fc.constantFrom('implementer', 'reviewer'), { minLength: 1, maxLength: 6 })
    .map((roles) => ['implementer', 'reviewer', ...roles]),
  hosts: fc.array(fc.record({ capacity: fc.integer({ min: 1, max: 4 }), adapters: fc.constant(['demo']) }), {
    minLength: 1,
    maxLength: 3,
  }),
  target: fc.option(fc.integer({ min: 1, max: 12 }), { nil: null }),
  waves: fc.constantFrom('rolling' as const, 'strict' as const),
})
const rulesOf = fc.record({ run: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }) }).map(
  ({ run }): Rules => ({
    ...DEFAULT_RULES,
    roles: { implementer: DEMO, reviewer: DEMO },
    limits: run === undefined ? {} : { run },
  }),
)

/** What happens between two ticks. */
const incident = fc.oneof(
  { weight: 8, arbitrary: fc.constant('nothing') },
  {
    weight: 3,
    arbitrary: fc.constantFrom('crashed', 'failed', 'stuck:no_output', 'quota', 'killed', 'shutdown'),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      'host dies',
      'host returns',
      'no quota',
      'disk full',
      'stale leader',
      'pause',
      'drain',
    ),
  },
)

test(`a run ends or says why it waits, whatever happens to it (${RUNS} histories, SEED=${SEED})`, () => {
  fc.assert(
    fc.property(
      options,
      rulesOf,
      fc.array(incident, { maxLength: FAULTY_TICKS }),
      fc.infiniteStream(fc.nat(99)),
      (start, rules, incidents, dice) => {
        const world = new World(start)
        const roll = () => dice.next().value ?? 0
        const pick = <T>(from: readonly T[]): T | undefined => from[roll() % Math.max(1, from.length)]
        for (const what of incidents) {
          const old = world.snapshot()
          happen(world, what, pick)
          // a leader that decided on what was so before, and acts now
          tick(world, rules, what === 'stale leader' ? old : world.snapshot())
          world.pass(1_000 + roll() * 600)
          finishSome(world, () => roll() < 60)
          world.land(() => roll() < 70)
          invariants(world, start.target)
        }
        calm(world)
        for (let at = 0; at < CALM_TICKS && isOpen(world); at++) {
          tick(world, rules, world.snapshot())
          world.pass(30_000)
          finishSome(world, () => true)
          world.land(() => true)
          invariants(world, start.target)
        }
        settled(world, rules)
      },
    ),
    { numRuns: RUNS, seed: SEED },
  )
}, 300_000)

function tick(world: World, rules: Rules, snapshot: ReturnType<World['snapshot']>): void {
  const { actions, waiting } = decide(snapshot, rules)
  if (
    world.run.status === 'running' &&
    actions.every(({ kind }) => kind !== 'complete' && kind !== 'pause' && kind !== 'end_session')
  ) {
    const told = new Set([
      ...waiting.map(({ bead_id }) => bead_id),
      ...actions.flatMap((one) => ('bead_id' in one ? [one.bead_id] : [])),
    ])
    for (const { bead_id } of snapshot.ready)
      if (!told.has(bead_id)) world.faults.push(`${bead_id} is ready and nothing is said of it`)
  }
  for (const action of actions) world.act(action, rules)
}

function happen(world: World, what: string, pick: <T>(from: readonly T[]) => T | undefined): void {
  const host = pick(world.hosts)
  switch (what) {
    case 'nothing':
    case 'stale leader':
      return
    case 'host dies':
      if (host) host.alive = false
      world.pass(20_000)
      return
    case 'host returns':
      if (host) host.alive = true
      return
    case 'no quota':
      world.quotas.set('demo/default', world.now + 120_000)
      return
    case 'disk full':
      if (host) host.free_disk_mb = 1
      return
    case 'drain':
      if (host) host.draining = true
      return
    case 'pause':
      if (world.run.status === 'running') world.run.status = 'paused'
      return
    default: {
      const session = pick(world.open())
      if (session) world.end(session, what)
    }
  }
}

/** Everything works from now on. */
function calm(world: World): void {
  for (const host of world.hosts) {
    host.alive = true
    host.draining = false
    host.free_disk_mb = 10_000
  }
  world.quotas.clear()
  if (world.run.status === 'paused') world.run.status = 'running'
  world.pass(1_000)
}

function finishSome(world: World, ends: () => boolean): void {
  for (const one of world.open()) {
    const host = world.hosts.find(({ id }) => id === one.host_id)
    if (!host?.alive) continue
    if (one.wanted !== null) world.end(one, 'shutdown')
    else if (ends()) world.end(one, 'completed')
  }
}

function isOpen({ run }: World): boolean {
  return run.status === 'running' || run.status === 'stopping'
}

function invariants(world: World, target: number | null): void {
  expect(world.faults).toEqual([])
  const beads = [...world.beads.values()]
  for (const bead of beads) {
    const sessions = world.open().filter((one) => one.bead_id === bead.id).length
    expect(sessions, `${bead.id} is ${bead.status}`).toBe(bead.status === 'in_progress' ? 1 : 0)
  }
  const agents = world.open().map(({ agent_id }) => agent_id)
  expect(new Set(agents).size).toBe(agents.length)
  const landed = beads.filter(({ status }) => status === 'completed').length
  if (target !== null) expect(landed).toBeLessThanOrEqual(target)
}

/** The run is over, or paused with a reason; what is left unfinished waits for a person or for what is blocked. */
function settled(world: World, rules: Rules): void {
  const { run } = world
  expect(run.status, JSON.stringify(decide(world.snapshot(), rules))).not.toBe('running')
  if (run.status === 'paused') expect(run.pause_reason).toMatch(/./)
  if (run.status !== 'completed' || run.target !== null) return
  for (const bead of world.beads.values())
    if (bead.status === 'pending') expect(world.isReady(bead), `${bead.id} was stranded`).toBe(false)
}
