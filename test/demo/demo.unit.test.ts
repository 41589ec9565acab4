import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { EventRow } from '../../src/contract/events.ts'
import { exampleBacklog } from '../../src/demo/backlog.ts'
import {
  type BeadRow,
  createModel,
  type Model,
  progress,
  readyBeads,
  startLane,
} from '../../src/demo/model.ts'
import { createPace } from '../../src/demo/pace.ts'
import { column, createStyle } from '../../src/demo/style.ts'
import { findProblems, summaryLines } from '../../src/demo/summary.ts'
import { renderFrame } from '../../src/demo/view.ts'
import { decideAttempt } from '../../src/demo/work.ts'

const row = (bead_id: string, waits_for: string[] = [], title = `Title of ${bead_id}`): BeadRow => ({
  bead_id,
  title,
  status: 'pending',
  stage: 'contract',
  waits_for,
})
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
/** A model to which these events have happened. */
function modelAfter(rows: readonly BeadRow[], events: readonly EventRow[]): Model {
  const model = createModel(rows)
  model.lanes.push(startLane(1), startLane(2))
  for (const one of events) model.apply(one, 1_000)
  return model
}
const claimed = (bead_id: string, agent_id: number, fence: number) =>
  event('bead_claimed', { bead_id, agent_id, payload: { fence } })
const finished = (bead_id: string, agent_id: number) => event('transition_finalize', { bead_id, agent_id })

describe('the example backlog', () => {
  const beads = exampleBacklog().map((bead) => ({
    id: String(bead.id),
    // the tracker's format: a list of objects
    needs: (bead.dependencies as { depends_on_id: string }[]).map((one) => one.depends_on_id),
  }))

  test('has 14 to 18 beads with dependencies that exist and can be met in the order given', () => {
    expect(beads.length).toBeGreaterThanOrEqual(14)
    expect(beads.length).toBeLessThanOrEqual(18)
    const before = new Set<string>()
    for (const { id, needs } of beads) {
      expect([id, needs.filter((other) => !before.has(other))]).toEqual([id, []])
      expect(before.has(id)).toBe(false)
      before.add(id)
    }
  })

  test('gives four agents something to do from the beginning', () => {
    expect(beads.filter(({ needs }) => needs.length === 0)).toHaveLength(4)
  })
})

describe('what an attempt becomes', () => {
  test('follows from the seed, and a second attempt passes', () => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.string(),
        fc.constantFrom('contract', 'implement', 'qa', 'red-queen', 'own'),
        (seed, bead, stage) => {
          expect(decideAttempt(seed, bead, stage, 1)).toEqual(decideAttempt(seed, bead, stage, 1))
          expect(decideAttempt(seed, bead, stage, 2).outcome).toBe('passed')
          const { length, outcome, feedback } = decideAttempt(seed, bead, stage, 1)
          expect(length).toBeGreaterThanOrEqual(0.6)
          expect(length).toBeLessThan(1.4)
          expect(feedback === undefined).toBe(outcome === 'passed')
        },
      ),
    )
  })

  test('fails now and then', () => {
    const failed = Array.from({ length: 1_000 }, (_, n) => decideAttempt(1, `bead-${n}`, 'qa', 1)).filter(
      ({ outcome }) => outcome === 'failed',
    )
    expect(failed.length).toBeGreaterThan(150)
    expect(failed.length).toBeLessThan(300)
  })
})

describe('the model', () => {
  test('follows a bead from claim to end and frees what waited for it', () => {
    const model = modelAfter([row('a'), row('b', ['a'])], [claimed('a', 1, 1)])
    expect(readyBeads(model)).toEqual([])
    expect(model.lanes[0]).toMatchObject({ state: 'working', bead: 'a' })
    model.apply(finished('a', 1), 2_000)
    expect(readyBeads(model).map((bead) => bead.bead_id)).toEqual(['b'])
    expect(model.lanes[0]).toMatchObject({ state: 'idle', bead: undefined })
    expect(model.count).toMatchObject({ finished: 1, claims: 1 })
    expect(model.news.at(-1)?.text).toBe('a is done; now ready: b')
  })

  test('knows who took a bead over, also when it is finished by then', () => {
    const model = modelAfter(
      [row('a')],
      [
        claimed('a', 1, 1),
        event('lease_expired', { bead_id: 'a', agent_id: 1 }),
        claimed('a', 2, 2),
        finished('a', 2),
      ],
    )
    expect(model.beads.get('a')).toMatchObject({
      agent: undefined,
      claimedBy: 2,
      fence: 2,
      status: 'completed',
    })
  })

  test('keeps a killed lane killed, whatever its agent did last', () => {
    const model = modelAfter([row('a')], [claimed('a', 1, 1)])
    const [lane] = model.lanes
    if (lane) lane.state = 'killed'
    model.apply(event('lease_expired', { bead_id: 'a', agent_id: 1 }), 1)
    expect(model.lanes[0]).toMatchObject({ state: 'killed', bead: undefined })
    expect(readyBeads(model)).toHaveLength(1)
  })

  test('is done when every open bead is finished or blocked', () => {
    const model = modelAfter([row('a'), row('b'), { ...row('c'), status: 'deferred' }], [finished('a', 1)])
    expect(progress(model, 4)).toBeLessThan(1)
    model.apply(event('transition_blocked', { bead_id: 'b' }), 1)
    expect(progress(model, 4)).toBe(1)
    expect(progress(createModel([]), 4)).toBe(1)
  })
})

describe('the picture', () => {
  const plain = createStyle(false, { LANG: 'C.UTF-8' })
  const frame = { width: 80, height: 24, now: 0, elapsedMs: 4_000, progress: 0.5 }

  test('never is wider or higher than the terminal', () => {
    const text = fc.string({ unit: 'grapheme-ascii', maxLength: 300 })
    fc.assert(
      fc.property(
        fc.integer({ min: 60, max: 200 }),
        fc.integer({ min: 10, max: 60 }),
        text,
        fc.nat(40),
        (width, height, title, beads) => {
          const rows = Array.from({ length: beads }, (_, n) =>
            row(`bead-${n}-${title}`, n > 2 ? [`bead-${n - 2}-${title}`] : [], title),
          )
          const model = modelAfter(
            rows,
            rows.slice(0, 2).map(({ bead_id }, n) => claimed(bead_id, n + 1, 1)),
          )
          for (const { bead_id } of rows) model.say({ atMs: 1, tone: 'talk', text: bead_id, weighty: false })
          const lines = renderFrame(model, plain, { ...frame, width, height })
          expect(lines.length).toBeLessThan(height)
          expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(width)
        },
      ),
    )
  })

  test('says for each agent what it does and for each bead what it waits for', () => {
    const model = modelAfter(
      [row('api'), row('docs', ['api']), row('ship', ['docs'])],
      [
        claimed('api', 1, 3),
        event('stage_started', { bead_id: 'api', stage: 'qa', payload: { attempt: 2 } }),
      ],
    )
    const [, second] = model.lanes
    if (second) second.state = 'idle'
    const lines = renderFrame(model, plain, frame)
    expect(lines).toContainEqual(expect.stringMatching(/^ agent 1 {2}● qa +api +Title of api +#2, fence 3$/))
    expect(lines).toContainEqual(expect.stringMatching(/^ agent 2 {2}○ idle +waits for api \(agent 1\)$/))
    expect(lines).toContainEqual(expect.stringMatching(/^ waiting {2}docs +← api \(agent 1\)$/))
    expect(lines).toContainEqual(expect.stringMatching(/^ +ship +← docs$/))
    expect(lines[2]).toMatch(/━ *─+ +0\/3 done · 4\.0 s$/)
  })

  test('has no colours and no control characters of its own without a terminal that wants them', () => {
    const model = modelAfter([row('a', [], 'red \x1b[31m\u009b31m\r\nalert')], [claimed('a', 1, 1)])
    const text = renderFrame(model, plain, frame).join('')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
    expect(text).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/)
  })

  test('uses ASCII signs where the locale says so', () => {
    const model = modelAfter([row('a')], [claimed('a', 1, 1)])
    const ascii = renderFrame(model, createStyle(false, { LC_ALL: 'C' }), frame).join('')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: all that is not ASCII
    expect(ascii).not.toMatch(/[^\u0000-\u007f]/)
  })

  test('columns are cut and filled', () => {
    expect(column('abc', 5, '…')).toBe('abc  ')
    expect(column('abcdef', 4, '…')).toBe('abc…')
    expect(column('abc', 0, '…')).toBe('')
  })
})

describe('the pace', () => {
  test('is faster for more work, and never slower than a person wants to wait', () => {
    expect(createPace(800, 4, 7_000).ms).toBeLessThan(createPace(80, 4, 7_000).ms)
    expect(createPace(1, 4, 7_000).ms).toBe(420)
  })
  test('speeds up when the end is late and slows down when it is early', () => {
    const pace = createPace(100, 4, 7_000)
    const planned = pace.ms
    expect(pace.adjust(6_000, 0.4)).toBeLessThan(planned)
    expect(pace.adjust(1_000, 0.9)).toBeGreaterThan(planned * 0.85)
  })
})

describe('the end', () => {
  const good = { lost: 0, doubled: 0, leases: 0, miscounted: 0 }
  const incident = {
    agent_id: 2,
    bead_id: 'a',
    fence: 1,
    taken_over_by: 3,
    new_fence: 2,
    late_write: 'CONFLICT',
  }

  test('names whatever does not hold', () => {
    expect(findProblems(good, incident, [])).toEqual([])
    expect(findProblems({ ...good, lost: 1 }, undefined, [])).toEqual(['1 lost beads'])
    expect(findProblems({ ...good, doubled: 2, leases: 1 }, undefined, [])).toEqual([
      '2 doubled beads',
      '1 leases left',
    ])
    expect(findProblems(good, { ...incident, late_write: 'accepted' }, [])).toHaveLength(1)
    expect(findProblems(good, incident, ['agent 1: broke'])).toEqual(['agent 1: broke'])
  })

  test('fits a small terminal', () => {
    const totals = {
      beads: 17,
      completed: 17,
      blocked: 0,
      left: 3,
      retried: 4,
      claims: 18,
      events: 367,
      messages: 42,
    }
    const lines = summaryLines(
      { totals, verdict: good, incident, workedMs: 8_000, cutShort: false, problems: [] },
      createStyle(false, {}),
    )
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80)
    expect(lines.join('\n')).toContain('0 lost, 0 doubled, 0 leases left')
  })
})
