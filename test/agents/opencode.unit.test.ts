import { describe, expect, it } from 'vitest'
import { OpencodeEvents } from '../../src/agents/opencode/events.ts'
import { opencodeRunDialogue } from '../../src/agents/opencode/run.ts'
import { readEvents } from '../../src/agents/opencode/sse.ts'
import type { JsonObject } from '../../src/contract/json.ts'
import { hear, kinds, ordersFor } from './support.ts'

const event = (type: string, properties: JsonObject, sessionID = 's-1'): JsonObject => ({
  type,
  properties: { sessionID, ...properties },
})
const part = (fields: JsonObject) => event('message.part.updated', { part: fields })
const status = (fields: JsonObject) => event('session.status', { status: fields })
const tool = (state: JsonObject) => part({ type: 'tool', tool: 'bash', callID: 'c-1', state })

/** The events of a session with one prompt. */
function take(messages: readonly JsonObject[]) {
  const events = new OpencodeEvents('s-1')
  events.prompted()
  return messages.flatMap((message) => events.take(message))
}

describe('the events of an opencode server', () => {
  it('are told step by step, a tool once however often it is updated', () => {
    const tokens = { input: 8, output: 2, cache: { read: 1, write: 0 } }
    expect(
      take([
        status({ type: 'busy' }),
        tool({ status: 'pending', input: {} }),
        tool({ status: 'running', input: { command: 'ls' } }),
        tool({ status: 'running', input: { command: 'ls' } }),
        tool({ status: 'completed', input: { command: 'ls' }, output: 'a' }),
        part({ type: 'step-finish', tokens, cost: 0.5 }),
        part({ type: 'text', text: '', time: { start: 1 } }),
        part({ type: 'text', text: 'Done.', time: { start: 1, end: 2 } }),
        status({ type: 'idle' }),
        status({ type: 'idle' }),
      ]),
    ).toEqual([
      { kind: 'activity', what: 'busy' },
      { kind: 'activity', what: 'tool runs', id: 'c-1' },
      { kind: 'tool_started', id: 'c-1', name: 'bash', input: '{"command":"ls"}' },
      { kind: 'activity', what: 'tool runs', id: 'c-1' },
      { kind: 'tool_ended', id: 'c-1', ok: true, output: 'a' },
      {
        kind: 'usage',
        of: 'step',
        usage: { input: 8, output: 2, cacheRead: 1, cacheWrite: 0, costUsd: 0.5 },
      },
      { kind: 'turn_ended' },
      { kind: 'activity', what: 'answering' },
      { kind: 'output', from: 'answer', text: 'Done.' },
      { kind: 'result', ok: true, reason: 'completed', detail: 'Done.' },
      { kind: 'activity', what: 'idle' },
    ])
  })

  it('of the server itself are no sign of life of the work', () => {
    expect(
      take([
        { type: 'server.heartbeat', properties: {} },
        { type: 'plugin.added', properties: {} },
      ]),
    ).toEqual([])
  })

  it('of a helper’s session do not end ours', () => {
    expect(take([event('session.status', { status: { type: 'idle' } }, 's-2')])).toEqual([])
  })

  it('a retry says when', () => {
    const retry = { type: 'retry', attempt: 1, message: 'Too Many Requests', next: 1_800_000_000_000 }
    expect(take([status(retry)])).toEqual([
      { kind: 'retrying', cause: 'quota', attempt: 1, at: 1_800_000_000_000, detail: 'Too Many Requests' },
    ])
  })

  it.each([
    [{ name: 'APIError', data: { message: 'bad key', statusCode: 401 } }, 'auth'],
    [{ name: 'MessageAbortedError', data: { message: 'Aborted' } }, 'interrupted'],
    [{ name: 'ContextOverflowError', data: { message: 'too much' } }, 'prompt_too_long'],
    [{ name: 'UnknownError', data: { message: 'odd' } }, 'failed'],
  ])('failure %j is %s', (error, reason) => {
    expect(take([event('session.error', { error }), status({ type: 'idle' })])).toMatchObject([
      { kind: 'result', ok: false, reason },
    ])
  })

  it('permissions and questions are asked', () => {
    const questions = [{ question: 'Which?', options: [{ label: 'a' }] }]
    expect(
      take([
        event('permission.asked', { id: 'p-1', permission: 'bash', metadata: { command: 'ls' } }),
        event('question.asked', { id: 'q-1', questions }),
      ]),
    ).toEqual([
      { kind: 'permission', id: 'p-1', tool: 'bash', input: 'ls' },
      { kind: 'question', id: 'q-1', text: 'Which?', options: ['a'] },
    ])
  })

  it('come out of a stream wherever its chunks end', async () => {
    const chunks = ['data: {"type":"a"}\n', '\n: comment\n\ndata: {"ty', 'pe":"b"}\n\ndata: broken\n\n']
    async function* body() {
      for (const chunk of chunks) yield Buffer.from(chunk)
    }
    const types: unknown[] = []
    for await (const { type } of readEvents(body())) types.push(type)
    expect(types).toEqual(['a', 'b'])
  })
})

describe('opencode run', () => {
  const step = (type: string, fields: object) => ({ type, sessionID: 's-1', part: fields })
  const talk = () => opencodeRunDialogue(ordersFor())

  it('has its result when the process has ended, as another step may always follow', () => {
    const dialogue = talk()
    const state = { status: 'completed', input: { command: 'ls' }, output: 'a' }
    const events = hear(dialogue, [
      step('step_start', {}),
      step('tool_use', { tool: 'bash', callID: 'c-1', state }),
      step('step_finish', { reason: 'tool-calls', tokens: { input: 1 } }),
      step('text', { text: 'Done.' }),
      step('step_finish', { reason: 'stop', tokens: { input: 1 } }),
    ])
    expect(kinds(events)).toEqual([
      ...['initialised', 'tool_started', 'tool_ended', 'usage', 'turn_ended'],
      ...['output', 'usage', 'turn_ended'],
    ])
    expect(dialogue.exited?.({ exitCode: 0, signal: null })).toMatchObject({ ok: true, detail: 'Done.' })
    expect(dialogue.exited?.({ exitCode: null, signal: 'SIGKILL' })).toBeUndefined()
  })

  it('says what failed, also with exit code 0', () => {
    const dialogue = talk()
    const error = { name: 'APIError', data: { message: 'bad key', statusCode: 401 } }
    hear(dialogue, [{ type: 'error', error }])
    expect(dialogue.exited?.({ exitCode: 0, signal: null })).toMatchObject({ ok: false, reason: 'auth' })
  })

  it('that ends in the middle of its steps has no result', () => {
    const dialogue = talk()
    hear(dialogue, [step('step_start', {}), step('step_finish', { reason: 'tool-calls' })])
    expect(dialogue.exited?.({ exitCode: 0, signal: null })).toBeUndefined()
  })
})
