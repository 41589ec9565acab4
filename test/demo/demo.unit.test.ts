import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { EventRow } from '../../src/contract/events.ts'
import type { Overview } from '../../src/contract/run-rows.ts'
import { exampleBacklog } from '../../src/demo/backlog.ts'
import { type Board, createBoard } from '../../src/demo/board.ts'
import { checkRows } from '../../src/demo/checks.ts'
import { column, createStyle } from '../../src/demo/style.ts'
import { findProblems, summaryLines } from '../../src/demo/summary.ts'
import { renderFrame } from '../../src/demo/view.ts'

const event = (event_type: string, fields: Partial<EventRow> = {}): EventRow => ({
  sequence: 1,
  payload_version: 1,
  timestamp: '2026-01-01T00:00:00.000Z',
  event_type,
  origin: 'system',
  entity_id: fields.bead_id ?? 'x',
  payload: {},
  ...fields,
})
const session = (agent_id: number, bead_id: string, stage: string, attempt = 1) => ({
  session_id: `s-${agent_id}`,
  run_id: 'run-1',
  host_id: 'h',
  agent_id,
  adapter: 'demo',
  account: 'default',
  bead_id,
  stage,
  attempt,
  status: 'running' as const,
  turns: 0,
  tool_calls: 0,
  queued_at: '2026-01-01T00:00:00.000Z',
})
const overview = (more: Partial<Overview>): Overview => ({
  as_of: '2026-01-01T00:00:00.000Z',
  verdict: { level: 'good', text: 'healthy' },
  needs_you: [],
  beads: {},
  ready: 0,
  agents: { total: 2, busy: 1 },
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
  ...more,
})
/** A board of these beads, two agents, and what has been seen. */
function boardOf(
  ids: readonly string[],
  seen: Partial<Overview> = {},
  title = (id: string) => `Title of ${id}`,
): Board {
  const agents = [
    { agent_id: 1, role: 'implementer' },
    { agent_id: 2, role: 'reviewer' },
  ]
  const board = createBoard(new Map(ids.map((id) => [id, title(id)])), agents, ids.length)
  board.see(overview(seen))
  return board
}

describe('the example backlog', () => {
  const beads = exampleBacklog().map((bead) => ({
    id: String(bead.id),
    // the tracker's format: a list of objects
    needs: (bead.dependencies as { depends_on_id: string }[]).map((one) => one.depends_on_id),
  }))

  test('has a few beads with dependencies that exist and can be met in the order given', () => {
    expect(beads).toHaveLength(7)
    const before = new Set<string>()
    for (const { id, needs } of beads) {
      expect([id, needs.filter((other) => !before.has(other))]).toEqual([id, []])
      expect(before.has(id)).toBe(false)
      before.add(id)
    }
  })

  test('has work for several from the beginning', () => {
    expect(beads.filter(({ needs }) => needs.length === 0)).toHaveLength(2)
  })
})

describe('the board', () => {
  test('shows what each agent does, and tells what people want to read', () => {
    const board = boardOf(['a'], { sessions: [session(2, 'a', 'qa', 2)] })
    expect(board.lanes).toMatchObject([{ agent: 1 }, { agent: 2, bead: 'a', stage: 'qa', attempt: 2 }])
    board.see(overview({}))
    expect(board.lanes[1]?.bead).toBeUndefined()
    const told = (one: EventRow) => {
      board.apply(one, 1_000)
      return board.news.splice(0).map(({ text }) => text)
    }
    expect(told(event('landing_landed', { bead_id: 'a', payload: { head: '0123456789ab' } }))).toEqual([
      'a has landed as 01234567',
    ])
    const ended = { bead_id: 'a', stage: 'qa', agent_id: 2 }
    expect(told(event('session_ended', { ...ended, payload: { reason: 'crashed' } }))).toEqual([
      'qa of a by agent 2 ended: crashed',
    ])
    expect(told(event('session_ended', { ...ended, payload: { reason: 'completed' } }))).toEqual([])
  })
})

describe('the picture', () => {
  const plain = createStyle(false, { LANG: 'C.UTF-8' })
  const frame = { width: 80, height: 24, elapsedMs: 4_000 }

  test('never is wider or higher than the terminal', () => {
    const text = fc.string({ unit: 'grapheme-ascii', maxLength: 300 })
    fc.assert(
      fc.property(
        fc.integer({ min: 60, max: 200 }),
        fc.integer({ min: 10, max: 60 }),
        text,
        fc.nat(40),
        (width, height, title, beads) => {
          const ids = Array.from({ length: beads }, (_, n) => `bead-${n}-${title}`)
          const board = boardOf(
            ids,
            {
              sessions: ids.slice(0, 2).map((id, n) => session(n + 1, id, 'implement', n + 1)),
              train: ids.map((bead_id) => ({ bead_id, status: 'queued', tries: 0 })),
            },
            () => title,
          )
          board.leader = title
          for (const id of ids) board.say('plain', id, 1)
          const lines = renderFrame(board, plain, { ...frame, width, height })
          expect(lines.length).toBeLessThan(height)
          expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(width)
        },
      ),
    )
  })

  test('says for each agent what it does, what is on the train and how far it is', () => {
    const board = boardOf(['api', 'docs'], {
      sessions: [session(1, 'api', 'implement', 2)],
      train: [{ bead_id: 'docs', status: 'testing', tries: 0 }],
    })
    board.landed = 1
    const lines = renderFrame(board, plain, frame)
    expect(lines).toContainEqual(
      expect.stringMatching(/^ agent 1 implementer +● implement #2 +api +Title of api$/),
    )
    expect(lines).toContainEqual(expect.stringMatching(/^ agent 2 reviewer +○ idle$/))
    expect(lines).toContainEqual(expect.stringMatching(/^ landing train +docs \(testing\)$/))
    expect(lines[2]).toMatch(/━+─+ +1\/2 landed · 4\.0 s$/)
  })

  test('has no colours and no control characters of its own without a terminal that wants them', () => {
    const board = boardOf(
      ['a'],
      { sessions: [session(1, 'a', 'qa')] },
      () => 'red \x1b[31m\u009b31m\r\nalert',
    )
    const text = renderFrame(board, plain, frame).join('')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
    expect(text).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/)
  })

  test('uses ASCII signs where the locale says so', () => {
    const board = boardOf(['a'], { sessions: [session(1, 'a', 'qa')] })
    const ascii = renderFrame(board, createStyle(false, { LC_ALL: 'C' }), frame).join('')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: all that is not ASCII
    expect(ascii).not.toMatch(/[^\u0000-\u007f]/)
  })

  test('columns are cut and filled', () => {
    expect(column('abc', 5, '…')).toBe('abc  ')
    expect(column('abcdef', 4, '…')).toBe('abc…')
    expect(column('abc', 0, '…')).toBe('')
  })
})

describe('the end', () => {
  const invariants = { lost: 0, doubled: 0, leases: 0, miscounted: 0 }
  const completed = [{ bead_id: 'a', commit_hash: 'h' }]
  const landings = [{ base: 'b', head: 'h', tree: 't', gated: true }]

  test('holds the rows against each other', () => {
    const good = { completed, landings, invariants }
    expect(checkRows(good, 1).ok).toBe(true)
    expect(checkRows(good, 2).ok).toBe(false)
    expect(checkRows(good, undefined).ok).toBe(false)
    expect(checkRows({ ...good, landings: [...landings, ...landings] }, 1).ok).toBe(false)
    expect(checkRows({ ...good, invariants: { ...invariants, lost: 1 } }, 1).ok).toBe(false)
  })

  test('names whatever does not hold', () => {
    const good = { name: 'git', ok: true, told: 'fine' }
    expect(findProblems({ checks: [good], faults: [] })).toEqual([])
    expect(findProblems({ checks: [good, { ...good, ok: false }], faults: ['it broke'] })).toEqual([
      'git: fine',
      'it broke',
    ])
  })

  test('fits a small terminal', () => {
    const lines = summaryLines(
      {
        landed: 17,
        sessions: 44,
        retried: 2,
        blocked: 0,
        left: 3,
        workedMs: 8_000,
        agent: { agent_id: 2, bead_id: 'member-accounts', session_id: 's', pid: 1, reason: 'crashed' },
        leader: { pid: 1, term: 2, next_term: 3, after_ms: 1_200 },
        checks: [checkRows({ completed, landings, invariants }, 1)],
        faults: [],
      },
      createStyle(false, {}),
    )
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80)
    expect(lines.join('\n')).toContain('0 lost, 0 doubled, 0 leases left')
  })
})
