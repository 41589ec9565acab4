import { describe, expect, it } from 'vitest'
import { codexAdapter } from '../../src/agents/codex/adapter.ts'
import { codexDialogue } from '../../src/agents/codex/dialogue.ts'
import { codexExecAdapter, codexExecDialogue } from '../../src/agents/codex/exec.ts'
import { hear, kinds, ordersFor, written } from './support.ts'

const notice = (method: string, params: object = {}) => ({ method, params: { threadId: 't-1', ...params } })
const turnDone = (status: string, error: object | null = null) =>
  notice('turn/completed', { turn: { id: 'u-1', status, error } })

/** A dialogue whose first turn has begun. */
function begun(settings = {}) {
  const dialogue = codexDialogue(ordersFor(settings))
  dialogue.open()
  const events = hear(dialogue, [
    { id: 1, result: { userAgent: 'x' } },
    { id: 2, result: { thread: { id: 't-1' }, model: 'big' } },
    { id: 3, result: { turn: { id: 'u-1' } } },
  ])
  return { dialogue, events }
}

describe('a codex app-server', () => {
  it('is greeted, given a thread and then the prompt', () => {
    const dialogue = codexDialogue(ordersFor({ model: 'big', system_prompt: 'be brief' }))
    expect(written(dialogue.open())).toMatchObject([{ id: 1, method: 'initialize' }])
    expect(written(dialogue.line('{"id":1,"result":{}}'))).toEqual([
      { method: 'initialized' },
      {
        id: 2,
        method: 'thread/start',
        params: { cwd: '/repo', model: 'big', developerInstructions: 'be brief', approvalPolicy: 'never' },
      },
    ])
    const step = dialogue.line('{"id":2,"result":{"thread":{"id":"t-1"},"model":"big"}}')
    expect(step.events).toEqual([{ kind: 'initialised', nativeId: 't-1', model: 'big' }])
    expect(written(step)).toMatchObject([
      {
        id: 3,
        method: 'turn/start',
        params: { threadId: 't-1', input: [{ type: 'text', text: 'write the file' }] },
      },
    ])
  })

  it('goes on with a thread, and a thread that is not there is no retry', () => {
    const dialogue = codexDialogue(ordersFor({}, { resume: 't-0' }))
    dialogue.open()
    expect(written(dialogue.line('{"id":1,"result":{}}'))[1]).toMatchObject({
      method: 'thread/resume',
      params: { threadId: 't-0' },
    })
    expect(
      hear(dialogue, [{ id: 2, error: { code: -1, message: 'no rollout found for thread' } }]),
    ).toMatchObject([{ kind: 'result', ok: false, reason: 'configuration' }])
  })

  it('tells its work step by step', () => {
    const { dialogue } = begun()
    const command = { type: 'commandExecution', id: 'c-1', command: 'ls', status: 'inProgress' }
    const tokens = { inputTokens: 100, cachedInputTokens: 40, outputTokens: 5 }
    const events = hear(dialogue, [
      notice('item/started', { item: command }),
      notice('item/commandExecution/outputDelta', { itemId: 'c-1', delta: 'a' }),
      notice('item/completed', {
        item: { ...command, status: 'completed', aggregatedOutput: 'a', exitCode: 0 },
      }),
      notice('thread/tokenUsage/updated', { tokenUsage: { total: tokens, last: tokens } }),
      notice('item/completed', { item: { type: 'agentMessage', id: 'm', text: 'Done.' } }),
      turnDone('completed'),
    ])
    const usage = { input: 60, output: 5, cacheRead: 40 }
    expect(events).toEqual([
      { kind: 'tool_started', id: 'c-1', name: 'command', input: 'ls' },
      { kind: 'activity', what: 'tool runs', id: 'c-1' },
      { kind: 'tool_ended', id: 'c-1', ok: true, output: 'a' },
      { kind: 'usage', of: 'step', usage },
      { kind: 'turn_ended' },
      { kind: 'output', from: 'answer', text: 'Done.' },
      { kind: 'usage', of: 'total', usage },
      { kind: 'result', ok: true, reason: 'completed', detail: 'Done.', native: { status: 'completed' } },
    ])
  })

  it('does not take the end of a helper’s turn for its own', () => {
    const { dialogue } = begun()
    const other = { method: 'turn/completed', params: { threadId: 't-9', turn: { status: 'failed' } } }
    expect(kinds(hear(dialogue, [other]))).toEqual(['activity'])
  })

  it.each([
    ['usageLimitExceeded', 'quota'],
    ['serverOverloaded', 'overloaded'],
    ['unauthorized', 'auth'],
    ['contextWindowExceeded', 'prompt_too_long'],
    ['sessionBudgetExceeded', 'budget'],
    [{ responseTooManyFailedAttempts: { httpStatusCode: 429 } }, 'quota'],
    [{ responseStreamDisconnected: { httpStatusCode: null } }, 'overloaded'],
    ['other', 'failed'],
  ])('failure %j is %s', (codexErrorInfo, reason) => {
    const events = hear(begun().dialogue, [turnDone('failed', { message: 'words', codexErrorInfo })])
    expect(events.at(-1)).toMatchObject({ kind: 'result', ok: false, reason, detail: 'words' })
  })

  it('a used-up limit has the reset of the window that holds longest', () => {
    const { dialogue } = begun()
    const rateLimits = {
      limitId: 'codex',
      primary: { usedPercent: 100, resetsAt: 1_800_000_000 },
      secondary: { usedPercent: 100, resetsAt: 1_800_900_000 },
    }
    const events = hear(dialogue, [
      notice('account/rateLimits/updated', { rateLimits: { primary: { usedPercent: 12 } } }),
      notice('account/rateLimits/updated', { rateLimits }),
      turnDone('failed', { message: 'limit', codexErrorInfo: 'usageLimitExceeded' }),
    ])
    const limit = { limit: 'codex/secondary', usedPercent: 100, until: 1_800_900_000_000 }
    expect(events.slice(0, 3)).toEqual([
      { kind: 'activity', what: 'quota is free' },
      { kind: 'rate_limited', state: 'reached', ...limit },
      { kind: 'rate_limited', state: 'reached', ...limit },
    ])
  })

  it('an approval is asked for under the rules, and answered by its own id', () => {
    const { dialogue } = begun({ permissions: { mode: 'ask' } })
    const ask = { id: 0, method: 'item/commandExecution/requestApproval', params: { command: 'ls' } }
    expect(hear(dialogue, [ask])).toEqual([{ kind: 'permission', id: 'rpc-0', tool: 'command', input: 'ls' }])
    expect(written(dialogue.answer('rpc-0', { kind: 'deny' }))).toEqual([
      { id: 0, result: { decision: 'decline' } },
    ])
    const declined = { item: { type: 'commandExecution', id: 'c', status: 'declined' } }
    const events = hear(dialogue, [notice('item/completed', declined), turnDone('completed')])
    expect(events.at(-1)).toMatchObject({ ok: true, denied: ['command'] })
  })

  it('questions are answered by their ids', () => {
    const { dialogue } = begun()
    const questions = [{ id: 'q1', question: 'Which?', options: [{ label: 'a' }] }]
    expect(hear(dialogue, [{ id: 5, method: 'item/tool/requestUserInput', params: { questions } }])).toEqual([
      { kind: 'question', id: 'rpc-5', text: 'Which?', options: ['a'] },
    ])
    expect(written(dialogue.answer('rpc-5', { kind: 'text', text: 'a' }))).toEqual([
      { id: 5, result: { answers: { q1: { answers: ['a'] } } } },
    ])
  })

  it('a request that we do not serve gets an error, or it would wait for ever', () => {
    const { dialogue } = begun()
    expect(written(dialogue.line('{"id":7,"method":"item/tool/call","params":{}}'))).toMatchObject([
      { id: 7, error: { code: -32_601 } },
    ])
  })

  it('words go into the turn, and into a turn of their own when it has ended meanwhile', () => {
    const { dialogue } = begun()
    expect(written(dialogue.send('hurry'))).toMatchObject([
      { id: 4, method: 'turn/steer', params: { expectedTurnId: 'u-1', input: [{ text: 'hurry' }] } },
    ])
    hear(dialogue, [turnDone('completed')])
    expect(written(dialogue.line('{"id":4,"error":{"message":"no active turn"}}'))).toMatchObject([
      { method: 'turn/start', params: { input: [{ text: 'hurry' }] } },
    ])
  })

  it('an interrupt names the turn, and there is none between turns', () => {
    const { dialogue } = begun()
    expect(written(dialogue.interrupt())).toMatchObject([
      { method: 'turn/interrupt', params: { threadId: 't-1', turnId: 'u-1' } },
    ])
    expect(hear(dialogue, [turnDone('interrupted')]).at(-1)).toMatchObject({ reason: 'interrupted' })
    expect(dialogue.interrupt()).toBeUndefined()
  })

  it('what is not JSON and what is new are no faults', () => {
    expect(
      kinds(hear(begun().dialogue, ['words', notice('thread/new/thing'), { id: 99, result: {} }])),
    ).toEqual(['output', 'unknown', 'unknown'])
  })

  it('is started with servers of tools and the role’s arguments last', async () => {
    const mcp = [{ name: 'swarm', command: 'swarm', args: ['mcp'], env: { A: '1' } }]
    const { argv } = await codexAdapter.launch(ordersFor({ adapter: 'codex', args: ['-c', 'x=1'] }, { mcp }))
    expect(argv.slice(0, 2)).toEqual(['codex', 'app-server'])
    expect(argv).toEqual(
      expect.arrayContaining([
        'mcp_servers.swarm.command="swarm"',
        'mcp_servers.swarm.args=["mcp"]',
        'mcp_servers.swarm.env.A="1"',
      ]),
    )
    expect(argv.slice(-2)).toEqual(['-c', 'x=1'])
  })
})

describe('codex exec', () => {
  const talk = () => codexExecDialogue(ordersFor())
  const item = (type: string, item: object) => ({ type, item })

  it('tells its work', () => {
    const command = { id: 'i', type: 'command_execution', command: 'ls', status: 'in_progress' }
    const events = hear(talk(), [
      { type: 'thread.started', thread_id: 't-1' },
      item('item.completed', { id: 'e', type: 'error', message: 'a warning' }),
      { type: 'turn.started' },
      item('item.started', command),
      item('item.completed', { ...command, aggregated_output: 'a', status: 'completed' }),
      item('item.completed', { id: 'm', type: 'agent_message', text: 'Done.' }),
      { type: 'turn.completed', usage: { input_tokens: 10, cached_input_tokens: 4, output_tokens: 2 } },
    ])
    expect(events).toEqual([
      { kind: 'initialised', nativeId: 't-1' },
      { kind: 'output', from: 'stdout', text: 'a warning' },
      { kind: 'activity', what: 'turn begins' },
      { kind: 'tool_started', id: 'i', name: 'command', input: 'ls' },
      { kind: 'tool_ended', id: 'i', ok: true, output: 'a' },
      { kind: 'output', from: 'answer', text: 'Done.' },
      { kind: 'turn_ended' },
      { kind: 'usage', of: 'total', usage: { input: 6, output: 2, cacheRead: 4 } },
      { kind: 'result', ok: true, reason: 'completed', detail: 'Done.' },
    ])
  })

  it('says in words what failed', () => {
    const retry = { type: 'error', message: 'Reconnecting... 1/5 (503 Service Unavailable)' }
    const failed = {
      type: 'turn.failed',
      error: { message: 'You have hit your usage limit, try again at 5 PM' },
    }
    expect(hear(talk(), [retry, failed])).toMatchObject([
      { kind: 'retrying', cause: 'overloaded' },
      { kind: 'rate_limited', state: 'reached' },
      { kind: 'result', ok: false, reason: 'quota' },
    ])
  })

  it('may only read where not everything is allowed, as nobody can be asked', async () => {
    const argv = async (permissions: object) => {
      const orders = ordersFor({ adapter: 'codex-exec', permissions }, { resume: 't-0' })
      return (await codexExecAdapter.launch(orders)).argv.join(' ')
    }
    expect(await argv({})).toMatch(/^codex exec resume t-0 --json .*danger-full-access.* -$/)
    expect(await argv({})).not.toContain('read-only')
    expect(await argv({ deny: ['command'] })).toContain('sandbox_mode="read-only"')
  })
})
