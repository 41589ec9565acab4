import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decide } from '../../src/core/decide.ts'
import type { Rules, Translation } from '../../src/core/rules.ts'
import type { BeadTraits } from '../../src/core/snapshot.ts'
import { globMatches, lettersOf, matches, translationOf } from '../../src/core/translate.ts'
import { allSettings, rulesOf, sessionSettings } from '../../src/orchestrator/settings.ts'
import { parseConfig } from '../../src/root/config.ts'
import { World } from './world.ts'

const bead = (more: Partial<BeadTraits> = {}): BeadTraits => ({
  title: 'Fix the login page',
  bead_type: 'bug',
  labels: ['web', 'security'],
  priority: 'p1',
  ...more,
})

describe('a match', () => {
  test.each<[string, Translation['match'], boolean]>([
    ['nothing asked for', {}, true],
    ['one of the types', { types: ['feature', 'bug'] }, true],
    ['another type', { types: ['feature'] }, false],
    ['all labels', { labels: ['security', 'web'] }, true],
    ['a label that it has not', { labels: ['security', 'api'] }, false],
    ['a range that ends with it', { priority: { from: 0, to: 1 } }, true],
    ['a range that begins after it', { priority: { from: 2, to: 4 } }, false],
    ['the title in other capitals', { title: 'fix *' }, true],
    ['a part of the title', { title: 'login' }, false],
    ['one that fails of two', { types: ['bug'], title: 'Add*' }, false],
  ])('%s', (_, match, holds) => {
    expect(matches(match, bead())).toBe(holds)
  })

  test('the first rule that matches is the one', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ priority: fc.nat(4), type: fc.constantFrom('bug', 'task') }), { maxLength: 8 }),
        fc.nat(4),
        (rules, rank) => {
          const translations = rules.map(
            ({ priority, type }, at): Translation => ({
              number: at + 1,
              match: { types: [type], priority: { from: priority, to: 4 } },
            }),
          )
          const one = bead({ priority: `p${rank}` })
          const found = translationOf(one, translations)?.number ?? rules.length + 1
          expect(
            translations.every(({ number, match }) =>
              number < found ? !matches(match, one) : number > found || matches(match, one),
            ),
          ).toBe(true)
        },
      ),
    )
  })
})

describe('a title pattern', () => {
  const letters = fc
    .array(fc.constantFrom('a', 'b', '*', '?', '𝒳'), { maxLength: 10 })
    .map((all) => all.join(''))
  test('means what a regular expression of its kind means', () => {
    fc.assert(
      fc.property(letters, letters, (pattern, text) => {
        const source = [...pattern].map((one) => (one === '*' ? '.*' : one === '?' ? '.' : one)).join('')
        expect(globMatches(pattern, lettersOf(text))).toBe(new RegExp(`^${source}$`, 'su').test(text))
      }),
      { numRuns: 2_000 },
    )
  })

  test('takes no longer for whoever writes titles against it', () => {
    // a matcher that tries every way needs more steps than there is time
    expect(globMatches(`${'*a'.repeat(240)}*b`, lettersOf('a'.repeat(500)))).toBe(false)
  })
})

const CONFIG = `
[agents.implementer]
adapter = "claude"
model = "small"
permissions = { deny = ["Bash"] }
[agents.codex]
adapter = "codex"
account = "second"
args = ["--x"]
permissions = { mode = "allow" }
[[rules]]
name = "security"
match = { type = ["bug", "fix"], labels = ["security"], priority = "p0..p1" }
workflow = "careful"
role = "senior"
model = "large"
budget_usd = 2.5
[[rules]]
match = { title = "docs:*" }
adapter = "codex"
`
const AGENTS = { implementer: 1, senior: 1 }

describe('the rules of a configuration', () => {
  const config = parseConfig(CONFIG, 'config.toml')

  test('are decided by as they are written', () => {
    expect(rulesOf(config, AGENTS, undefined).translations).toEqual([
      {
        number: 1,
        name: 'security',
        match: { types: ['bug', 'fix'], labels: ['security'], priority: { from: 0, to: 1 } },
        workflow: 'careful',
        role: 'senior',
        roles: {
          implementer: { adapter: 'claude', model: 'large', accounts: ['default'] },
          senior: { adapter: 'demo', model: 'large', accounts: ['default'] },
        },
        budget_usd: 2.5,
      },
      {
        number: 2,
        match: { title: 'docs:*' },
        roles: {
          implementer: { adapter: 'codex', accounts: ['second'] },
          senior: { adapter: 'codex', accounts: ['second'] },
        },
      },
    ])
  })

  test('another program keeps what the role may do', () => {
    expect(
      sessionSettings(config, 'implementer', undefined, bead({ title: 'Docs: how', labels: [] })),
    ).toEqual({
      adapter: 'codex',
      account: 'second',
      args: ['--x'],
      permissions: { deny: ['Bash'] },
    })
  })

  test('an adapter that was asked for goes before them', () => {
    expect(sessionSettings(config, 'implementer', 'demo', bead({ title: 'docs: how', labels: [] }))).toEqual({
      adapter: 'demo',
    })
    expect(allSettings(config, ['implementer'], 'demo').map(({ adapter }) => adapter)).toEqual([
      'demo',
      'demo',
      'demo',
    ])
  })

  test.each([
    ['match = { priority = "p3..p1" }', 'rules.0.match.priority', /more urgent one first/],
    ['match = { priority = 5 }', 'rules.0.match.priority', /like 1 or "p1"/],
    ['match = { typ = "bug" }', 'rules.0.match.typ', /type, labels, priority, title/],
    ['match = {}\nmodle = "x"', 'rules.0.modle', /workflow, role, model/],
    ['match = {}\nadapter = "clod"', 'rules.0.adapter', /claude/],
    ['match = {}\nbudget_usd = 0', 'rules.0.budget_usd', />0/],
    ['match = {}\n[[rules]]\nmatch = { type = "bug" }', 'rules.1', /rule 1 matches every bead/],
    ['workflow = "x"', 'rules.0.match', /./],
  ])('%j is refused by its field', (rule, field, says) => {
    const parse = () => parseConfig(`[[rules]]\n${rule}\n`, 'config.toml')
    expect(parse).toThrow(says)
    expect(parse).toThrow(expect.objectContaining({ ctx: expect.objectContaining({ field }) }))
  })
})

describe('a look of the leader', () => {
  const world = (count = 1) =>
    new World({
      beads: Array.from({ length: count }, () => ({ priority: 'p1', blockers: [] })),
      agents: ['implementer', 'senior'],
      hosts: [{ capacity: 4, adapters: ['demo', 'codex'] }],
      target: null,
      waves: 'rolling',
    })
  const snapshotOf = (unbegun: boolean) => {
    const snapshot = world().snapshot()
    const extra = { independent: null, roles: ['implementer', 'senior'] }
    return {
      ...snapshot,
      stages: [
        ...snapshot.stages,
        { workflow: 'careful', stage: 'build', position: 2, ...extra },
        { workflow: 'careful', stage: 'plan', position: 1, ...extra },
      ],
      ready: snapshot.ready.map((one) => ({ ...one, unbegun })),
    }
  }
  const rules = (more: Partial<Translation> = {}): Rules => ({
    ...rulesOf({}, AGENTS, 'demo'),
    translations: [
      {
        number: 1,
        match: {},
        workflow: 'careful',
        role: 'senior',
        roles: { senior: { adapter: 'codex', model: 'large', accounts: ['default'] } },
        ...more,
      },
    ],
  })

  test('gives a bead its workflow, then its agent, program and model', () => {
    const { actions } = decide(snapshotOf(true), rules())
    expect(actions.filter(({ kind }) => kind === 'translate' || kind === 'assign')).toEqual([
      expect.objectContaining({ kind: 'translate', bead_id: 'b0', workflow: 'careful', rule: 1 }),
      expect.objectContaining({
        kind: 'assign',
        stage: 'plan',
        workflow: 'careful',
        agent_id: 2,
        adapter: 'codex',
        model: 'large',
        rule: 'rule 1',
      }),
    ])
  })

  test('leaves the workflow of a bead that has begun or was given one', () => {
    const { actions } = decide(snapshotOf(false), rules())
    expect(actions.map(({ kind }) => kind)).not.toContain('translate')
    // at this stage the role of the rule may do nothing: it says nothing about it
    expect(actions).toContainEqual(
      expect.objectContaining({ kind: 'assign', stage: 'implement', agent_id: 1 }),
    )
  })

  test('holds a bead up whose workflow is not there', () => {
    const { actions, waiting } = decide(snapshotOf(true), rules({ workflow: 'gone' }))
    expect(actions.filter(({ kind }) => kind === 'assign')).toEqual([])
    expect(waiting).toEqual([
      { bead_id: 'b0', why: 'rule', detail: 'rule 1 gives it the workflow gone, which is not there' },
    ])
  })

  test('a bead that has used up the budget of its rule waits, and its session ends', () => {
    const limited: Rules = { ...rules({ budget_usd: 1 }), budgets: { bead_usd: 100 } }
    const spent = { ...snapshotOf(false), bead_spent: { b0: { usd: 1.1, tokens: 0 } } }
    expect(decide(spent, limited).waiting).toEqual([
      { bead_id: 'b0', why: 'budget', detail: 'it has used 1.1 of 1 USD' },
    ])
    const session = {
      ...({ session_id: 's', run_id: 'run-1', host_id: 'h0', agent_id: 1, role: 'implementer' } as const),
      ...({ adapter: 'demo', account: 'demo/default', bead_id: 'b0', stage: 'implement' } as const),
      ...({ status: 'running', reason: null, wanted: null, queued_ms: 0 } as const),
      ...({ started_ms: 0, ended_ms: null, deadline_ms: null, bead: bead() } as const),
    }
    expect(decide({ ...spent, ready: [], sessions: [session] }, limited).actions).toContainEqual(
      expect.objectContaining({ kind: 'end_session', session_id: 's', wanted: 'budget' }),
    )
  })
})
