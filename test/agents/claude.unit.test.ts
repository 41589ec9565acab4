import { describe, expect, it } from 'vitest'
import { claudeAdapter } from '../../src/agents/claude/adapter.ts'
import { claudeDialogue } from '../../src/agents/claude/dialogue.ts'
import { hear, kinds, ordersFor, written } from './support.ts'

const NOW = 1_800_000_000_000
const talk = () => claudeDialogue(ordersFor(), () => NOW)

const init = {
  type: 'system',
  subtype: 'init',
  session_id: 's-1',
  model: 'big',
  claude_code_version: '9.9.9',
}
const says = (...content: object[]) => ({ type: 'assistant', message: { role: 'assistant', content } })
const text = (words: string) => ({ type: 'text', text: words })
const call = (id: string, name: string, input: object) => ({ type: 'tool_use', id, name, input })
const gives = (id: string, content: unknown, is_error = false) => ({
  type: 'user',
  message: { role: 'user', content: [{ type: 'tool_result', tool_use_id: id, content, is_error }] },
})
const done = (more: object = {}) => ({
  type: 'result',
  subtype: 'success',
  is_error: false,
  result: 'All good.',
  num_turns: 2,
  total_cost_usd: 0.25,
  usage: { input_tokens: 30, output_tokens: 4, cache_read_input_tokens: 5, cache_creation_input_tokens: 6 },
  terminal_reason: 'completed',
  permission_denials: [],
  ...more,
})
const failed = (words: string, more: object = {}) => done({ is_error: true, result: words, ...more })

describe('a good run', () => {
  it('is told step by step', () => {
    const events = hear(talk(), [
      init,
      says(text('Let me look.')),
      says(call('c1', 'Bash', { command: 'ls' })),
      says(call('c2', 'Read', { file: 'a' })),
      gives('c1', 'a b'),
      gives('c2', [text('one'), { type: 'image' }], true),
      says(text('All good.')),
      done(),
    ])
    expect(events).toEqual([
      { kind: 'initialised', nativeId: 's-1', model: 'big', version: '9.9.9' },
      { kind: 'output', from: 'answer', text: 'Let me look.' },
      { kind: 'tool_started', id: 'c1', name: 'Bash', input: '{"command":"ls"}' },
      { kind: 'tool_started', id: 'c2', name: 'Read', input: '{"file":"a"}' },
      { kind: 'tool_ended', id: 'c1', ok: true, output: 'a b' },
      { kind: 'tool_ended', id: 'c2', ok: false, output: 'one\n[image]' },
      { kind: 'turn_ended' },
      { kind: 'output', from: 'answer', text: 'All good.' },
      { kind: 'turn_ended' },
      {
        kind: 'usage',
        of: 'total',
        usage: { input: 30, output: 4, cacheRead: 5, cacheWrite: 6, costUsd: 0.25 },
      },
      {
        kind: 'result',
        ok: true,
        reason: 'completed',
        detail: 'All good.',
        native: { subtype: 'success', terminal_reason: 'completed', num_turns: 2 },
      },
    ])
  })

  it('gives signs of life and tokens while an answer comes in pieces', () => {
    const piece = (event: object) => ({ type: 'stream_event', event })
    const events = hear(talk(), [
      { type: 'system', subtype: 'status', status: 'requesting' },
      piece({ type: 'message_start', message: { usage: { input_tokens: 7, output_tokens: 1 } } }),
      piece({ type: 'content_block_delta', delta: { type: 'text_delta', text: 'Le' } }),
      piece({ type: 'message_delta', usage: { output_tokens: 12 } }),
      { type: 'tool_progress', parent_tool_use_id: 'c1', heartbeat: true },
    ])
    expect(events).toEqual([
      { kind: 'activity', what: 'requesting' },
      { kind: 'activity', what: 'answering' },
      { kind: 'activity', what: 'answering' },
      { kind: 'usage', of: 'step', usage: { input: 7, output: 12 } },
      { kind: 'activity', what: 'tool runs', id: 'c1' },
    ])
  })

  it('that did nothing because a tool was denied says so', () => {
    const [, result] = hear(talk(), [
      done({ permission_denials: [{ tool_name: 'Bash', tool_use_id: 'c1' }] }),
    ])
    expect(result).toMatchObject({ kind: 'result', ok: true, denied: ['Bash'] })
  })
})

describe('failures', () => {
  const resultOf = (...lines: object[]) => hear(talk(), lines).at(-1)

  it.each([
    ['rate_limit', 429, 'quota'],
    ['server_error', undefined, 'overloaded'],
    ['authentication_failed', 401, 'auth'],
    ['billing_error', 400, 'billing'],
    ['model_not_found', 404, 'configuration'],
  ])('%s is a result with subtype success, and is none', (error, api_error_status, reason) => {
    const answer = { ...says(text('No.')), error }
    expect(resultOf(answer, failed('No.', { api_error_status }))).toMatchObject({
      ok: false,
      reason,
      detail: 'No.',
    })
  })

  it.each([
    [{ subtype: 'error_max_turns', terminal_reason: 'max_turns' }, 'max_turns'],
    [{ subtype: 'error_max_budget_usd' }, 'budget'],
    [{ terminal_reason: 'prompt_too_long', api_error_status: 400 }, 'prompt_too_long'],
    [{ subtype: 'error_during_execution', terminal_reason: 'aborted_tools' }, 'interrupted'],
    [
      { subtype: 'error_during_execution', result: undefined, errors: ['No conversation found'] },
      'configuration',
    ],
    [{ subtype: 'error_during_execution', result: undefined, errors: ['a bug'] }, 'failed'],
  ])('%j', (more, reason) => {
    expect(resultOf(failed('words', more))).toMatchObject({ ok: false, reason })
  })

  it('of one prompt say nothing about the next', () => {
    const events = hear(talk(), [
      { ...says(text('No.')), error: 'rate_limit' },
      failed('No.'),
      failed('Odd.'),
    ])
    expect(events.at(-1)).toMatchObject({ reason: 'failed' })
  })

  it('that are retried say when', () => {
    const retry = {
      type: 'system',
      subtype: 'api_retry',
      attempt: 2,
      retry_delay_ms: 1_500,
      error_status: 529,
      error: 'overloaded',
    }
    expect(hear(talk(), [retry])).toEqual([
      { kind: 'retrying', cause: 'overloaded', attempt: 2, at: NOW + 1_500, detail: 'overloaded 529' },
    ])
  })

  it('a reached quota has the time of its reset, which comes in seconds', () => {
    const limit = (status: string) => ({
      type: 'rate_limit_event',
      rate_limit_info: { status, resetsAt: 1_800_000_600, rateLimitType: 'five_hour', utilization: 0.93 },
    })
    expect(hear(talk(), [limit('allowed'), limit('allowed_warning'), limit('rejected')])).toEqual([
      { kind: 'activity', what: 'quota is free' },
      { kind: 'rate_limited', state: 'near', until: NOW + 600_000, limit: 'five_hour', usedPercent: 93 },
      { kind: 'rate_limited', state: 'reached', until: NOW + 600_000, limit: 'five_hour', usedPercent: 93 },
    ])
  })
})

describe('asking', () => {
  const request = (tool_name: string, input: object) => ({
    type: 'control_request',
    request_id: 'r-1',
    request: { subtype: 'can_use_tool', tool_name, input },
  })
  const response = (decision: object) => ({
    type: 'control_response',
    response: { subtype: 'success', request_id: 'r-1', response: decision },
  })

  it('a permission is answered with the input it was asked for', () => {
    const dialogue = talk()
    expect(hear(dialogue, [request('Bash', { command: 'ls' })])).toEqual([
      { kind: 'permission', id: 'r-1', tool: 'Bash', input: '{"command":"ls"}' },
    ])
    expect(written(dialogue.answer('r-1', { kind: 'allow' }))).toEqual([
      response({ behavior: 'allow', updatedInput: { command: 'ls' } }),
    ])
    expect(dialogue.answer('r-1', { kind: 'allow' })).toBeUndefined()
  })

  it('a denial says why', () => {
    const dialogue = talk()
    hear(dialogue, [request('Bash', {})])
    expect(written(dialogue.answer('r-1', { kind: 'deny', reason: 'not here' }))).toEqual([
      response({ behavior: 'deny', message: 'not here' }),
    ])
  })

  it('questions to a human are one event, and the answer goes to each', () => {
    const dialogue = talk()
    const questions = [
      { question: 'Which?', options: [{ label: 'a' }, { label: 'b' }] },
      { question: 'When?', options: [] },
    ]
    expect(hear(dialogue, [request('AskUserQuestion', { questions })])).toEqual([
      { kind: 'question', id: 'r-1', text: '1. Which? (a | b)\n2. When?', options: [] },
    ])
    expect(written(dialogue.answer('r-1', { kind: 'text', text: '1. b\n2. now' }))).toEqual([
      response({
        behavior: 'allow',
        updatedInput: { questions, answers: { 'Which?': 'b', 'When?': 'now' } },
      }),
    ])
  })

  it('a request that we do not know gets an answer all the same, or it would wait for ever', () => {
    const step = talk().line(
      JSON.stringify({ type: 'control_request', request_id: 'x', request: { subtype: 'new' } }),
    )
    expect(written(step)).toEqual([
      {
        type: 'control_response',
        response: { subtype: 'error', request_id: 'x', error: 'not supported by this client' },
      },
    ])
  })
})

describe('what we say', () => {
  it('is the prompt first, then words, then an interrupt whose result is one', () => {
    const dialogue = talk()
    const user = (content: string) => ({ type: 'user', message: { role: 'user', content } })
    expect(written(dialogue.open())).toEqual([user('write the file')])
    expect(written(dialogue.send('rather not'))).toEqual([user('rather not')])
    expect(written(dialogue.interrupt())).toMatchObject([
      { type: 'control_request', request: { subtype: 'interrupt' } },
    ])
    expect(hear(dialogue, [failed('', { subtype: 'error_during_execution' })]).at(-1)).toMatchObject({
      reason: 'interrupted',
    })
  })

  it('is started with what the role says', async () => {
    const { argv, files } = await claudeAdapter.launch(
      ordersFor(
        { adapter: 'claude', model: 'm', system_prompt: 'be brief', args: ['--max-turns', '9'] },
        { resume: 's-0', mcp: [{ name: 'swarm', command: 'swarm', args: ['mcp'], env: { A: '1' } }] },
      ),
    )
    expect(argv.join(' ')).toContain('--model m --append-system-prompt be brief --resume s-0 --mcp-config')
    expect(argv.slice(-2)).toEqual(['--max-turns', '9'])
    expect(JSON.parse(files?.[0]?.text ?? '')).toEqual({
      mcpServers: { swarm: { type: 'stdio', command: 'swarm', args: ['mcp'], env: { A: '1' } } },
    })
  })
})

describe('what we do not know', () => {
  it('is no fault', () => {
    const lines = [
      'warning: words',
      '{"half":',
      '[1]',
      { no: 'type' },
      { type: 'new_thing' },
      { type: 'system', subtype: 'new' },
    ]
    expect(kinds(hear(talk(), lines))).toEqual(['output', 'output', 'output', 'output', 'unknown', 'unknown'])
    expect(kinds(hear(talk(), [{ type: 'assistant' }, { type: 'result' }]))).toEqual(['usage', 'result'])
  })
})
