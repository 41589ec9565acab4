import { describe, expect, test } from 'vitest'
import { STUCK_RULES } from '../../src/core/liveness.ts'
import { auditOpen, checkEnded, type EndedFacts, type OpenFacts } from '../../src/core/qa.ts'

const ended = (more: Partial<EndedFacts> = {}): EndedFacts => ({
  session_id: 's-1',
  bead_id: 'api',
  stage: 'implement',
  reason: 'completed',
  evidence: null,
  workspace: '/work/api',
  head_after: 'h',
  tree: 't',
  latest: true,
  bead_status: 'completed',
  gate_due: true,
  gates: [{ tree: 't', exit_code: 0 }],
  last: 2,
  iterations: [
    { number: 1, status: 'completed' },
    { number: 2, status: 'completed' },
  ],
  ...more,
})
const findings = (facts: EndedFacts, dirty = false) =>
  checkEnded(facts, dirty).map(({ result, findings }) => [result, ...findings])

describe('the check of a session that is over', () => {
  test('passes when it ended well, is clean and its gate has passed on the tree that it left', () => {
    expect(findings(ended())).toEqual([['passed'], ['passed']])
    expect(findings(ended({ gate_due: false, gates: [] }))).toEqual([['passed'], ['passed']])
    // where work is in no repository there is no tree
    expect(findings(ended({ tree: null, gates: [] }))).toEqual([['passed'], ['passed']])
  })

  test.each([
    ['no gate has run on tree t', ended({ gates: [] }), false],
    ['gates ran on another tree than t', ended({ gates: [{ tree: 'u', exit_code: 0 }] }), false],
    [
      'a gate has failed on tree t, and the session counts as completed',
      ended({ gates: [{ tree: 't', exit_code: 1 }] }),
      false,
    ],
    ['files of its worktree are not committed', ended(), true],
    [
      'the session ended: crashed: it went away',
      ended({ reason: 'crashed', evidence: 'it went away' }),
      false,
    ],
  ])('fails the last turn: %s', (finding, facts, dirty) => {
    expect(findings(facts, dirty)).toEqual([['passed'], ['failed', finding]])
  })

  test('fails a turn that was cut short, and one that still runs', () => {
    const facts = ended({
      iterations: [
        { number: 1, status: 'failed' },
        { number: 2, status: 'running' },
      ],
    })
    expect(findings(facts)).toEqual([
      ['failed', 'the turn did not come to its end'],
      ['failed', 'it still runs, although its session is over'],
    ])
  })

  test('says what to do about it', () => {
    const [, last] = checkEnded(ended({ reason: 'stuck:no_output' }), false)
    expect(last?.recommendations).toEqual(['read the end of its log (logs s-1)'])
    const [, blocked] = checkEnded(ended({ reason: 'failed', bead_status: 'blocked' }), false)
    expect(blocked?.recommendations[0]).toContain('a person has to look at api')
  })
})

const NOW = 10_000_000_000
const open = (more: Partial<OpenFacts> = {}): OpenFacts => ({
  session_id: 's-1',
  status: 'running',
  wanted: null,
  started_ms: NOW - 7_200_000,
  output_ms: NOW - 1_000,
  tool_ms: NOW - 1_000,
  open_tool: null,
  heartbeat_ms: NOW - 1_000,
  deadline_ms: null,
  ...more,
})
const audit = (more: Partial<OpenFacts>) => auditOpen(open(more), NOW, STUCK_RULES)

describe('the audit of a session that runs', () => {
  const silent = { output_ms: NOW - 3_600_000, tool_ms: NOW - 3_600_000 }

  test('ends what has been silent for longer than its host would have let it', () => {
    expect(audit({})).toEqual({ state: 'working' })
    expect(audit(silent)).toMatchObject({ state: 'stuck', rule: 'no_output', act: 'end' })
    // its host speaks to it first, and has five minutes for that
    const justStuck = NOW - STUCK_RULES.no_output_ms - 60_000
    expect(audit({ output_ms: justStuck, tool_ms: justStuck }).act).toBeUndefined()
  })

  test.each([
    ['asks a person', { status: 'asking' }],
    ['waits for quota', { status: 'held' }],
    ['has been given time', { deadline_ms: NOW + 1 }],
    ['was told to end already', { wanted: 'budget' }],
    ['has not been started', { started_ms: null }],
  ] as const)('leaves alone what %s', (_, more) => {
    expect(audit({ ...silent, ...more }).act).toBeUndefined()
  })

  test('leaves an open tool to its host while that is heard, up to the ceiling', () => {
    const tool = { open_tool: 'shell', output_ms: NOW - 1_500_000, tool_ms: NOW - 1_500_000 }
    expect(audit(tool).act).toBeUndefined()
    expect(audit({ ...tool, heartbeat_ms: NOW - 600_000 })).toMatchObject({ rule: 'no_output', act: 'end' })
    expect(audit({ ...tool, tool_ms: NOW - 3_600_000 })).toMatchObject({ rule: 'open_tool', act: 'end' })
  })
})
