import { describe, expect, test } from 'vitest'
import type { JsonObject } from '../../src/contract/json.ts'
import { parseRequest } from '../../src/runtime/parse.ts'
import { attempt, claim, events, lock, refusal } from '../repair/support.ts'

describe('a request that is right', () => {
  test('is taken apart into common, write and own fields', async () => {
    const parsed = await parseRequest(claim, {
      cmd: 'claim-next',
      rid: 'a',
      repo: 'r',
      idem: 'k',
      dry: true,
      agent_id: 3,
      lease_ms: 5_000,
    })
    expect(parsed).toEqual({
      common: { cmd: 'claim-next', rid: 'a', repo: 'r' },
      write: { idem: 'k', dry: true },
      input: { agent_id: 3, lease_ms: 5_000 },
    })
  })

  test('may name a field by its alias', async () => {
    expect(await attempt({ cmd: 'lock', resource: 'r', agent_id: 4 })).toEqual({ resource: 'r', agent: 4 })
  })

  test('takes an absent agent and repo from the defaults', async () => {
    const parsed = await parseRequest(claim, { cmd: 'claim-next' }, { agent_id: 7, repo: 'env' })
    expect(parsed.input).toEqual({ agent_id: 7 })
    expect(parsed.common.repo).toBe('env')
  })

  test('goes before the defaults', async () => {
    const parsed = await parseRequest(
      claim,
      { cmd: 'claim-next', agent_id: 1, repo: 'own' },
      { agent_id: 7, repo: 'env' },
    )
    expect(parsed.input).toEqual({ agent_id: 1 })
    expect(parsed.common.repo).toBe('own')
  })

  test('takes the default agent under the name that the verb has for it', async () => {
    const parsed = await parseRequest(lock, { cmd: 'lock', resource: 'r' }, { agent_id: 7 })
    expect(parsed.input).toEqual({ resource: 'r', agent: 7 })
  })

  test('of a read is not narrowed to the default agent', async () => {
    expect((await parseRequest(events, { cmd: 'events' }, { agent_id: 7 })).input).toEqual({})
  })

  test('may have undefined values, which are absent', async () => {
    expect(await attempt({ cmd: 'claim-next', agent_id: 1, labels: undefined })).toEqual({ agent_id: 1 })
  })
})

interface Row {
  readonly send: JsonObject
  readonly message: string
  readonly ctx: object
}

const ROWS: readonly Row[] = [
  {
    send: { cmd: 'claim-next' },
    message: 'agent_id is missing: it must be an integer of at least 1',
    ctx: {
      kind: 'MissingField',
      field: 'agent_id',
      expected: 'an integer of at least 1',
      needs: ['agent_id'],
    },
  },
  {
    send: { cmd: 'claim-next', agent_id: '1' },
    message: 'agent_id must be an integer of at least 1, not a string',
    ctx: { kind: 'InvalidType', field: 'agent_id', expected: 'an integer of at least 1', got: '1' },
  },
  {
    send: { cmd: 'claim-next', agent_id: 1.5 },
    message: 'agent_id must be an integer of at least 1, not 1.5',
    ctx: {
      kind: 'InvalidType',
      field: 'agent_id',
      expected: 'an integer of at least 1',
      got: 1.5,
      needs: ['agent_id'],
    },
  },
  {
    send: { cmd: 'claim-next', agent_id: null },
    message: 'agent_id must be an integer of at least 1, not null',
    ctx: {
      kind: 'InvalidType',
      field: 'agent_id',
      expected: 'an integer of at least 1',
      got: null,
      needs: ['agent_id'],
    },
  },
  {
    send: { cmd: 'claim-next', agent_id: 0 },
    message: 'agent_id must be an integer of at least 1, not 0',
    ctx: {
      kind: 'InvalidValue',
      field: 'agent_id',
      expected: 'an integer of at least 1',
      got: 0,
      needs: ['agent_id'],
    },
  },
  {
    send: { cmd: 'claim-next', agent_idd: 1 },
    message: 'claim-next has no field agent_idd; did you mean agent_id?',
    ctx: {
      kind: 'UnknownField',
      field: 'agent_idd',
      expected: 'one of agent_id, labels, lease_ms, wait_ms, require',
      got: 'agent_idd',
      nearest: 'agent_id',
    },
  },
  {
    send: { cmd: 'events', frobnicate: 1 },
    message: 'events has no field frobnicate',
    ctx: {
      kind: 'UnknownField',
      field: 'frobnicate',
      expected: 'one of after, limit, agent_id, since',
      got: 'frobnicate',
    },
  },
  {
    send: { cmd: 'events', idem: 'k' },
    message: 'events has no field idem',
    ctx: {
      kind: 'UnknownField',
      field: 'idem',
      expected: 'one of after, limit, agent_id, since',
      got: 'idem',
    },
  },
  {
    send: { cmd: 'enqueue', beads: [{ title: 'a' }, { title: ' ' }] },
    message: 'beads[1].title must not be blank',
    ctx: {
      kind: 'InvalidValue',
      field: 'beads[1].title',
      expected: 'must not be blank',
      got: ' ',
      needs: ['beads[1].title'],
    },
  },
  {
    send: { cmd: 'enqueue', beads: [{ titel: 'a' }] },
    message: 'beads[0] has no field titel; did you mean title?',
    ctx: {
      kind: 'UnknownField',
      field: 'beads[0].titel',
      expected: 'one of bead_id, title, description, priority, labels, bead_type, depends_on, metadata',
      got: 'titel',
      nearest: 'title',
    },
  },
  {
    send: { cmd: 'enqueue', beads: [{ title: 'a', priority: 'p9' }] },
    message: 'beads[0].priority must be one of p0, p1, p2, p3, p4 or an integer from 0 to 4, not "p9"',
    ctx: {
      kind: 'InvalidValue',
      field: 'beads[0].priority',
      expected: 'one of p0, p1, p2, p3, p4 or an integer from 0 to 4',
      got: 'p9',
    },
  },
  {
    send: { cmd: 'enqueue', beads: {} },
    message: 'beads must be a list of at least 1 objects with title, not an object',
    ctx: {
      kind: 'InvalidType',
      field: 'beads',
      expected: 'a list of at least 1 objects with title',
      got: '{}',
      needs: ['beads[0].title'],
    },
  },
  {
    send: { cmd: 'complete-stage', agent_id: 1, outcome: 'failed' },
    message: 'feedback is required unless the outcome is passed',
    ctx: {
      kind: 'MissingField',
      field: 'feedback',
      expected: 'is required unless the outcome is passed',
      needs: ['feedback'],
    },
  },
  {
    send: { cmd: 'send', agent_id: 1, to: [0], body: 'x' },
    message: 'to[0] must be an integer of at least 1 or a string of 1 to 64 characters, not 0',
    ctx: {
      kind: 'InvalidValue',
      field: 'to[0]',
      expected: 'an integer of at least 1 or a string of 1 to 64 characters',
      got: 0,
      needs: ['to'],
    },
  },
  {
    send: { cmd: 'lock', resource: 'r', agent_id: false },
    message: 'agent_id must be an integer of at least 1 or a string of 1 to 64 characters, not false',
    ctx: {
      kind: 'InvalidType',
      field: 'agent_id',
      expected: 'an integer of at least 1 or a string of 1 to 64 characters',
      got: false,
      needs: ['agent'],
    },
  },
  {
    send: { cmd: 'events', repo: '../x' },
    message: 'repo must be letters, digits and . _ / - and start with a letter or digit',
    ctx: {
      kind: 'InvalidValue',
      field: 'repo',
      expected: 'must be letters, digits and . _ / - and start with a letter or digit',
      got: '../x',
      needs: ['repo'],
    },
  },
  {
    send: { cmd: 'lock', resource: '', agent: 1 },
    message: 'resource must not be empty',
    ctx: {
      kind: 'InvalidValue',
      field: 'resource',
      expected: 'a string of 1 to 500 characters',
      got: '',
      needs: ['resource'],
    },
  },
]

describe('a request that is wrong', () => {
  test.each(ROWS)('$message', async ({ send, message, ctx }) => {
    const error = await refusal(send)
    expect(error.code).toBe('INVALID')
    expect(error.exitCode).toBe(8)
    expect(error.message).toBe(message)
    expect(error.ctx).toEqual(ctx)
  })

  test('says the first problem and lists up to five others', async () => {
    const error = await refusal({
      cmd: 'claim-next',
      agent_id: '1',
      labels: 1,
      lease_ms: 1,
      wait_ms: -1,
      require: 'x',
      foo: 1,
      bar: 2,
    })
    expect(error.message).toBe('agent_id must be an integer of at least 1, not a string')
    expect(error.ctx.also).toHaveLength(5)
  })

  test('is not told of the field that is missing because its name is misspelt', async () => {
    const error = await refusal({ cmd: 'claim-next', agnet_id: 1 })
    expect(error.message).toBe('claim-next has no field agnet_id; did you mean agent_id?')
    expect(error.ctx.also).toBeUndefined()
  })

  test('gets back at most 80 characters of a long value', async () => {
    const error = await refusal({ cmd: 'events', since: 'x'.repeat(10_000) })
    expect(String(error.ctx.got)).toHaveLength(80)
    expect(error.message.length).toBeLessThan(200)
  })

  test('gets back the length of what is too long', async () => {
    const error = await refusal({ cmd: 'lock', resource: 'x'.repeat(501), agent: 1 })
    expect(error.message).toBe('resource must be a string of 1 to 500 characters, not 501 characters')
  })

  test.each([
    ['a URL of the wrong kind', { cmd: 'events', database_url: 'mysql://me:hunter2@host/db' }],
    ['a URL in another field', { cmd: 'events', repo: 'postgres://me:hunter2@host/db' }],
    ['a URL under another name', { cmd: 'events', dsn: 'postgres://me:hunter2@host/db' }],
    [
      'a right URL beside a mistake',
      { cmd: 'events', database_url: 'postgres://me:hunter2@host/db', limit: 'x' },
    ],
    ['a password', { cmd: 'events', password: 'hunter2' }],
    ['a URL in a list', { cmd: 'events', limit: ['postgres://me:hunter2@host/db'] }],
  ])('never gets a secret back: %s', async (_name, raw) => {
    const { message, ctx, fix } = await refusal(raw)
    expect(JSON.stringify({ message, ctx, fix })).not.toContain('hunter2')
  })

  test('has its database URL listed as needed when it held a password', async () => {
    const raw = { cmd: 'events', database_url: 'postgres://me:hunter2@host/db', limit: 0 }
    const { ctx, fix } = await refusal(raw)
    expect(ctx.needs).toEqual(['database_url'])
    expect(fix).toEqual({ cmd: 'events', limit: 1 })
  })

  test('keeps a database URL without a password', async () => {
    const { fix } = await refusal({ cmd: 'events', database_url: 'postgres://host/db', limit: 0 })
    expect(fix).toEqual({ cmd: 'events', database_url: 'postgres://host/db', limit: 1 })
  })

  test('with __proto__ changes no prototype', async () => {
    const raw: JsonObject = JSON.parse('{"cmd":"events","__proto__":{"limit":3}}')
    const error = await refusal(raw)
    expect(error.ctx).toMatchObject({ kind: 'UnknownField', field: '__proto__' })
    expect(error.fix).toEqual({ cmd: 'events' })
  })

  test('that is huge gets no huge fix', async () => {
    const beads = Array.from({ length: 500 }, (_, at) => ({
      title: `bead ${at}`,
      description: 'x'.repeat(100),
    }))
    const error = await refusal({ cmd: 'enqueue', beads: [...beads, { titel: 'y' }] })
    expect(error.fix).toBeUndefined()
    expect(JSON.stringify(error.ctx).length).toBeLessThan(2_000)
  })
})
