import { describe, expect, it } from 'vitest'
import type { Overview } from '../../src/contract/run-rows.ts'
import { overviewLines, span } from '../../src/surface/cli/overview.ts'
import { displayWidth } from '../../src/terminal/width.ts'

const NOW = '2026-03-01T12:00:00.000Z'

function session(n: number, more: Partial<Overview['sessions'][number]> = {}): Overview['sessions'][number] {
  return {
    session_id: `s-${n}`,
    run_id: 'run-1',
    host_id: 'h',
    agent_id: n,
    role: 'implementer',
    adapter: 'demo',
    account: 'default',
    bead_id: `bead-${n}`,
    stage: 'implement',
    attempt: 1,
    status: 'running',
    turns: 1,
    tool_calls: 1,
    queued_at: NOW,
    started_at: '2026-03-01T11:58:00.000Z',
    ...more,
  }
}

const OVERVIEW: Overview = {
  as_of: NOW,
  run: { run_id: 'run-1', status: 'running', target: 10, waves: 'rolling', landed: 4, started_at: NOW },
  verdict: { level: 'bad', text: '2 need you' },
  needs_you: [
    {
      kind: 'question',
      level: 'bad',
      subject: 'q',
      title: 'Which port?',
      since: '2026-03-01T11:00:00.000Z',
      acts: [],
    },
    {
      kind: 'blocked',
      level: 'warning',
      subject: 'b',
      title: 'b is blocked',
      evidence: 'red\x1b[2J\nagain',
      acts: [],
    },
  ],
  beads: { pending: 3, in_progress: 2, completed: 4, blocked: 1 },
  ready: 3,
  agents: { total: 5, busy: 2 },
  blocked: [],
  finished: [],
  sessions: [
    session(1),
    session(2, { attempt: 2, quiet_ms: 300_000, open_tool: 'npm test', cost_usd: 1.234 }),
  ],
  hosts: [{ host_id: 'h', name: 'vm', capacity: {}, adapters: {}, draining: true, silent_ms: 0 }],
  train: [
    { bead_id: 'x', status: 'testing', tries: 1 },
    { bead_id: 'y', status: 'queued', tries: 0 },
  ],
  quotas: [
    {
      account: 'claude',
      kind: 'five_hour',
      used_percent: 81.6,
      until: '2026-03-01T17:16:00.000Z',
      seen_at: NOW,
    },
  ],
  spent: { usd: 3.2, tokens: 1_234_567 },
  spent_today: { usd: 3.2, tokens: 1_234_567 },
  budgets: [],
  questions: [],
}

const plain = { width: 100, height: 40, colour: false }

describe('the picture of a run', () => {
  it('says the verdict, what waits for a person, who works, and what is left', () => {
    expect(overviewLines(OVERVIEW, plain)).toEqual([
      ` ● 2 need you  run-1 running${' '.repeat(100 - 28 - 9)}12:00:00`,
      ` ${'━'.repeat(16)}${'─'.repeat(24)}  4 of 10 landed`,
      ' 3 ready · 2 in progress · 1 blocked · 4 done · agents 2 busy of 5',
      '',
      ' ! Which port? 1 h 0 min',
      ' ! b is blocked: red\\x1b[2J↵ again',
      '',
      ' 1 implementer    implement     bead-1                   2 min',
      ' 2 implementer    implement #2  bead-2                   2 min · quiet 5 min · $1.23 · npm test',
      '',
      ' train  x (testing) ← y (queued)',
      ' quota  claude five_hour 82% until 17:16 UTC',
      ' spent  $3.20 · 1,234,567 tokens',
      ' hosts  vm (draining)',
    ])
  })

  it.each([20, 33, 60, 79, 200])('is never wider than %i columns', (width) => {
    const long = {
      ...OVERVIEW,
      sessions: [session(1, { bead_id: '長い'.repeat(40), open_tool: 'x'.repeat(300) })],
    }
    const lines = overviewLines(long, { ...plain, width })
    expect(lines.map(displayWidth).filter((used) => used > width)).toEqual([])
  })

  it('is never higher than the window, and counts what it leaves out', () => {
    const many = { ...OVERVIEW, sessions: Array.from({ length: 50 }, (_, at) => session(at + 1)) }
    for (const height of [4, 12, 24])
      expect(overviewLines(many, { ...plain, height }).length).toBeLessThanOrEqual(height)
    expect(overviewLines(many, { ...plain, height: 24 }).join('\n')).toMatch(/… and \d+ more/)
  })

  it('paints only when asked', () => {
    expect(overviewLines(OVERVIEW, plain).join('')).not.toContain('\x1b')
    expect(overviewLines(OVERVIEW, { ...plain, colour: true }).join('')).toContain('\x1b[31m')
  })
})

it.each([
  [900, '1 s'],
  [59_000, '59 s'],
  [61_000, '1 min'],
  [3_661_000, '1 h 1 min'],
  [-5, '0 s'],
])('%i ms are %s', (ms, text) => expect(span(ms)).toBe(text))
