import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Envelope } from '../../src/contract/envelope.ts'
import { testDatabase } from '../support/database.ts'
import { runSwarm } from '../support/swarm.ts'

const database = await testDatabase()
const repo = 'bad-input'
const env = { DATABASE_URL: database.url, SWARM_REPO: repo }
const scratch = mkdtempSync(join(tmpdir(), 'swarm-bad-'))

beforeAll(async () => {
  const set = await runSwarm([], {
    env,
    input: [
      { cmd: 'register', count: 2 },
      { cmd: 'enqueue', beads: [{ bead_id: 'api', title: 'Write the API' }] },
      { cmd: 'lock', resource: 'taken', agent: 1 },
    ]
      .map((line) => JSON.stringify(line))
      .join('\n'),
  })
  expect(set.code).toBe(0)
})
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

/** Sends one bad line, then a good one: the bad one must not end the loop. */
async function send(line: string | Uint8Array, extra: Record<string, string> = {}): Promise<Envelope> {
  const good = '\n{"cmd":"status","rid":"after"}\n'
  const input = Buffer.concat([Buffer.from(line), Buffer.from(good)])
  const result = await runSwarm([], { env: { ...env, ...extra }, input })
  const [bad, after, ...rest] = result.envelopes
  expect(rest).toEqual([])
  expect(after).toMatchObject({ ok: true, rid: 'after' })
  expect(result.stderr).toBe('')
  if (!bad) throw new Error('no envelope for the bad line')
  return bad
}

const nested = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`

describe('a bad line gets one clear envelope and the next line still works', () => {
  const rows: [string, string | Uint8Array, object][] = [
    ['invalid JSON', '{"cmd":', { code: 'INVALID' }],
    ['JSON that is a number', '42', { code: 'INVALID' }],
    ['JSON that is an array', '[{"cmd":"status"}]', { code: 'INVALID' }],
    ['null', 'null', { code: 'INVALID' }],
    ['a missing cmd', '{"agent_id":1}', { code: 'INVALID', ctx: { kind: 'MissingField', field: 'cmd' } }],
    ['an unknown cmd', '{"cmd":"xyzzy-frobnicate"}', { code: 'INVALID', ctx: { field: 'cmd' } }],
    ['a cmd that is no string', '{"cmd":7}', { code: 'INVALID', ctx: { kind: 'InvalidType', field: 'cmd' } }],
    [
      'a misspelt field',
      '{"cmd":"claim-next","agent_idd":1}',
      { code: 'INVALID', ctx: { kind: 'UnknownField', field: 'agent_idd' } },
    ],
    [
      'a wrong type',
      '{"cmd":"claim-next","agent_id":"one"}',
      { code: 'INVALID', ctx: { kind: 'InvalidType', field: 'agent_id' } },
    ],
    ['a fraction', '{"cmd":"claim-next","agent_id":1.5}', { code: 'INVALID', ctx: { field: 'agent_id' } }],
    [
      'id zero',
      '{"cmd":"claim-next","agent_id":0}',
      { code: 'INVALID', ctx: { kind: 'InvalidValue', field: 'agent_id' } },
    ],
    [
      'a negative id',
      '{"cmd":"claim-next","agent_id":-3}',
      { code: 'INVALID', ctx: { kind: 'InvalidValue', field: 'agent_id' } },
    ],
    [
      'an id beyond 32 bits',
      '{"cmd":"claim-next","agent_id":9007199254740991}',
      { code: 'INVALID', ctx: { field: 'agent_id' } },
    ],
    ['an empty string', '{"cmd":"show","bead_id":""}', { code: 'INVALID', ctx: { field: 'bead_id' } }],
    ['a blank string', '{"cmd":"show","bead_id":"   "}', { code: 'INVALID', ctx: { field: 'bead_id' } }],
    [
      'a null byte in a value',
      '{"cmd":"show","bead_id":"a\\u0000b"}',
      { code: 'INVALID', ctx: { field: 'bead_id' } },
    ],
    [
      'a null byte in a nested key',
      '{"cmd":"enqueue","beads":[{"title":"t","metadata":{"a\\u0000":1}}]}',
      { code: 'INVALID' },
    ],
    ['a raw null byte', '{"cmd":"show","bead_id":"a\u0000b"}', { code: 'INVALID' }],
    ['a lone surrogate', '{"cmd":"show","bead_id":"\\ud800"}', { code: 'INVALID' }],
    [
      'a line of 2 MiB',
      `{"cmd":"broadcast","from":1,"msg":"${'x'.repeat(2 * 1024 * 1024)}"}`,
      { code: 'INVALID' },
    ],
    ['bytes that are not UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]), { code: 'INVALID' }],
    [
      'nesting 100 deep',
      `{"cmd":"record-event","event_type":"x","entity_id":"y","payload":${nested(100)}}`,
      { code: 'INVALID' },
    ],
    ['__proto__', '{"cmd":"status","__proto__":{"x":1}}', { code: 'INVALID', ctx: { kind: 'UnknownField' } }],
    [
      'a nested __proto__',
      '{"cmd":"record-event","event_type":"x","entity_id":"y","payload":{"__proto__":1}}',
      { code: 'INVALID' },
    ],
    ['a batch with cmds', '{"cmd":"batch","cmds":[{"cmd":"status"}]}', { code: 'INVALID' }],
    ['an empty batch', '{"cmd":"batch","ops":[]}', { code: 'INVALID', ctx: { field: 'ops' } }],
    [
      'a batch in a batch',
      '{"cmd":"batch","ops":[{"cmd":"batch","ops":[{"cmd":"status"}]}]}',
      { code: 'INVALID' },
    ],
    [
      'an unknown agent',
      '{"cmd":"claim-next","agent_id":77}',
      { code: 'NOTFOUND', ctx: { field: 'agent_id' } },
    ],
    ['an unknown bead', '{"cmd":"show","bead_id":"nope"}', { code: 'NOTFOUND', ctx: { field: 'bead_id' } }],
    ['a stale fence', '{"cmd":"heartbeat","agent_id":1,"bead_id":"api","fence":99}', { code: 'CONFLICT' }],
    [
      "somebody else's lock",
      '{"cmd":"lock","resource":"taken","agent":2}',
      { code: 'BUSY', ctx: { holder: '1' } },
    ],
    [
      "unlocking somebody else's lock",
      '{"cmd":"unlock","resource":"taken","agent":2}',
      { code: 'CONFLICT', ctx: { holder: '1' } },
    ],
    [
      'feedback missing',
      '{"cmd":"complete-stage","agent_id":1,"outcome":"failed"}',
      { code: 'INVALID', ctx: { field: 'feedback' } },
    ],
    [
      'a wait without rid',
      '{"cmd":"claim-next","agent_id":1,"wait_ms":10}',
      { code: 'INVALID', ctx: { kind: 'MissingField', field: 'rid' } },
    ],
    [
      'a read with idem',
      '{"cmd":"status","idem":"x"}',
      { code: 'INVALID', ctx: { kind: 'UnknownField', field: 'idem' } },
    ],
    [
      'another tenant with a bad name',
      '{"cmd":"status","repo":"../x y"}',
      { code: 'INVALID', ctx: { field: 'repo' } },
    ],
  ]
  test.each(rows)('%s', async (_name, line, err) => {
    expect(await send(line)).toMatchObject({ ok: false, err })
  })

  test('an unknown agent gets the register request that would work', async () => {
    const bad = await send('{"cmd":"claim-next","agent_id":77,"rid":"q"}')
    expect(bad).toMatchObject({ ok: false, rid: 'q' })
    expect(bad.ok ? '' : bad.fix).toBe('{"cmd":"register","count":77}')
  })
})

describe('around the loop', () => {
  test('a bare word gets a fix that can be sent: itself when it is a verb', async () => {
    const { envelopes } = await runSwarm([], { env, input: 'status\nnonsense\n"ready"\n"rubbish"\n' })
    expect(envelopes.map((envelope) => !envelope.ok && envelope.fix)).toEqual([
      '{"cmd":"status"}',
      '{"cmd":"describe"}',
      '{"cmd":"ready"}',
      '{"cmd":"describe"}',
    ])
  })

  test('empty stdin gets one INVALID envelope', async () => {
    const result = await runSwarm([], { env, input: '' })
    expect(result.envelopes).toMatchObject([{ ok: false, err: { code: 'INVALID' } }])
    expect(result.code).toBe(8)
  })

  test('only blank lines get one INVALID envelope', async () => {
    const result = await runSwarm([], { env, input: '\n  \r\n\n' })
    expect(result.envelopes).toMatchObject([{ ok: false, err: { code: 'INVALID' } }])
  })

  test('a BOM, CRLF and a last line without newline are accepted', async () => {
    const result = await runSwarm([], {
      env,
      input: '\ufeff{"cmd":"status","rid":1}\r\n{"cmd":"status","rid":2}',
    })
    expect(result.envelopes).toMatchObject([
      { ok: true, rid: 1 },
      { ok: true, rid: 2 },
    ])
    expect(result.code).toBe(0)
  })

  test('the exit code is that of the first failed request', async () => {
    const result = await runSwarm([], {
      env,
      input:
        '{"cmd":"status"}\n{"cmd":"show","bead_id":"nope"}\n{"cmd":"claim-next","agent_id":"x"}\n{"cmd":"status"}\n',
    })
    expect(result.envelopes.map((e) => e.ok)).toEqual([true, false, false, true])
    expect(result.code).toBe(5)
  })

  test('a database that is away is DEPENDENCY, retryable, and its password stays here', async () => {
    const url = 'postgres://someone:hunter2secret@127.0.0.1:1/none'
    const result = await runSwarm([], {
      env: { ...env, DATABASE_URL: url },
      input: '{"cmd":"status"}\n{"cmd":"status"}\n',
    })
    expect(result.envelopes).toMatchObject([
      { ok: false, err: { code: 'DEPENDENCY', ctx: { retryable: true } } },
      { ok: false, err: { code: 'DEPENDENCY' } },
    ])
    expect(result.code).toBe(7)
    expect(result.stdout + result.stderr).not.toContain('hunter2secret')
    expect(result.envelopes[0]).toHaveProperty('fix')
  })

  test('a database_url in the request that is away honours connect_timeout_ms', async () => {
    const started = performance.now()
    const result = await runSwarm([], {
      env,
      input:
        '{"cmd":"status","database_url":"postgres://u:hunter2secret@127.0.0.1:9/none","connect_timeout_ms":200}\n',
    })
    expect(result.envelopes).toMatchObject([{ ok: false, err: { code: 'DEPENDENCY' } }])
    expect(performance.now() - started).toBeLessThan(5_000)
    expect(result.stdout + result.stderr).not.toContain('hunter2secret')
  })

  test('no swarm root is INVALID with init as fix, exit 2', async () => {
    const result = await runSwarm(['status'], { cwd: scratch })
    expect(result.envelopes).toMatchObject([{ ok: false, err: { code: 'INVALID' }, fix: 'swarm init' }])
    expect(result.code).toBe(2)
  })

  test('an unknown config key is INVALID and named, exit 2', async () => {
    mkdirSync(join(scratch, 'configured', '.swarm'), { recursive: true })
    writeFileSync(
      join(scratch, 'configured', '.swarm', 'config.toml'),
      'repo = "x"\ndatabse_url = "postgres://u:hunter2secret@h/db"\n',
    )
    const result = await runSwarm(['status'], { cwd: join(scratch, 'configured') })
    expect(result.envelopes).toMatchObject([
      { ok: false, err: { code: 'INVALID', ctx: { kind: 'UnknownField', field: 'databse_url' } } },
    ])
    expect(result.code).toBe(2)
    expect(result.stdout + result.stderr).not.toContain('hunter2secret')
  })

  test('a misspelt command on the command line is CLI_ERROR, exit 1, with the right one', async () => {
    const result = await runSwarm(['claim-nxt', '--agent-id', '1'], { env })
    expect(result.envelopes).toMatchObject([
      { ok: false, err: { code: 'CLI_ERROR' }, fix: 'swarm claim-next --agent-id 1' },
    ])
    expect(result.code).toBe(1)
  })
})
