import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { faultsFor } from '../../src/agents/demo/faults.ts'
import { EventQueue } from '../../src/agents/event-queue.ts'
import type { AgentEvent } from '../../src/agents/events.ts'
import { reasonOfStatus, reasonOfWords, waitOfWords } from '../../src/agents/failures.ts'
import { makeHome, sessionEnvironment } from '../../src/agents/home.ts'
import { createLineReader } from '../../src/agents/line-reader.ts'
import { decidePermission } from '../../src/agents/permissions.ts'
import { compareVersions } from '../../src/agents/probe.ts'
import { cutText } from '../../src/agents/text.ts'
import { answered, NEW_TRACK, prompted, track } from '../../src/agents/tracking.ts'
import { agentSchema } from '../../src/contract/agents-config.ts'
import { ordersFor } from './support.ts'

describe('lines', () => {
  const read = (chunks: readonly (string | Buffer)[], max?: number) => {
    const reader = createLineReader(max)
    const lines = chunks.flatMap((chunk) => reader.push(Buffer.from(chunk)))
    return [...lines, ...reader.end()].map(({ text, whole }) => (whole ? text : `${text}…`))
  }

  it('are cut at newlines wherever the chunks end', () => {
    expect(read(['a', 'b\nc\r', '\n\n  \nd'])).toEqual(['ab', 'c', 'd'])
  })

  it('keep characters that stand across two chunks', () => {
    const bytes = Buffer.from('x€y\n')
    expect(read([bytes.subarray(0, 2), bytes.subarray(2)])).toEqual(['x€y'])
  })

  it('that are too long give their beginning, and the next line is read', () => {
    const lines = read(['x'.repeat(6_000), 'y'.repeat(6_000), '\nnext\n'], 10_000)
    expect(lines[0]).toBe(`${'x'.repeat(4_096)}…`)
    expect(lines[1]).toBe('next')
  })
})

describe('long texts', () => {
  it('keep their beginning and their end', () => {
    const cut = cutText(`begin${'.'.repeat(1_000)}end`, 100)
    expect(cut).toMatch(/^begin\.+\n\[\.\.\. 908 characters cut \.\.\.\]\n\.+end$/)
  })
})

describe('events', () => {
  const output = (text: string): AgentEvent => ({ kind: 'output', from: 'answer', text })

  it('wait for their reader in order, and who writes waits for room', async () => {
    const queue = new EventQueue()
    for (let i = 0; i < 1_000; i++) queue.push(output(String(i)))
    let hasRoom = false
    const room = queue.room().then(() => {
      hasRoom = true
    })
    await Promise.resolve()
    expect(hasRoom).toBe(false)
    queue.end()
    const texts: string[] = []
    for await (const event of queue) if (event.kind === 'output') texts.push(event.text)
    await room
    expect(texts).toEqual(Array.from({ length: 1_000 }, (_, i) => String(i)))
  })

  it('add up to what is open, asked and done', () => {
    const events: readonly AgentEvent[] = [
      { kind: 'initialised', nativeId: 'n1', model: 'm' },
      { kind: 'tool_started', id: 't1', name: 'shell', input: '' },
      { kind: 'permission', id: 'p1', tool: 'shell', input: '' },
      { kind: 'permission', id: 'p2', tool: 'shell', input: '', decided: 'allow' },
      { kind: 'rate_limited', state: 'reached', until: 99 },
      { kind: 'turn_ended' },
    ]
    const after = events.reduce((state, event, at) => track(state, event, at), NEW_TRACK)
    expect(after).toMatchObject({
      nativeId: 'n1',
      model: 'm',
      turns: 1,
      toolCalls: 1,
      openTools: [{ id: 't1', name: 'shell', since: 1 }],
      asking: [{ id: 'p1', kind: 'permission', since: 2 }],
      limitedUntil: 99,
      lastToolAt: 1,
      lastEventAt: 5,
    })
    expect(answered(after, 'p1').asking).toEqual([])
    const done = track(after, { kind: 'result', ok: true, reason: 'completed', detail: '' }, 9)
    expect(done).toMatchObject({ openTools: [], asking: [], result: { ok: true } })
    expect(prompted(done).result).toBeUndefined()
  })
})

describe('what a role allows', () => {
  it('is denied by name first, then allowed by name, then as the mode says', () => {
    const rules = { mode: 'ask' as const, allow: ['read*', 'bash'], deny: ['*push*'] }
    expect(
      ['ReadFile', 'Bash', 'git_push', 'read_push', 'edit', 'bash2'].map((tool) =>
        decidePermission(rules, tool),
      ),
    ).toEqual(['allow', 'allow', 'deny', 'deny', 'ask', 'ask'])
    expect(decidePermission({}, 'anything')).toBe('allow')
  })

  it('takes the letters of a pattern as they are', () => {
    expect(decidePermission({ mode: 'deny', allow: ['mcp.x'] }, 'mcpax')).toBe('deny')
  })
})

describe('the environment of a session', () => {
  it('holds what is named and nothing else', () => {
    const orders = ordersFor(
      { env: { LEVEL: '2' }, pass_env: ['API_KEY', 'ABSENT'] },
      {
        env: { SWARM_AGENT_ID: '7' },
        operatorEnv: { API_KEY: 'k', SECRET: 's', HOME: '/root' },
        path: '/bin',
      },
    )
    expect(sessionEnvironment(orders, { argv: [], env: { NEEDED: '1' } })).toEqual({
      PATH: '/bin',
      LANG: 'C.UTF-8',
      TERM: 'dumb',
      NEEDED: '1',
      SWARM_AGENT_ID: '7',
      API_KEY: 'k',
      LEVEL: '2',
      HOME: '/home/agent',
      TMPDIR: '/tmp/agent',
    })
  })

  it('has files of the adapter and links to the operator’s login, unless told otherwise', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'swarm-home-'))
    const launch = {
      argv: [],
      env: {},
      files: [{ path: '.tool/config', text: 'x' }],
      loginFiles: ['auth.json', 'no'],
    }
    writeFileSync(join(dir, 'auth.json'), '{}')
    const place = (name: string) => ({
      home: join(dir, name),
      tmp: join(dir, name, 'tmp'),
      operatorEnv: { HOME: dir },
    })
    await makeHome(ordersFor({}, place('a')), launch)
    await makeHome(ordersFor({ login: 'none' }, place('b')), launch)
    expect(readFileSync(join(dir, 'a', '.tool', 'config'), 'utf8')).toBe('x')
    expect(readlinkSync(join(dir, 'a', 'auth.json'))).toBe(join(dir, 'auth.json'))
    expect(() => readlinkSync(join(dir, 'b', 'auth.json'))).toThrow()
    rmSync(dir, { recursive: true })
  })

  it('writes nothing through links that an earlier session has left in the HOME', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'swarm-home-'))
    const outside = join(dir, 'outside')
    mkdirSync(outside)
    writeFileSync(join(outside, 'config'), 'theirs')
    const place = (name: string) => ({ home: join(dir, name), tmp: join(dir, name, 'tmp') })
    for (const name of ['a', 'b']) mkdirSync(join(dir, name, '.deep'), { recursive: true })
    symlinkSync(outside, join(dir, 'a', '.deep', 'tool'))
    mkdirSync(join(dir, 'b', '.deep', 'tool'))
    symlinkSync(join(outside, 'config'), join(dir, 'b', '.deep', 'tool', 'config'))
    const launch = { argv: [], env: {}, files: [{ path: '.deep/tool/config', text: 'ours' }] }
    for (const name of ['a', 'b']) {
      await makeHome(ordersFor({}, place(name)), launch)
      expect(readFileSync(join(dir, name, '.deep', 'tool', 'config'), 'utf8')).toBe('ours')
    }
    expect(readFileSync(join(outside, 'config'), 'utf8')).toBe('theirs')
    rmSync(dir, { recursive: true })
  })

  it.each(['HOME', 'SWARM_SESSION_MARKER', 'DATABASE_URL', 'PGPASSWORD', 'not a name'])(
    'cannot be given %s by a configuration',
    (name) => {
      expect(agentSchema.safeParse({ adapter: 'claude', env: { [name]: 'x' } }).success).toBe(false)
      expect(agentSchema.safeParse({ adapter: 'claude', pass_env: [name] }).success).toBe(false)
    },
  )
})

describe('why something failed', () => {
  it.each([
    [401, 'auth'],
    [402, 'billing'],
    [404, 'configuration'],
    [413, 'prompt_too_long'],
    [429, 'quota'],
    [500, 'overloaded'],
    [529, 'overloaded'],
    [200, undefined],
  ])('status %s is %s', (status, reason) => expect(reasonOfStatus(status)).toBe(reason))

  it.each([
    ['You have reached your usage limit, try again at 5 PM', 'quota'],
    ['Your credit balance is too low', 'billing'],
    ['unexpected status 401 Unauthorized: Incorrect API key', 'auth'],
    ['Prompt is too long', 'prompt_too_long'],
    ['The model is overloaded', 'overloaded'],
    ['connect ECONNREFUSED 127.0.0.1:1', 'overloaded'],
    ['No previous sessions found for this project.', 'configuration'],
    ['I give up', 'failed'],
  ])('%s', (words, reason) => expect(reasonOfWords(words)).toBe(reason))
})

describe('how long to wait', () => {
  it.each([
    ['Please retry in 12.5s.', 12_500],
    ['your quota will reset after 1h2m3s', 3_723_000],
    ['try again in 250ms', 250],
    ['try again at 5:24 PM', undefined],
    ['I tried in 3 ways', undefined],
  ])('%s', (words, ms) => expect(waitOfWords(words)).toBe(ms))

  it('is held by a quota only when it is long', () => {
    const retrying = { kind: 'retrying', cause: 'quota', detail: '' } as const
    expect(track(NEW_TRACK, { ...retrying, at: 100_000 }, 1_000).limitedUntil).toBe(100_000)
    expect(track(NEW_TRACK, { ...retrying, at: 5_000 }, 1_000).limitedUntil).toBeUndefined()
    expect(track(NEW_TRACK, retrying, 1_000).limitedUntil).toBeUndefined()
  })
})

describe('versions', () => {
  it('are ordered by number', () => {
    expect(compareVersions('2.1.197', '2.1.20')).toBeGreaterThan(0)
    expect(compareVersions('1.18', '1.18.0')).toBe(0)
    expect(compareVersions('0.61.0', '1')).toBeLessThan(0)
  })
})

describe('the demo agent’s faults', () => {
  const work = { bead: 'b-1', stage: 'implement', attempt: 1, resumed: false }

  it('fit beads, stages and attempts', () => {
    const faults = [
      { fault: 'crash' as const, attempts: [1] },
      { fault: 'flood' as const, beads: ['b-2'] },
      { fault: 'quota' as const, stages: ['implement'] },
    ]
    expect([...faultsFor({ faults }, work).keys()]).toEqual(['crash', 'quota'])
    expect([...faultsFor({ faults }, { ...work, attempt: 2, resumed: true }).keys()]).toEqual([])
  })

  it('come as often as their chance says, the same for the same seed', () => {
    const count = (seed: number) =>
      Array.from({ length: 2_000 }, (_, i) =>
        faultsFor({ seed, faults: [{ fault: 'crash', chance: 0.2 }] }, { ...work, bead: `b-${i}` }),
      ).filter(({ size }) => size > 0).length
    expect(count(1)).toBe(count(1))
    expect(count(1)).toBeGreaterThan(320)
    expect(count(1)).toBeLessThan(480)
  })
})
