import { expect, test } from 'vitest'
import { catalog } from '../../src/commands/registry.ts'
import { may, needOf } from '../../src/contract/authority.ts'
import { loadVerb } from '../../src/contract/command.ts'
import type { Principal, Role } from '../../src/contract/roles.ts'

async function verb(name: string) {
  const found = await loadVerb(catalog, name)
  if (!found) throw new Error(`there is no verb ${name}`)
  return found
}

const holder = (role: Role, agent_id?: number): Principal => ({
  id: agent_id === undefined ? 'token:1' : `agent:${agent_id}`,
  token_id: 1,
  repo: 'mine',
  role,
  ...(agent_id === undefined ? {} : { agent_id }),
})

async function refusal(principal: Principal, name: string, input: Record<string, unknown> = {}, common = {}) {
  const refused = may(principal, await verb(name), input, common)
  return refused && { code: refused.code, exit: refused.exitCode, ctx: refused.ctx }
}

/* By hand, so that a verb that gets another role by accident is seen here. */
const ANYONE = ['describe', 'hello', 'help', 'unsubscribe']
const AGENT = [
  ...[
    'ack',
    'ack-cursor',
    'ask',
    'broadcast',
    'claim-next',
    'complete-stage',
    'enqueue',
    'heartbeat',
    'inbox',
    'lock',
  ],
  ...['record-event', 'release', 'send', 'start-stage', 'unlock'],
]
const RUNNER = ['agent', 'check-iteration', 'qa', 'run-once', 'work']
const OBSERVER = [
  ...[
    'agents',
    'artifacts',
    'batch',
    'beads',
    'doctor',
    'events',
    'graph',
    'history',
    'locks',
    'monitor',
    'next',
    'outbox',
  ],
  ...[
    'prompt',
    'ready',
    'resume',
    'resume-context',
    'show',
    'state',
    'status',
    'subscribe',
    'wait',
    'workflows',
  ],
  ...['diff', 'explain', 'iterations', 'logs', 'ps', 'top', 'questions', 'runs', 'sessions', 'waves'],
]

test('a verb that is in no list of this test is for operators', async () => {
  const wrong: string[] = []
  for (const { name } of catalog.verbs) {
    const expected = ANYONE.includes(name)
      ? 'anyone'
      : OBSERVER.includes(name)
        ? 'observer'
        : AGENT.includes(name)
          ? 'agent'
          : RUNNER.includes(name)
            ? 'runner'
            : 'operator'
    const need = needOf(await verb(name), {})
    if (need !== expected) wrong.push(`${name}: ${need}, not ${expected}`)
  }
  expect(wrong).toEqual([])
})

test('an observer writes nothing', async () => {
  const written: string[] = []
  for (const name of [...AGENT, ...RUNNER]) {
    if (!(await refusal(holder('observer'), name, { agent_id: 1 }))) written.push(name)
  }
  expect(written).toEqual([])
})

test('an agent cannot do what the operator does', async () => {
  const done: string[] = []
  for (const name of [
    'prune',
    'import',
    'reopen',
    'cancel',
    'assign',
    'update',
    'init-db',
    'token',
    'register',
    'export',
  ]) {
    const refused = await refusal(holder('agent', 1), name, { agent_id: 1 })
    if (refused?.code !== 'UNAUTHORIZED' || refused.exit !== 12) done.push(name)
  }
  expect(done).toEqual([])
  expect(await refusal(holder('agent', 1), 'doctor', { new_log: true })).toMatchObject({
    code: 'UNAUTHORIZED',
  })
  expect(await refusal(holder('operator'), 'doctor', { new_log: true })).toBeUndefined()
})

test.each([
  ['claim-next', 'agent_id', 2],
  ['complete-stage', 'agent_id', 2],
  ['send', 'agent_id', 2],
  ['broadcast', 'from', 2],
  ['broadcast', 'from', 'operator'],
  ['lock', 'agent', 2],
  ['lock', 'agent', 'somebody'],
  ['unlock', 'agent', 2],
  ['inbox', 'agent_id', 2],
  ['outbox', 'agent_id', 2],
  ['record-event', 'agent_id', 2],
  ['ack', 'agent_id', 2],
  ['subscribe', 'for_agent', 2],
  ['subscribe', 'cursor', 'mailer'],
  ['subscribe', 'cursor', 'agent-10'],
  ['ack-cursor', 'cursor', 'agent-2'],
])('%s with a %s of another is refused to an agent', async (name, field, value) => {
  const refused = await refusal(holder('agent', 1), name, { [field]: value })
  expect(refused).toMatchObject({ code: 'UNAUTHORIZED', exit: 12, ctx: { field, got: value } })
})

test('an agent speaks for itself, and looks at what others do', async () => {
  const me = holder('agent', 1)
  expect(await refusal(me, 'broadcast', { from: 1 })).toBeUndefined()
  expect(await refusal(me, 'lock', { agent: '1' })).toBeUndefined()
  expect(await refusal(me, 'events', { agent_id: 2 })).toBeUndefined()
  expect(await refusal(me, 'subscribe', { agent_id: 2, from: 0 })).toBeUndefined()
  expect(await refusal(me, 'subscribe', { cursor: 'agent-1.mail' })).toBeUndefined()
})

test('nobody but an operator leaves the repo or the database of the token', async () => {
  for (const one of [holder('observer'), holder('agent', 1), holder('runner')]) {
    expect(await refusal(one, 'status', {}, { repo: 'other' })).toMatchObject({
      ctx: { field: 'repo', expected: 'mine', got: 'other' },
    })
    expect(await refusal(one, 'status', {}, { repo: 'mine' })).toBeUndefined()
    expect(await refusal(one, 'subscribe', { repos: ['mine', 'other'] })).toMatchObject({
      ctx: { field: 'repos' },
    })
    const elsewhere = await refusal(one, 'status', {}, { database_url: 'postgres://u:secret@h/d' })
    expect(elsewhere).toMatchObject({ ctx: { field: 'database_url', got: '***' } })
  }
  expect(await refusal(holder('operator'), 'status', {}, { repo: 'other' })).toBeUndefined()
})

test('a runner without an agent works for any', async () => {
  expect(await refusal(holder('runner'), 'work', { agent_id: 3 })).toBeUndefined()
  expect(await refusal(holder('runner', 1), 'work', { agent_id: 3 })).toMatchObject({
    ctx: { field: 'agent_id' },
  })
})
