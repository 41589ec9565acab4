import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AnyCommand } from '../../src/contract/command.ts'
import type { JsonObject } from '../../src/contract/json.ts'
import { tryParse } from '../../src/contract/try-parse.ts'
import { repair } from '../../src/repair/request.ts'
import { attempt, COMMANDS, claim, complete, enqueue, refusal } from './support.ts'

const title = 'A title'

/** What is sent, and what `fix` must be: nothing is left for the sender to fill in. */
const MENDED: readonly (readonly [JsonObject, JsonObject])[] = [
  // the verb
  [
    { cmd: 'claim-nxt', agent_id: 1 },
    { cmd: 'claim-next', agent_id: 1 },
  ],
  [
    { cmd: 'claimNext', agentId: '1' },
    { cmd: 'claim-next', agent_id: 1 },
  ],
  [
    { cmd: 'swarm claim-next', agent_id: 1 },
    { cmd: 'claim-next', agent_id: 1 },
  ],
  [
    { cmd: 'claim', agent_id: 1 },
    { cmd: 'claim-next', agent_id: 1 },
  ],
  [
    { cmd: 'add', title },
    { cmd: 'enqueue', beads: [{ title }] },
  ],
  [
    { command: 'claim-next', agent_id: 1 },
    { cmd: 'claim-next', agent_id: 1 },
  ],
  [
    { action: 'claim_next', agent_id: 1 },
    { cmd: 'claim-next', agent_id: 1 },
  ],
  [
    { method: 'claim-next', params: { agent_id: 1 } },
    { cmd: 'claim-next', agent_id: 1 },
  ],
  [
    { tool: 'send', arguments: { agent_id: 1, to: 2, message: 'x' } },
    { cmd: 'send', agent_id: 1, to: 2, body: 'x' },
  ],
  [
    { cmd: 'blk', ops: [{ cmd: 'events' }] },
    { cmd: 'batch', ops: [{ cmd: 'events' }] },
  ],
  // names of fields
  [
    { cmd: 'claim-next', agent: 1 },
    { cmd: 'claim-next', agent_id: 1 },
  ],
  [
    { cmd: 'claim-next', 'agent-id': 1 },
    { cmd: 'claim-next', agent_id: 1 },
  ],
  [
    { cmd: 'claim-next', id: 1 },
    { cmd: 'claim-next', agent_id: 1 },
  ],
  [
    { cmd: 'claim-next', args: { agent_id: 1 } },
    { cmd: 'claim-next', agent_id: 1 },
  ],
  [
    { cmd: 'claim-next', agent_id: 1, label: 'ui' },
    { cmd: 'claim-next', agent_id: 1, labels: ['ui'] },
  ],
  [
    { cmd: 'claim-next', agent_id: 1, tags: ['ui'] },
    { cmd: 'claim-next', agent_id: 1, labels: ['ui'] },
  ],
  [
    { cmd: 'claim-next', agent_id: 1, request_id: 'x' },
    { cmd: 'claim-next', agent_id: 1, rid: 'x' },
  ],
  [
    { cmd: 'claim-next', agent_id: 1, idempotency_key: 'k' },
    { cmd: 'claim-next', agent_id: 1, idem: 'k' },
  ],
  [
    { cmd: 'claim-next', agent_id: 1, dryRun: true },
    { cmd: 'claim-next', agent_id: 1, dry: true },
  ],
  [
    { cmd: 'claim-next', agent_id: 1, foo: 'bar' },
    { cmd: 'claim-next', agent_id: 1 },
  ],
  [
    { cmd: 'send', agent_id: 1, recipient: 2, text: 'x' },
    { cmd: 'send', agent_id: 1, to: 2, body: 'x' },
  ],
  [
    { cmd: 'send', agent_id: 1, recipients: [2, 3], msg: 'x' },
    { cmd: 'send', agent_id: 1, to: [2, 3], body: 'x' },
  ],
  [
    { cmd: 'lock', path: 'src/a.ts', owner: 2 },
    { cmd: 'lock', resource: 'src/a.ts', agent: 2 },
  ],
  [
    { cmd: 'batch', cmds: [{ cmd: 'events' }] },
    { cmd: 'batch', ops: [{ cmd: 'events' }] },
  ],
  [
    { cmd: 'complete-stage', agent_id: 1, state: 'passed' },
    { cmd: 'complete-stage', agent_id: 1, outcome: 'passed' },
  ],
  [
    { cmd: 'events', state: 'yes' },
    { cmd: 'events', state: true },
  ],
  [
    { cmd: 'batch', ops: { command: 'claim-next', agentId: 1 } },
    { cmd: 'batch', ops: [{ cmd: 'claim-next', agentId: 1 }] },
  ],
  [
    { cmd: 'events', max: 5 },
    { cmd: 'events', limit: 5 },
  ],
  [{ cmd: 'events', idem: 'k' }, { cmd: 'events' }],
  [
    { cmd: 'complete-stage', agent_id: 1, result: 'failed', reason: 'no tests' },
    { cmd: 'complete-stage', agent_id: 1, outcome: 'failed', feedback: 'no tests' },
  ],
  [
    { cmd: 'complete-stage', agent_id: 1, status: 'success', fence_token: 3 },
    { cmd: 'complete-stage', agent_id: 1, outcome: 'passed', fence: 3 },
  ],
  // types
  [
    { cmd: 'claim-next', agent_id: '1' },
    { cmd: 'claim-next', agent_id: 1 },
  ],
  [
    { cmd: 'claim-next', agent_id: [1] },
    { cmd: 'claim-next', agent_id: 1 },
  ],
  [
    { cmd: 'claim-next', agent_id: 'agent-3' },
    { cmd: 'claim-next', agent_id: 3 },
  ],
  [
    { cmd: 'claim-next', agent_id: 1, require: 'yes' },
    { cmd: 'claim-next', agent_id: 1, require: true },
  ],
  [
    { cmd: 'claim-next', agent_id: 1, labels: 'a, b' },
    { cmd: 'claim-next', agent_id: 1, labels: ['a', 'b'] },
  ],
  [
    { cmd: 'claim-next', agent_id: 1, labels: null },
    { cmd: 'claim-next', agent_id: 1 },
  ],
  [
    { cmd: 'claim-next', agent_id: 1, rid: { a: 1 } },
    { cmd: 'claim-next', agent_id: 1 },
  ],
  [
    { cmd: 'complete-stage', agent_id: 1, outcome: 'passed', bead_id: 12 },
    { cmd: 'complete-stage', agent_id: 1, outcome: 'passed', bead_id: '12' },
  ],
  [
    { cmd: 'complete-stage', agent_id: 1, outcome: 'passed', bead_id: ' ' },
    { cmd: 'complete-stage', agent_id: 1, outcome: 'passed' },
  ],
  [
    { cmd: 'complete-stage', agent_id: 1, success: true },
    { cmd: 'complete-stage', agent_id: 1, outcome: 'passed' },
  ],
  [
    { cmd: 'enqueue', beads: { title } },
    { cmd: 'enqueue', beads: [{ title }] },
  ],
  [
    { cmd: 'enqueue', beads: `[{"title":"${title}"}]` },
    { cmd: 'enqueue', beads: [{ title }] },
  ],
  [
    { cmd: 'enqueue', beads: [title] },
    { cmd: 'enqueue', beads: [{ title }] },
  ],
  [
    { cmd: 'enqueue', bead: { title } },
    { cmd: 'enqueue', beads: [{ title }] },
  ],
  [
    { cmd: 'enqueue', tasks: [{ name: title, tags: 'x' }] },
    { cmd: 'enqueue', beads: [{ title, labels: ['x'] }] },
  ],
  [
    { cmd: 'enqueue', title, prio: 1 },
    { cmd: 'enqueue', beads: [{ title, priority: 1 }] },
  ],
  [
    { cmd: 'enqueue', beads: [{ title, metadata: '{"a":1}' }] },
    { cmd: 'enqueue', beads: [{ title, metadata: { a: 1 } }] },
  ],
  [
    { cmd: 'send', agent_id: 1, to: { agent_id: 2 }, body: 'x' },
    { cmd: 'send', agent_id: 1, to: 2, body: 'x' },
  ],
  [
    { cmd: 'send', agent_id: 1, to: 2, body: ['a', 'b'] },
    { cmd: 'send', agent_id: 1, to: 2, body: 'a\nb' },
  ],
  [
    {
      cmd: 'complete-stage',
      agent_id: 1,
      outcome: 'passed',
      artifacts: { type: 'test-output', content: { ok: true } },
    },
    {
      cmd: 'complete-stage',
      agent_id: 1,
      outcome: 'passed',
      artifacts: [{ artifact_type: 'test_output', content: '{"ok":true}' }],
    },
  ],
  // values
  [
    { cmd: 'complete-stage', agent_id: 1, outcome: 'pass' },
    { cmd: 'complete-stage', agent_id: 1, outcome: 'passed' },
  ],
  [
    { cmd: 'complete-stage', agent_id: 1, outcome: 'PASSED' },
    { cmd: 'complete-stage', agent_id: 1, outcome: 'passed' },
  ],
  [
    { cmd: 'enqueue', beads: [{ title, priority: 'P1' }] },
    { cmd: 'enqueue', beads: [{ title, priority: 'p1' }] },
  ],
  [
    { cmd: 'enqueue', beads: [{ title, priority: 'high' }] },
    { cmd: 'enqueue', beads: [{ title, priority: 'p1' }] },
  ],
  [
    { cmd: 'enqueue', beads: [{ title, priority: '2' }] },
    { cmd: 'enqueue', beads: [{ title, priority: 'p2' }] },
  ],
  [
    { cmd: 'enqueue', beads: [{ title, priority: 7 }] },
    { cmd: 'enqueue', beads: [{ title, priority: 4 }] },
  ],
  [
    { cmd: 'events', limit: 1_000_000 },
    { cmd: 'events', limit: 10_000 },
  ],
  [
    { cmd: 'events', after: '12' },
    { cmd: 'events', after: 12 },
  ],
  // durations
  [
    { cmd: 'claim-next', agent_id: 1, lease_ms: '90s' },
    { cmd: 'claim-next', agent_id: 1, lease_ms: 90_000 },
  ],
  [
    { cmd: 'claim-next', agent_id: 1, lease_ms: '5m' },
    { cmd: 'claim-next', agent_id: 1, lease_ms: 300_000 },
  ],
  [
    { cmd: 'claim-next', agent_id: 1, lease_ms: 60 },
    { cmd: 'claim-next', agent_id: 1, lease_ms: 60_000 },
  ],
  [
    { cmd: 'claim-next', agent_id: 1, lease_seconds: 30 },
    { cmd: 'claim-next', agent_id: 1, lease_ms: 30_000 },
  ],
  [
    { cmd: 'claim-next', agent_id: 1, leaseMinutes: '2' },
    { cmd: 'claim-next', agent_id: 1, lease_ms: 120_000 },
  ],
  [
    { cmd: 'claim-next', agent_id: 1, timeout: 30 },
    { cmd: 'claim-next', agent_id: 1, wait_ms: 30_000 },
  ],
  [
    { cmd: 'claim-next', agent_id: 1, wait_ms: -1 },
    { cmd: 'claim-next', agent_id: 1, wait_ms: 0 },
  ],
  [
    { cmd: 'lock', resource: 'r', agent: 1, ttl: 5_000 },
    { cmd: 'lock', resource: 'r', agent: 1, ttl_ms: 5_000 },
  ],
]

describe(`${MENDED.length} mistakes whose fix works as it stands`, () => {
  test.each(MENDED)('%j', async (raw, fixed) => {
    const error = await refusal(raw)
    expect(error.fix).toEqual(fixed)
    expect(error.ctx.needs).toBeUndefined()
    expect(await attempt(error.fix ?? {})).not.toBeInstanceOf(Error)
  })
})

/** What is sent, the part of it that can be kept, and what only the sender can say. */
const LACKING: readonly (readonly [JsonObject, JsonObject, readonly string[]])[] = [
  [{ cmd: 'claim-next' }, { cmd: 'claim-next' }, ['agent_id']],
  [{ cmd: 'claim-next', agent_id: 0 }, { cmd: 'claim-next' }, ['agent_id']],
  [{ cmd: 'claim-next', agent_id: -3, rid: 7 }, { cmd: 'claim-next', rid: 7 }, ['agent_id']],
  [{ cmd: 'claim-next', agent_id: 2 ** 40 }, { cmd: 'claim-next' }, ['agent_id']],
  [{ cmd: 'claim-next', agent_id: 'me' }, { cmd: 'claim-next' }, ['agent_id']],
  [
    { cmd: 'claim-next', agent_id: 1, labels: 'x'.repeat(300) },
    { cmd: 'claim-next', agent_id: 1, labels: [] },
    ['labels[0]'],
  ],
  [{ cmd: 'lock', resource: 'r', agent: 0 }, { cmd: 'lock', resource: 'r' }, ['agent']],
  [{ cmd: 'lock', resource: 'r', agent: true }, { cmd: 'lock', resource: 'r' }, ['agent']],
  [{ cmd: 'lock', resource: ' ', agent: 1 }, { cmd: 'lock', agent: 1 }, ['resource']],
  [{ cmd: 'enqueue', beads: [] }, { cmd: 'enqueue' }, ['beads']],
  [
    { cmd: 'enqueue', beads: [{ title }, {}] },
    { cmd: 'enqueue', beads: [{ title }, {}] },
    ['beads[1].title'],
  ],
  [{ cmd: 'send', agent_id: 1, to: [0], body: 'x' }, { cmd: 'send', agent_id: 1, body: 'x' }, ['to']],
  [
    { cmd: 'complete-stage', agent_id: 1, outcome: 'fail' },
    { cmd: 'complete-stage', agent_id: 1, outcome: 'failed' },
    ['feedback'],
  ],
  [
    { cmd: 'complete-stage', agent_id: 1, outcome: 'purple' },
    { cmd: 'complete-stage', agent_id: 1 },
    ['outcome'],
  ],
  [
    { cmd: 'complete-stage', agent_id: 1, outcome: 'passed', fence: -1 },
    { cmd: 'complete-stage', agent_id: 1, outcome: 'passed' },
    ['fence'],
  ],
  [
    { cmd: 'enqueue', beads: [{ title, metadata: 'free text' }] },
    { cmd: 'enqueue', beads: [{ title }] },
    ['beads[0].metadata'],
  ],
  [{ cmd: 'events', since: 'yesterday' }, { cmd: 'events' }, ['since']],
]

test.each(LACKING)('%j cannot be made up', async (raw, kept, needs) => {
  const error = await refusal(raw)
  expect(error.fix).toEqual(kept)
  expect(error.ctx.needs).toEqual(needs)
})

describe('a verb that is not there', () => {
  test('gets the verbs that are near', async () => {
    const error = await refusal({ cmd: 'evnets', limit: 5 })
    expect(error.message).toBe('there is no verb evnets; did you mean events?')
    expect(error.ctx).toEqual({
      kind: 'InvalidValue',
      field: 'cmd',
      expected: 'events',
      got: 'evnets',
      nearest: 'events',
    })
    expect(error.fix).toEqual({ cmd: 'events', limit: 5 })
  })

  test.each([[{ cmd: 'frobnicate' }], [{ cmd: '' }], [{ cmd: 7 }], [{ cmd: [] }], [{}], [{ agent_id: 1 }]])(
    '%j gets the list of verbs',
    async (raw: JsonObject) => {
      const error = await refusal(raw)
      expect(error.code).toBe('INVALID')
      expect(error.ctx.field).toBe('cmd')
      expect(error.fix).toEqual({ cmd: 'describe' })
    },
  )
})

describe('for any request', () => {
  const text = fc.oneof(fc.string(), fc.constantFrom('1', 'pass', '90s', 'p1', ' ', 'true', '{"a":1}', '[1]'))
  const scalar = fc.oneof(
    text,
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.boolean(),
    fc.constant(null),
  )
  const names = COMMANDS.flatMap((command) => Object.keys(command.input.shape))
  const name = fc.oneof(
    fc.constantFrom(
      ...names,
      'constructor',
      'cmd',
      'rid',
      'repo',
      'dry',
      'idem',
      'title',
      'agent',
      'id',
      'timeout',
      'text',
      'args',
    ),
    fc.string({ maxLength: 10 }),
  )
  const value = fc.letrec((tie) => ({
    json: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      scalar,
      fc.array(tie('json'), { maxLength: 3 }),
      fc.dictionary(name, tie('json'), { maxKeys: 4 }),
    ),
  })).json
  const request = fc.dictionary(name, value, { maxKeys: 6 })
  const verb = fc.constantFrom(...COMMANDS.map(({ name }) => name))

  test('a repair that needs nothing parses, and repairing a repair changes nothing', () => {
    fc.assert(
      fc.property(verb, request, (cmd, fields) => {
        const command = COMMANDS.find((one) => one.name === cmd)
        if (!command) throw new Error(cmd)
        // safe: built of JSON values only
        const repaired = repair(command, { ...fields, cmd } as JsonObject)
        if (!repaired) throw new Error('no repair')
        if (repaired.needs.length === 0) expect(tryParse(command, repaired.request)).toHaveProperty('parsed')
        expect(repair(command, repaired.request)?.request).toEqual(repaired.request)
      }),
      { numRuns: 1_000 },
    )
  })

  test('the answer is an input or an INVALID that can be written', async () => {
    const cmd = fc.oneof(verb, fc.constantFrom('claim', 'add', 'evnets', '', '__proto__', 'toString'), scalar)
    await fc.assert(
      fc.asyncProperty(cmd, request, async (word, fields) => {
        // safe: built of JSON values only
        const answer = await attempt({ ...fields, cmd: word } as JsonObject)
        if (!(answer instanceof Error)) return
        expect(answer).toMatchObject({ name: 'SwarmError', code: 'INVALID' })
        expect(answer.message.length).toBeLessThan(400)
        expect(answer.message).not.toMatch(/undefined|\[object/)
      }),
      { numRuns: 1_000 },
    )
  })

  test('objects that cannot be made text do no harm', async () => {
    const odd = { toString: 1, valueOf: 1 }
    const raw = {
      cmd: 'claim-next',
      agent_id: odd,
      timeout: odd,
      require: odd,
      labels: odd,
      rid: odd,
      foo: odd,
    }
    expect((await refusal(raw)).ctx).toMatchObject({ needs: ['agent_id', 'require', 'labels[0]'] })
  })

  test('what parses already is left as it is', () => {
    const beads = [{ title, priority: 'p1', labels: ['a,b', '3'], metadata: { agentId: 1, list: '[1]' } }]
    const right: readonly (readonly [AnyCommand, JsonObject])[] = [
      [enqueue, { cmd: 'enqueue', beads, repo: 'r', rid: 1 }],
      [claim, { cmd: 'claim-next', agent_id: 1, lease_ms: 1_000, idem: 'k' }],
      [complete, { cmd: 'complete-stage', agent_id: 1, outcome: 'error', feedback: '{"a":1}' }],
    ]
    for (const [verb, raw] of right) expect(repair(verb, raw)).toEqual({ request: raw, needs: [] })
  })
})
