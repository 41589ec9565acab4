import { describe, expect, it } from 'vitest'
import { AcpUpdates } from '../../src/agents/acp/updates.ts'
import type { JsonObject } from '../../src/contract/json.ts'

const chunk = (text: string, sessionUpdate = 'agent_message_chunk'): JsonObject => ({
  sessionUpdate,
  content: { type: 'text', text },
})
const call = (status: string, more: JsonObject = {}): JsonObject => ({
  sessionUpdate: 'tool_call',
  toolCallId: 'c-1',
  kind: 'execute',
  title: 'ls',
  status,
  ...more,
})
const update = (status: string, more: JsonObject = {}): JsonObject => ({
  ...call(status, more),
  sessionUpdate: 'tool_call_update',
})
const take = (updates: AcpUpdates, list: readonly JsonObject[]) => list.flatMap((one) => updates.take(one))

describe('the updates of an ACP agent', () => {
  it('give whole texts, though they come in pieces', () => {
    const updates = new AcpUpdates()
    const events = take(updates, [
      chunk('I ', 'agent_thought_chunk'),
      chunk('think.', 'agent_thought_chunk'),
      chunk('Let me '),
      chunk('look.'),
      call('in_progress'),
      update('in_progress'),
      update('completed', { content: [{ type: 'content', content: { type: 'text', text: 'a b' } }] }),
      chunk('Done.'),
    ])
    expect(events.filter(({ kind }) => kind !== 'activity')).toEqual([
      { kind: 'output', from: 'thought', text: 'I think.' },
      { kind: 'output', from: 'answer', text: 'Let me look.' },
      { kind: 'tool_started', id: 'c-1', name: 'execute', input: 'ls' },
      { kind: 'tool_ended', id: 'c-1', ok: true, output: 'a b' },
      { kind: 'turn_ended' },
    ])
    expect(updates.over({ stopReason: 'end_turn', usage: { inputTokens: 5, outputTokens: 2 } })).toEqual([
      { kind: 'output', from: 'answer', text: 'Done.' },
      { kind: 'turn_ended' },
      { kind: 'usage', of: 'total', usage: { input: 5, output: 2 } },
      {
        kind: 'result',
        ok: true,
        reason: 'completed',
        detail: 'Done.',
        native: { stop_reason: 'end_turn' },
      },
    ])
  })

  it('of a tool that is over at once begin and end it', () => {
    const events = take(new AcpUpdates(), [call('failed')])
    expect(events.map(({ kind }) => kind)).toEqual(['tool_started', 'tool_ended', 'turn_ended'])
    expect(events[1]).toMatchObject({ ok: false })
  })

  it('tell once of a call that a permission was asked for, also when nothing else announces it', () => {
    const updates = new AcpUpdates()
    const events = [
      ...updates.called(call('pending')),
      ...take(updates, [call('pending'), update('completed')]),
    ]
    expect(events.filter(({ kind }) => kind !== 'activity').map(({ kind }) => kind)).toEqual([
      'tool_started',
      'tool_ended',
      'turn_ended',
    ])
    expect(take(new AcpUpdates(), [update('completed')]).map(({ kind }) => kind)).toEqual([
      'tool_started',
      'tool_ended',
      'turn_ended',
    ])
  })

  it.each([
    ['cancelled', 'interrupted'],
    ['max_turn_requests', 'max_turns'],
    ['refusal', 'failed'],
    ['a new one', 'failed'],
  ])('stop reason %s is %s', (stopReason, reason) => {
    expect(new AcpUpdates().over({ stopReason }).at(-1)).toMatchObject({ ok: false, reason })
  })

  it('take tokens from where Gemini CLI tells them', () => {
    const _meta = { quota: { token_count: { input_tokens: 900, output_tokens: 20 } } }
    expect(new AcpUpdates().over({ stopReason: 'end_turn', _meta })).toContainEqual({
      kind: 'usage',
      of: 'total',
      usage: { input: 900, output: 20 },
    })
  })

  it('tell failures in words, of which a quota is one, else by the status of the service', () => {
    const failed = (message: string, data = '', code?: number) =>
      new AcpUpdates().failed(message, data, code, 1_000)
    expect(failed('Internal error', '{"details":"exceeded your current quota"}')).toMatchObject([
      { kind: 'rate_limited', state: 'reached' },
      { kind: 'result', ok: false, reason: 'quota' },
    ])
    expect(failed('exceeded your current quota. Please retry in 1h0.5s')[0]).toEqual({
      kind: 'rate_limited',
      state: 'reached',
      until: 3_601_500,
    })
    expect(failed('no', '', 401)).toMatchObject([{ kind: 'result', reason: 'auth' }])
    expect(failed('no', '', 500)).toMatchObject([{ kind: 'result', reason: 'failed' }])
  })

  it('say what was denied, for the prompt in which it was', () => {
    const updates = new AcpUpdates()
    updates.denied('execute')
    expect(updates.over({ stopReason: 'end_turn' }).at(-1)).toMatchObject({ denied: ['execute'] })
    expect(updates.over({ stopReason: 'end_turn' }).at(-1)).not.toHaveProperty('denied')
  })

  it('that are new are signs of life', () => {
    expect(take(new AcpUpdates(), [{ sessionUpdate: 'hologram' }])).toEqual([
      { kind: 'activity', what: 'hologram' },
    ])
  })
})
