import { describe, expect, test } from 'vitest'
import { chooseAccount } from '../../src/core/accounts.ts'
import { decide } from '../../src/core/decide.ts'
import { DEFAULT_RULES, type Rules } from '../../src/core/rules.ts'
import type { QuotaFacts, SessionFacts, Snapshot } from '../../src/core/snapshot.ts'
import { meltdown, standingOf } from '../../src/core/supervise.ts'
import { World } from './world.ts'

const MIN = 60_000
const NOW = 100 * MIN
const rules: Rules = { ...DEFAULT_RULES, roles: { implementer: { adapter: 'demo', accounts: ['a', 'b'] } } }
const role = { adapter: 'demo', accounts: ['a', 'b'] }

const world = (agents: readonly string[] = ['implementer']) =>
  new World({
    beads: [{ priority: 'p1', blockers: [] }],
    agents,
    hosts: [{ capacity: 9, adapters: ['demo'] }],
    target: null,
    waves: 'rolling',
  }).snapshot()
const snapshot = (more: Partial<Snapshot>, agents?: readonly string[]): Snapshot => ({
  ...world(agents),
  now_ms: NOW,
  ...more,
})
let made = 0
const session = (more: Partial<SessionFacts>): SessionFacts => ({
  session_id: `s${++made}`,
  run_id: 'run-1',
  host_id: 'h0',
  agent_id: 1,
  role: 'implementer',
  adapter: 'demo',
  account: 'demo/a',
  bead_id: 'b0',
  stage: 'implement',
  status: more.ended_ms === undefined ? 'running' : 'ended',
  reason: null,
  wanted: null,
  queued_ms: NOW - 10 * MIN,
  started_ms: NOW - 10 * MIN,
  ended_ms: null,
  deadline_ms: null,
  ...more,
})
const quota = (more: Partial<QuotaFacts>): QuotaFacts => ({
  account: 'demo/a',
  kind: 'limit',
  used_percent: null,
  until_ms: null,
  seen_ms: NOW - MIN,
  ...more,
})
const choose = (facts: Snapshot, running = 0, accounts = ['a']) =>
  chooseAccount({ ...role, accounts }, facts, rules, () => running)

describe('an account', () => {
  test('that is used up rests until its reset, and for five minutes when nobody says until when', () => {
    const until = (ms: number) => snapshot({ quotas: [quota({ until_ms: ms })] })
    expect(choose(until(NOW + MIN))).toMatchObject({ why: 'quota' })
    expect(choose(until(NOW - 1))).toMatchObject({ why: 'quota' })
    expect(choose(until(NOW - 31_000))).toBe('demo/a')
    expect(choose(snapshot({ quotas: [quota({})] }))).toMatchObject({ why: 'quota' })
    // a reset that was over when it was told says nothing
    expect(choose(snapshot({ quotas: [quota({ until_ms: NOW - 2 * MIN })] }))).toMatchObject({ why: 'quota' })
    expect(choose(snapshot({ quotas: [quota({ seen_ms: NOW - 6 * MIN })] }))).toBe('demo/a')
  })

  test('without quota hands its work to the next', () => {
    const facts = snapshot({ quotas: [quota({ until_ms: NOW + 60 * MIN })] })
    expect(choose(facts, 0, ['a', 'b'])).toBe('demo/b')
    const both = snapshot({
      quotas: [quota({ until_ms: NOW + 60 * MIN }), quota({ account: 'demo/b', until_ms: NOW + 5 * MIN })],
    })
    expect(choose(both, 0, ['a', 'b'])).toMatchObject({ detail: expect.stringContaining('demo/b') })
  })

  test('that is overloaded gets half as many, then one more every 30 s; many messages halve once', () => {
    const sessions = Array.from({ length: 8 }, () => session({}))
    const at = (seen_ms: number) => snapshot({ sessions, quotas: [quota({ kind: 'overload', seen_ms })] })
    expect(choose(at(NOW), 3)).toBe('demo/a')
    expect(choose(at(NOW), 4)).toMatchObject({ why: 'quota', detail: expect.stringContaining('4 at once') })
    expect(choose(at(NOW - 30_000), 4)).toBe('demo/a')
    expect(choose(at(NOW - 30_000), 5)).toMatchObject({ why: 'quota' })
    expect(choose(at(NOW - 16 * MIN), 50)).toBe('demo/a')
  })

  test('whose sessions end by overload rests longer each time', () => {
    const ended = (count: number) => ({
      sessions: Array.from({ length: count }, () =>
        session({ reason: 'quota', ended_ms: NOW - 15_000, started_ms: NOW - MIN }),
      ),
      quotas: [quota({ kind: 'overload', seen_ms: NOW - 15_000 })],
    })
    expect(choose(snapshot(ended(1)))).toBe('demo/a')
    expect(choose(snapshot(ended(2)))).toMatchObject({ why: 'quota' })
  })

  test('that nobody is logged in to is tried once, not by every agent, and again when a person goes on', () => {
    const sessions = [session({ reason: 'not_started:not_logged_in', ended_ms: NOW - MIN })]
    expect(choose(snapshot({ sessions }))).toMatchObject({ why: 'login' })
    expect(choose(snapshot({ sessions }), 0, ['a', 'b'])).toBe('demo/b')
    const run = { ...world().run, resumed_ms: NOW - 1_000 }
    expect(choose(snapshot({ sessions, run }))).toBe('demo/a')
  })
})

describe('a run', () => {
  test('in which nothing can run pauses and says what is missing', () => {
    const own = { ...rules, roles: { implementer: { adapter: 'demo', accounts: ['a'] } } }
    const hosts = world().hosts.map((host) => ({
      ...host,
      adapters: { demo: { missing: 'not_installed: demo is not installed' } },
    }))
    expect(decide(snapshot({ hosts }), own).actions).toEqual([
      expect.objectContaining({ kind: 'wave_started' }),
      { kind: 'pause', reason: expect.stringContaining('demo is not installed') },
    ])
    // something else is under way
    expect(decide(snapshot({ hosts, sessions: [session({})] }), own).actions).not.toContainEqual(
      expect.objectContaining({ kind: 'pause' }),
    )
  })

  test('that melted down goes on when a person says so, and its pool is what it may have at work', () => {
    const sessions = Array.from({ length: 6 }, () =>
      session({ reason: 'crashed', ended_ms: NOW - MIN, started_ms: NOW - MIN }),
    )
    const limits = { role: { implementer: 1 } }
    const agents = ['implementer', 'implementer', 'implementer', 'reviewer', 'planner']
    expect(meltdown(snapshot({ sessions }, agents), rules)).toBeUndefined()
    const melted = snapshot({ sessions }, agents)
    expect(meltdown(melted, { ...rules, limits })).toMatchObject({ kind: 'pause' })
    const resumed = { ...melted, run: { ...melted.run, resumed_ms: NOW } }
    expect(meltdown(resumed, { ...rules, limits })).toBeUndefined()
    expect(standingOf(1, melted, rules)).toMatchObject({ free: false })
    expect(standingOf(1, resumed, rules)).toEqual({ free: true })
  })
})
