import { describe, expect, test } from 'vitest'
import type { AgentSession } from '../../src/agents/session.ts'
import { NEW_TRACK } from '../../src/agents/tracking.ts'
import { STUCK_RULES } from '../../src/core/liveness.ts'
import { LiveSession } from '../../src/orchestrator/live-session.ts'

/** A session of a program that says nothing by itself. */
function live(canSteer = false): LiveSession {
  const end = { exitCode: 0, signal: null, steps: [], swept: [], left: [], canSweep: true }
  const agent: AgentSession = {
    pid: 1,
    marker: 'nobody carries this',
    events: (async function* () {})(),
    track: () => NEW_TRACK,
    send: () => true,
    answer: () => false,
    interrupt: () => false,
    end: async () => end,
  }
  return new LiveSession('s-1', agent, canSteer)
}

const said = (text: string) => ({ kind: 'output', from: 'answer', text }) as const

describe('what a session reports', () => {
  test('is the same until it has arrived, then what came meanwhile', () => {
    const session = live()
    session.take(said('first'))
    const before = session.news()
    expect(before.chunks).toEqual([{ iteration: 1, sequence: 1, text: 'first\n' }])
    session.take(said('second'))
    expect(session.news()).toEqual(before)
    session.told()
    expect(session.news().chunks).toEqual([{ iteration: 1, sequence: 2, text: 'second\n' }])
  })
})

describe('a session that was given more time', () => {
  test('is not ended for its silence', async () => {
    const rules = { ...STUCK_RULES, no_output_ms: 1 }
    const session = live()
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect(session.look(rules, false)).toMatchObject({ rule: 'no_output', act: 'end' })
    session.extend(60_000)
    expect(session.look(rules, false).act).toBeUndefined()
  })
})

describe('a session that was spoken to', () => {
  const rules = { ...STUCK_RULES, no_output_ms: 20, no_tool_ms: 20, steer_ms: 1 }
  const silence = () => new Promise((resolve) => setTimeout(resolve, 30))

  test('is ended when it is silent again, though its program has told that it has heard', async () => {
    const session = live(true)
    await silence()
    expect(session.look(rules, false)).toMatchObject({ act: 'steer' })
    session.steer('say something')
    session.take({ kind: 'activity', what: 'message' })
    expect(session.look(rules, false).state).not.toBe('stuck')
    await silence()
    expect(session.look(rules, false)).toMatchObject({ rule: 'no_output', act: 'end' })
  })

  test('is spoken to again when it has worked in between', async () => {
    const session = live(true)
    await silence()
    session.look(rules, false)
    session.steer('say something')
    session.take(said('I think'))
    expect(session.look(rules, false).state).not.toBe('stuck')
    await silence()
    expect(session.look(rules, false)).toMatchObject({ act: 'steer' })
  })
})
