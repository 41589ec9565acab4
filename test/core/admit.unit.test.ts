import { describe, expect, test } from 'vitest'
import { chooseHost } from '../../src/core/admit.ts'
import { decide } from '../../src/core/decide.ts'
import { DEFAULT_RULES } from '../../src/core/rules.ts'
import type { HostFacts, ReadyBead, SessionFacts, Snapshot } from '../../src/core/snapshot.ts'

const host = (host_id: string, more: Partial<HostFacts> = {}): HostFacts => ({
  host_id,
  capacity: { implementer: 2 },
  adapters: { demo: { version: '1' } },
  silent_ms: 100,
  draining: false,
  free_disk_mb: 10_000,
  ...more,
})
const bead = (workspace: string | null = null): ReadyBead => ({
  bead_id: 'b',
  title: 'b',
  bead_type: 'task',
  labels: [],
  priority: 'p1',
  workflow: 'default',
  stage: 'implement',
  wave: 1,
  workspace,
  created_ms: 0,
  unblocks: 0,
  implementer: null,
  failures: 0,
})
const snapshot = (hosts: readonly HostFacts[]): Snapshot => ({
  now_ms: 0,
  run: { run_id: 'r', status: 'running', pause_reason: null, target: null, waves: 'rolling', started_ms: 0 },
  counts: { pending: 1, ready: 1, in_progress: 0, blocked: 0, landed: 0, landing: 0 },
  stages: [],
  agents: [],
  hosts,
  sessions: [],
  ready: [],
  quotas: [],
  spent: { run_usd: 0, run_tokens: 0, day_usd: 0, day_tokens: 0 },
  bead_spent: {},
  questions: 0,
  waves: [],
  open_wave: null,
})
const choose = (hosts: readonly HostFacts[], of = bead()) =>
  chooseHost(of, 'implementer', 'demo', snapshot(hosts), DEFAULT_RULES, new Map())

describe('the choice of a host', () => {
  test('a host that drains gets nothing new, also of beads that were worked on there', () => {
    const drained = host('a', { draining: true, capacity: { implementer: 9 } })
    expect(choose([drained, host('b')])).toMatchObject({ host: { host_id: 'b' } })
    expect(choose([drained, host('b')], bead('a:/work'))).toMatchObject({ host: { host_id: 'b' } })
    expect(choose([host('a'), host('b')], bead('a:/work'))).toMatchObject({ host: { host_id: 'a' } })
  })

  test('what waits says that hosts are there and drain', () => {
    expect(choose([host('a', { draining: true })])).toMatchObject({
      why: 'no_host',
      detail: expect.stringContaining('draining'),
    })
    const silent = host('a', { draining: true, silent_ms: 60_000 })
    expect(choose([silent])).toEqual({ why: 'no_host', detail: 'no host is there' })
  })
})

describe('an account that was not let in', () => {
  const agents = [1, 2].map((agent_id) => ({ agent_id, role: 'implementer', busy: false }))
  const ended = (session_id: string, reason: string, ended_ms: number): SessionFacts => ({
    session_id,
    run_id: 'r',
    host_id: 'a',
    agent_id: 1,
    role: 'implementer',
    adapter: 'demo',
    account: 'demo/one',
    bead_id: 'b',
    stage: 'implement',
    status: 'ended',
    reason,
    wanted: null,
    queued_ms: 0,
    started_ms: 0,
    ended_ms,
    deadline_ms: null,
  })
  const decided = (accounts: readonly string[], sessions: readonly SessionFacts[]) =>
    decide(
      { ...snapshot([host('a')]), now_ms: 100_000, agents, sessions, ready: [bead()] },
      { ...DEFAULT_RULES, roles: { implementer: { adapter: 'demo', accounts } } },
    )
  const refused = ended('s1', 'not_started:not_logged_in', 50_000)

  test('is not tried by the next agent either, and what waits says why', () => {
    const { actions, waiting } = decided(['one'], [refused])
    expect(actions.filter(({ kind }) => kind === 'assign')).toEqual([])
    expect(waiting).toMatchObject([
      { why: 'login', detail: expect.stringContaining('demo/one is not logged in') },
    ])
  })

  test('leaves the work to another one, and is tried again once it has worked', () => {
    expect(decided(['one', 'two'], [refused]).actions).toMatchObject([
      { kind: 'assign', account: 'demo/two' },
    ])
    const mended = [refused, ended('s2', 'completed', 60_000)]
    expect(decided(['one'], mended).actions).toMatchObject([{ kind: 'assign' }])
  })
})
