import { expect, test } from 'vitest'
import type { EventRow } from '../../src/contract/events.ts'
import type { Json } from '../../src/contract/json.ts'
import { escalate, isWanted, type Known, NOTHING_KNOWN, observe } from '../../src/notify/incidents.ts'

const START = Date.parse('2030-01-01T00:00:00Z')
const HOUR = 3_600_000
let sequence = 0

function event(
  event_type: string,
  fields: Partial<EventRow> & { payload?: Json; at?: number } = {},
): EventRow {
  const { at = 0, ...rest } = fields
  sequence += 1
  return {
    ...{
      sequence,
      payload_version: 1,
      event_type,
      entity_id: rest.bead_id ?? 'x',
      origin: 'system',
      payload: {},
    },
    timestamp: new Date(START + at).toISOString(),
    ...rest,
  }
}

/** What is told of these events, as `state severity: text`, and what is known then. */
function tell(events: readonly EventRow[], before: Known = NOTHING_KNOWN) {
  let known = before
  const told: string[] = []
  for (const one of events) {
    const step = observe(known, one)
    known = step.known
    told.push(...step.notices.map(({ state, severity, text }) => `${state} ${severity}: ${text}`))
  }
  return { known, told }
}

const api = { bead_id: 'api', agent_id: 3, stage: 'implement' }

test('the life of a bead is told in short texts', () => {
  const { told } = tell([
    event('bead_claimed', api),
    event('stage_completed', { ...api, payload: { outcome: 'failed', feedback: 'two tests\nfail' } }),
    event('transition_retry', api),
    event('session_ended', { ...api, payload: { reason: 'completed', files: 4 } }),
    event('session_ended', { ...api, payload: { reason: 'completed' } }),
    event('stage_completed', { ...api, payload: { outcome: 'passed' } }),
    event('transition_finalize', api),
  ])
  expect(told).toEqual([
    'info info: agent 3 starts api at implement',
    'opened warning: api failed at implement: two tests fail',
    'info info: agent 3 modified 4 files for api at implement',
    'resolved warning: resolved: api failed at implement: two tests fail',
    'info info: agent 3 finished api after 2 iterations',
  ])
})

test('an incident is told once, and again only when it has become worse', () => {
  const { told } = tell([
    event('transition_retry', api),
    event('transition_retry', api),
    event('transition_blocked', api),
    event('transition_blocked', api),
  ])
  expect(told).toEqual([
    'opened warning: api failed at implement',
    'escalated error: api is blocked at implement',
  ])
})

test('what changes without becoming worse is an update, and what is said again is none', () => {
  const failed = (at: number, error: string) => event('agent_failed', { ...api, at, payload: { error } })
  const { told, known } = tell([failed(0, 'no disk'), failed(1, 'no disk'), failed(2, 'no network')])
  expect(told).toEqual([
    'opened error: agent 3 failed on api at implement: no disk',
    'updated error: agent 3 failed on api at implement: no network',
  ])
  expect(escalate(known, START + 4 * HOUR).notices).toMatchObject([
    { state: 'escalated', text: 'agent 3 failed on api at implement: no network (open for 4 h)' },
  ])
})

test('a text that would turn the direction of reading, or begin lines of its own, does not', () => {
  const { told } = tell([
    event('question_asked', { payload: { question_id: 'q', question: 'a\u202eb\n[x] critical: c\u0007' } }),
  ])
  expect(told).toEqual(['opened warning: an agent asks: ab [x] critical: c'])
})

test('what stays open becomes an error after an hour and critical after four, each told once', () => {
  let { known } = tell([event('run_paused', { run_id: 'r1', payload: { reason: 'quota' } })])
  const told: string[] = []
  for (const hours of [0.9, 1, 1.5, 3.9, 4, 9]) {
    const step = escalate(known, START + hours * HOUR)
    known = step.known
    told.push(...step.notices.map(({ severity, text }) => `${hours} ${severity} ${text}`))
  }
  expect(told).toEqual([
    '1 error run r1 is paused: quota (open for 1 h)',
    '4 critical run r1 is paused: quota (open for 4 h)',
  ])
  expect(tell([event('run_resumed', { run_id: 'r1' })], known).told).toEqual([
    'resolved critical: resolved: run r1 is paused: quota',
  ])
})

test('what an agent works on again becomes no worse by time', () => {
  const { known } = tell([event('agent_failed', api), event('session_started', api)])
  expect(escalate(known, START + 5 * HOUR).notices).toEqual([])
  const again = tell([event('agent_failed', { ...api, at: 2 * HOUR })], known)
  expect(again.told).toEqual([])
  expect(escalate(again.known, START + 5 * HOUR).notices).toMatchObject([{ severity: 'critical' }])
})

test('a stuck agent is told with the minutes since it began, a question with its options', () => {
  const { told } = tell([
    event('bead_claimed', api),
    event('agent_stuck', { ...api, at: 17 * 60_000, payload: { error: 'no bytes' } }),
    event('question_asked', {
      ...api,
      payload: { question_id: 'q1', question: 'Which?', options: ['red', 'blue'] },
    }),
    event('question_answered', { payload: { question_id: 'q1', answer: 'red' } }),
  ])
  expect(told.slice(1)).toEqual([
    'opened warning: agent 3 is stuck on api for 17 minutes: no bytes',
    'opened warning: agent 3 asks about api: Which? (red / blue)',
    'resolved warning: resolved: agent 3 asks about api: Which? (red / blue) → red',
  ])
})

test('budgets of different kinds are incidents of their own, and end with the run', () => {
  const { told } = tell([
    event('budget_warning', { run_id: 'r1', payload: { kind: 'usd' } }),
    event('budget_warning', { run_id: 'r1', payload: { kind: 'tokens' } }),
    event('budget_exceeded', { run_id: 'r1', payload: { kind: 'usd' } }),
    event('run_completed', { run_id: 'r1' }),
  ])
  expect(told.map((one) => one.split(':')[0])).toEqual([
    ...[
      'opened warning',
      'opened warning',
      'escalated error',
      'resolved error',
      'resolved warning',
      'info info',
    ],
  ])
})

test('what a client says is no incident', () => {
  expect(tell([event('transition_blocked', { ...api, origin: 'client' })]).told).toEqual([])
})

test('a target gets what is bad enough and of a type that it named', () => {
  const notice = { severity: 'error', type: 'agent_failed' } as const
  expect(isWanted(notice, {})).toBe(true)
  expect(isWanted({ ...notice, severity: 'info' }, {})).toBe(false)
  expect(isWanted(notice, { severity: 'critical' })).toBe(false)
  expect(isWanted(notice, { types: ['run_paused'] })).toBe(false)
  expect(isWanted(notice, { types: ['agent_failed'], severity: 'error' })).toBe(true)
})
