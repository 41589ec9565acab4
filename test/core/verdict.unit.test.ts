import { describe, expect, it } from 'vitest'
import type { Facts } from '../../src/contract/run-rows.ts'
import { judge } from '../../src/core/verdict.ts'

const AS_OF = '2026-01-02T10:00:00.000Z'
const LATER = '2026-01-02T17:16:00.000Z'
const EARLIER = '2026-01-02T09:00:00.000Z'

const run = { run_id: 'run-1', status: 'running', waves: 'rolling', landed: 3, started_at: EARLIER } as const

function facts(of: Partial<Facts> = {}): Facts {
  return {
    as_of: AS_OF,
    run,
    beads: { pending: 4, completed: 3 },
    ready: 2,
    agents: { total: 4, busy: 2 },
    blocked: [],
    finished: [],
    sessions: [],
    hosts: [],
    train: [],
    quotas: [],
    spent: { usd: 0, tokens: 0 },
    spent_today: { usd: 0, tokens: 0 },
    budgets: [],
    questions: [],
    leader: { holder: 'h', term: 1, until: LATER },
    ...of,
  }
}

const session = {
  session_id: 's-1',
  run_id: 'run-1',
  host_id: 'h',
  agent_id: 3,
  adapter: 'demo',
  account: 'default',
  bead_id: 'b-1',
  stage: 'implement',
  attempt: 1,
  status: 'running',
  turns: 1,
  tool_calls: 1,
  queued_at: EARLIER,
} as const

describe('the verdict', () => {
  it('is healthy when a leader leads and nothing waits for a person', () => {
    expect(judge(facts())).toEqual({ verdict: { level: 'good', text: 'healthy' }, needs_you: [] })
  })

  it('says why a run is paused, before what else there is', () => {
    const paused = { ...run, status: 'paused', pause_reason: 'the target branch is red' } as const
    const { verdict, needs_you } = judge(facts({ run: paused, questions: [question()] }))
    expect(verdict).toEqual({ level: 'bad', text: 'paused: the target branch is red' })
    expect(needs_you[0]).toMatchObject({ kind: 'paused', acts: [{ cmd: 'unpause' }, { cmd: 'down' }] })
  })

  it('names a budget that is nearly used up, until the run has paused for it', () => {
    const budgets = [
      { kind: 'run_usd' as const, used: 8.2, limit: 10 },
      { kind: 'day_tokens' as const, used: 10, limit: 1_000 },
    ]
    expect(judge(facts({ budgets })).needs_you).toMatchObject([
      {
        kind: 'budget',
        level: 'warning',
        subject: 'run_usd',
        evidence: expect.stringContaining('8.2 of 10'),
      },
    ])
    const paused = { ...run, status: 'paused' } as const
    expect(judge(facts({ budgets, run: paused })).needs_you).toMatchObject([{ kind: 'paused' }])
  })

  it('waits for quota when no session runs, and names until when', () => {
    const quotas = [{ account: 'claude/default', kind: 'five_hour', until: LATER, seen_at: EARLIER }]
    expect(judge(facts({ quotas })).verdict.text).toBe(`waits for quota of claude/default until ${LATER}`)
    expect(judge(facts({ quotas, sessions: [session] })).verdict.text).toBe('healthy')
    expect(
      judge({ ...facts({ quotas }), as_of: '2026-01-03T00:00:00.000Z', run: { ...run, ended_at: LATER } })
        .verdict.level,
    ).toBe('good')
  })

  it('says that nobody leads an open run whose leader is gone', () => {
    expect(judge(facts({ leader: { holder: 'h', term: 1, until: EARLIER } })).needs_you).toMatchObject([
      { kind: 'leader', level: 'bad', since: EARLIER },
    ])
  })
})

describe('what needs a person', () => {
  it('stands worst first: a question before a silent session and a blocked bead', () => {
    const blocked = [
      { bead_id: 'b-2', title: 'Two', stage: 'qa', attempt: 3, feedback: 'red', since: EARLIER },
    ]
    const { verdict, needs_you } = judge(
      facts({ blocked, sessions: [{ ...session, quiet_ms: 400_000 }], questions: [question()] }),
    )
    expect(needs_you.map(({ kind }) => kind)).toEqual(['question', 'stuck', 'blocked'])
    expect(verdict.text).toBe('3 need you')
    expect(needs_you[2]?.evidence).toBe('qa, attempt 3: red')
  })

  it('is no session with a tool open, however long it has been silent', () => {
    const { needs_you } = judge(facts({ sessions: [{ ...session, quiet_ms: 1_200_000, open_tool: 'Bash' }] }))
    expect(needs_you).toEqual([])
  })
})

function question() {
  return { question_id: 'q-1', bead_id: 'b-1', question: 'Which?', options: ['a', 'b'], asked_at: EARLIER }
}
