import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import type { JsonObject } from '../../src/contract/json.ts'
import { testDatabase } from '../support/database.ts'
import { openPipe, type Pipe, runSwarm } from '../support/swarm.ts'

const { url, sql } = await testDatabase()
const scratch = mkdtempSync(join(tmpdir(), 'swarm-tokens-'))
const pipes: Pipe[] = []
let repos = 0

afterAll(async () => {
  for (const pipe of pipes) await pipe.close()
  rmSync(scratch, { recursive: true, force: true })
})

function open(repo: string, token?: string, more: Record<string, string> = {}): Pipe {
  const pipe = openPipe(
    { DATABASE_URL: url, SWARM_REPO: repo, ...(token ? { SWARM_TOKEN: token } : {}), ...more },
    scratch,
  )
  pipes.push(pipe)
  return pipe
}

/** A repo that asks for tokens, with three agents and two beads, and a token of each role. */
async function guardedRepo() {
  const repo = `guarded-${++repos}`
  const first = open(repo)
  await first.ok({ cmd: 'register', count: 3 })
  await first.ok({
    cmd: 'enqueue',
    beads: [
      { bead_id: 'a', title: 'A' },
      { bead_id: 'b', title: 'B' },
    ],
  })
  const make = async (fields: JsonObject, by = first): Promise<string> => {
    const { token } = await by.ok<{ token: string }>({ cmd: 'token', action: 'create', ...fields })
    return token
  }
  const operator = await make({ role: 'operator' })
  await sql`update swarm.repos set auth = 'tokens' where repo_id = ${repo}`
  const boss = open(repo, operator)
  return {
    repo,
    operator,
    boss,
    make: (fields: JsonObject) => make(fields, boss),
    agent: await make({ role: 'agent', agent_id: 1 }, boss),
    other: await make({ role: 'agent', agent_id: 2 }, boss),
    observer: await make({ role: 'observer' }, boss),
    runner: await make({ role: 'runner' }, boss),
  }
}

async function err(pipe: Pipe, request: JsonObject) {
  const envelope = await pipe.send(request)
  return envelope.ok ? 'done' : envelope.err.code
}

describe('a repo that asks for tokens', () => {
  test('refuses whoever shows none, and takes a token by hello and by SWARM_TOKEN', async () => {
    const { repo, agent } = await guardedRepo()
    const pipe = open(repo)
    expect(await err(pipe, { cmd: 'status' })).toBe('UNAUTHORIZED')
    expect(await err(pipe, { cmd: 'claim-next', agent_id: 1 })).toBe('UNAUTHORIZED')
    expect(await pipe.ok({ cmd: 'hello', token: agent })).toEqual({ repo, role: 'agent', agent_id: 1 })
    expect(await pipe.ok({ cmd: 'claim-next' })).toMatchObject({ bead: { bead_id: 'a' } })
    const shot = await runSwarm(['heartbeat', '--fence', '1'], {
      env: { DATABASE_URL: url, SWARM_TOKEN: agent },
      cwd: scratch,
    })
    expect(shot.envelopes[0]).toMatchObject({ ok: true, d: { bead_id: 'a' } })
    const bare = await runSwarm(['status'], { env: { DATABASE_URL: url, SWARM_REPO: repo }, cwd: scratch })
    expect(bare.code).toBe(12)
  })

  test('lets an agent write the metadata of the bead that it holds, and nothing else of any', async () => {
    const { repo, agent, other } = await guardedRepo()
    const pipe = open(repo, agent)
    const note = { cmd: 'update', bead_id: 'a', metadata: { note: 'half done' } }
    expect(await err(pipe, note)).toBe('CONFLICT')
    const { fence } = await pipe.ok<{ fence: number }>({ cmd: 'claim-next' })
    expect(await pipe.ok(note)).toEqual({ bead_id: 'a', changed: ['metadata'] })
    expect(await err(pipe, { ...note, title: 'x' })).toBe('UNAUTHORIZED')
    expect(await err(pipe, { ...note, bead_id: 'b' })).toBe('CONFLICT')
    expect(await err(open(repo, other), note)).toBe('CONFLICT')
    // another process of the agent says under which claim
    const second = open(repo, agent)
    const later = { ...note, metadata: { note: 'done' } }
    expect(await err(second, later)).toBe('INVALID')
    expect(await err(second, { ...later, fence: fence + 1 })).toBe('CONFLICT')
    expect(await second.ok({ ...later, fence })).toEqual({ bead_id: 'a', changed: ['metadata'] })
  })

  test('keeps the hash of a token and nothing else of it, anywhere', async () => {
    const { repo, agent, operator, boss, make } = await guardedRepo()
    const pipe = open(repo, agent)
    await pipe.ok({ cmd: 'heartbeat', note: `my token is ${agent}`, idem: 'n1' })
    await pipe.ok({ cmd: 'send', to: 2, body: 'hello' })
    await boss.ok({ cmd: 'register', name: 'new one', idem: 'r1' })
    const batch = { cmd: 'batch', ops: [{ cmd: 'register', name: 'another' }], idem: 'r2' }
    expect(JSON.stringify(await boss.send(batch))).toMatch(/swarm_[\w-]{43}/)
    expect(JSON.stringify(await boss.send(batch))).toContain('swarm_***')
    await make({ role: 'agent', agent_id: 3, idem: 'again' })
    const answers = [
      await pipe.send({ cmd: 'hello', token: agent, tokn: operator }),
      await pipe.send({ cmd: 'claim-next', token: agent }),
      await pipe.send({ cmd: agent }),
      await pipe.send({ cmd: 'hello', token: [agent] }),
      await pipe.send({ cmd: 'show', bead_id: agent }),
      await pipe.send({
        cmd: 'batch',
        atomic: false,
        ops: [
          { cmd: 'show', bead_id: agent },
          { cmd: 'hello', tken: agent },
        ],
      }),
    ]
    expect(JSON.stringify(answers)).not.toMatch(/swarm_[\w-]{43}/)
    const kept = await sql`
      select 'audit' as place, args::text as text from swarm.command_audit
      union all select 'operations', reply::text from swarm.operations
      union all select 'tokens', to_jsonb(t)::text from swarm.api_tokens t`
    expect(kept.filter(({ text }) => /swarm_[\w-]{43}/.test(text))).toEqual([])
  })

  test('answers the tokens of new agents once', async () => {
    const { repo, boss } = await guardedRepo()
    const made = await boss.ok<{ tokens: { agent_id: number; token: string }[] }>({
      cmd: 'register',
      count: 5,
      idem: 'five',
    })
    expect(made.tokens.map(({ agent_id }) => agent_id)).toEqual([4, 5])
    const again = await boss.send({ cmd: 'register', count: 5, idem: 'five' })
    expect(again).toMatchObject({ ok: true, replayed: true, d: { agent_ids: [1, 2, 3, 4, 5] } })
    expect(JSON.stringify(again)).not.toContain('swarm_')
    expect(await open(repo).ok({ cmd: 'hello', token: made.tokens[1]?.token ?? '' })).toMatchObject({
      agent_id: 5,
    })
    const rows = await boss.ok<{ tokens: unknown[] }>({ cmd: 'token', action: 'list' })
    expect(rows.tokens).toHaveLength(7)
  })

  test('is not entered with a token that is made up, expired, revoked or of another repo', async () => {
    const { repo, boss, make, agent } = await guardedRepo()
    const elsewhere = await guardedRepo()
    const short = await make({ role: 'agent', agent_id: 3, expires_ms: 1 })
    await expect.poll(() => err(open(repo, short), { cmd: 'status' })).toBe('UNAUTHORIZED')
    expect(await err(open(repo, `swarm_${'a'.repeat(43)}`), { cmd: 'status' })).toBe('UNAUTHORIZED')
    expect(await err(open(repo, elsewhere.agent), { cmd: 'status', repo })).toBe('UNAUTHORIZED')
    // without a repo named it is the token's own
    expect(await open(repo, elsewhere.agent).ok({ cmd: 'claim-next' })).toMatchObject({
      bead: { bead_id: 'a' },
    })
    expect(
      await sql`select repo_id from swarm.bead_claims where repo_id in (${repo}, ${elsewhere.repo})`,
    ).toEqual([{ repo_id: elsewhere.repo }])

    const pipe = open(repo, agent)
    await pipe.ok({ cmd: 'status' })
    const [row] = await sql`select id::integer from swarm.api_tokens where repo_id = ${repo} and agent_id = 1`
    await boss.ok({ cmd: 'token', action: 'revoke', token_id: row?.id })
    await expect
      .poll(() => err(pipe, { cmd: 'status' }), { timeout: 10_000, interval: 200 })
      .toBe('UNAUTHORIZED')
    // a hello that was seen by somebody is worth nothing after that
    expect(await err(open(repo), { cmd: 'hello', token: agent })).toBe('UNAUTHORIZED')
  })

  test('ends what a revoked token waits for, and renews its claims no longer, within 10 s', async () => {
    const { repo, boss, agent } = await guardedRepo()
    const pipe = open(repo, agent)
    await pipe.ok({ cmd: 'claim-next', lease_ms: 3_000 })
    const stream = pipe.send({ cmd: 'wait', bead_id: 'b', wait_ms: 60_000 })
    const [row] = await sql`select id::integer from swarm.api_tokens where repo_id = ${repo} and agent_id = 1`
    await boss.ok({ cmd: 'token', action: 'revoke', token_id: row?.id })
    const revoked = performance.now()
    expect(await stream).toMatchObject({ ok: false, err: { code: 'UNAUTHORIZED' } })
    expect(performance.now() - revoked).toBeLessThan(10_000)
    await expect
      .poll(
        async () => {
          const [claim] =
            await sql`select lease_expires_at < clock_timestamp() as over from swarm.bead_claims where repo_id = ${repo}`
          return claim?.over
        },
        { timeout: 15_000, interval: 200 },
      )
      .toBe(true)
  })
})

describe('an agent’s token', () => {
  test('does not act as another, in another repo, or as an operator, in whatever way it is asked', async () => {
    const { repo, agent } = await guardedRepo()
    const free = `free-${repos}`
    await open(free).ok({ cmd: 'register', count: 1 })
    const pipe = open(repo, agent)
    const attempts: JsonObject[] = [
      { cmd: 'claim-next', agent_id: 2 },
      { cmd: 'claim-next', agent_id: 2, dry: true },
      { cmd: 'send', agent_id: 2, to: 1, body: 'x' },
      { cmd: 'broadcast', from: 2, msg: 'x' },
      { cmd: 'broadcast', from: 'operator', msg: 'x' },
      { cmd: 'lock', agent: 2, resource: 'x' },
      { cmd: 'inbox', agent_id: 2, peek: true },
      { cmd: 'record-event', agent_id: 2, event_type: 'progress', entity_id: 'x' },
      { cmd: 'status', repo: free },
      { cmd: 'claim-next', repo: free },
      { cmd: 'subscribe', for_agent: 2, until: 'idle:1s' },
      { cmd: 'subscribe', repos: [repo, free], until: 'idle:1s' },
      { cmd: 'subscribe', cursor: 'mailer', until: 'idle:1s' },
      { cmd: 'reopen', bead_id: 'a' },
      { cmd: 'cancel', bead_id: 'a' },
      { cmd: 'cancel', bead_id: 'a', dry: true },
      { cmd: 'assign', agent_id: 1, bead_id: 'a' },
      { cmd: 'update', bead_id: 'a', title: 'x' },
      { cmd: 'work', command: ['true'] },
      { cmd: 'qa' },
      { cmd: 'prune', before: '2020-01-01T00:00:00Z' },
      { cmd: 'doctor', new_log: true },
      { cmd: 'import', path: 'x.jsonl' },
      { cmd: 'export', path: 'x.jsonl' },
      { cmd: 'register', name: 'eve' },
      { cmd: 'token', action: 'create', role: 'operator' },
      { cmd: 'token', action: 'list' },
      { cmd: 'init-db' },
      { cmd: 'status', database_url: 'postgres://postgres@127.0.0.1:1/elsewhere' },
      { cmd: 'batch', ops: [{ cmd: 'heartbeat' }, { cmd: 'heartbeat', agent_id: 2 }] },
      { cmd: 'batch', ops: [{ cmd: 'status', repo: free }] },
      { cmd: 'batch', ops: [{ cmd: 'prune', before: '2020-01-01T00:00:00Z' }] },
      { cmd: 'batch', dry: true, ops: [{ cmd: 'send', agent_id: 2, to: 1, body: 'x' }] },
    ]
    for (const attempt of attempts) {
      const answer = await pipe.send(attempt)
      expect([attempt, answer.ok ? answer.d : answer.err.code]).toEqual([attempt, 'UNAUTHORIZED'])
    }
    expect(await err(pipe, { cmd: 'batch', ops: [{ cmd: 'claim-next', wait_ms: 1_000 }] })).toBe('INVALID')
    const apart = await pipe.ok<{ results: { ok: boolean; err?: { code: string } }[] }>({
      cmd: 'batch',
      atomic: false,
      ops: [{ cmd: 'heartbeat' }, { cmd: 'heartbeat', agent_id: 2 }, { cmd: 'cancel', bead_id: 'a' }],
    })
    expect(apart.results.map(({ ok, err }) => (ok ? 'done' : err?.code))).toEqual([
      'done',
      'UNAUTHORIZED',
      'UNAUTHORIZED',
    ])
    const left =
      await sql`select event_type from swarm.execution_events where repo_id = ${repo} and agent_id = 2 and event_type <> 'agent_registered' and event_type not like 'token%'`
    expect(left).toEqual([])
  })

  test('that is refused among appends that travel together stops none of the others', async () => {
    const { repo, agent } = await guardedRepo()
    const pipe = open(repo, agent)
    await pipe.ok({ cmd: 'status' })
    const answers = await Promise.all(
      [1, 2, 1, 2, 1].map((agent_id) =>
        err(pipe, { cmd: 'record-event', agent_id, event_type: 'progress', entity_id: 'x' }),
      ),
    )
    expect(answers).toEqual(['done', 'UNAUTHORIZED', 'done', 'UNAUTHORIZED', 'done'])
    const [count] =
      await sql`select count(*)::integer as n from swarm.execution_events where repo_id = ${repo} and event_type = 'progress'`
    expect(count?.n).toBe(3)
  })

  test('writes to a claim of another process with its fence only', async () => {
    const { repo, agent } = await guardedRepo()
    const one = open(repo, agent)
    const { fence } = await one.ok<{ fence: number }>({ cmd: 'claim-next' })
    const two = open(repo, agent)
    const bare = await two.send({ cmd: 'complete-stage', outcome: 'passed' })
    expect(bare).toMatchObject({
      ok: false,
      err: { code: 'INVALID', ctx: { kind: 'MissingField', field: 'fence' } },
    })
    expect(await err(two, { cmd: 'release' })).toBe('INVALID')
    expect(await err(two, { cmd: 'heartbeat' })).toBe('INVALID')
    expect(await two.ok({ cmd: 'heartbeat', fence })).toMatchObject({ bead_id: 'a' })
    expect(await one.ok({ cmd: 'complete-stage', outcome: 'passed' })).toMatchObject({
      transition: 'advance',
    })
  })

  test('is the only one of its process: another holder’s is refused, a new one of the same is not', async () => {
    const { agent, other, make, repo } = await guardedRepo()
    const pipe = open(repo)
    await pipe.ok({ cmd: 'hello', token: agent })
    expect(await err(pipe, { cmd: 'hello', token: other })).toBe('CONFLICT')
    const renewed = await make({ role: 'agent', agent_id: 1 })
    expect(await pipe.ok({ cmd: 'hello', token: renewed })).toMatchObject({ agent_id: 1 })
  })

  test('stays out of what a runner starts', async () => {
    const { repo, runner } = await guardedRepo()
    const pipe = open(repo, runner)
    const ran = await pipe.ok({
      cmd: 'run-once',
      agent_id: 1,
      command: ['sh', '-c', 'echo "[$SWARM_TOKEN]"'],
    })
    expect(ran).toMatchObject({ ran: { outcome: 'passed', output: '[]' } })
  })
})

describe('tokens of the other roles', () => {
  test('an observer reads its repo and writes nothing', async () => {
    const { repo, observer } = await guardedRepo()
    const pipe = open(repo, observer)
    expect(await pipe.ok({ cmd: 'status' })).toMatchObject({})
    expect(await pipe.ok({ cmd: 'events', after: 0, limit: 1 })).toMatchObject({})
    for (const cmd of ['claim-next', 'inbox', 'heartbeat'])
      expect(await err(pipe, { cmd, agent_id: 1 })).toBe('UNAUTHORIZED')
    expect(await err(pipe, { cmd: 'batch', ops: [{ cmd: 'heartbeat', agent_id: 1 }] })).toBe('UNAUTHORIZED')
  })

  test('an operator goes into other repos; a database with one guarded repo is pruned by operators only', async () => {
    const { repo, boss } = await guardedRepo()
    const free = `free-${repos}`
    const pipe = open(free)
    await pipe.ok({ cmd: 'register', count: 1 })
    expect(await boss.ok({ cmd: 'claim-next', agent_id: 1, repo: free })).toMatchObject({ bead: null })
    expect(await err(pipe, { cmd: 'status', repo })).toBe('UNAUTHORIZED')
    expect(await err(pipe, { cmd: 'subscribe', repos: [free, repo], until: 'idle:1s' })).toBe('UNAUTHORIZED')
    expect(await err(pipe, { cmd: 'prune', before: '2020-01-01T00:00:00Z' })).toBe('UNAUTHORIZED')
    expect(await err(boss, { cmd: 'prune', before: '2020-01-01T00:00:00Z' })).toBe('done')
  })

  test('the first operator’s token is made by whoever opens the database, all others by operators', async () => {
    const repo = `guarded-${++repos}`
    const pipe = open(repo)
    await pipe.ok({ cmd: 'register', count: 1 })
    await sql`update swarm.repos set auth = 'tokens' where repo_id = ${repo}`
    await expect.poll(() => err(pipe, { cmd: 'status' }), { timeout: 10_000 }).toBe('UNAUTHORIZED')
    expect(await err(pipe, { cmd: 'token', action: 'create', role: 'agent', agent_id: 1 })).toBe(
      'UNAUTHORIZED',
    )
    const { token } = await pipe.ok<{ token: string }>({ cmd: 'token', action: 'create', role: 'operator' })
    expect(await err(pipe, { cmd: 'token', action: 'create', role: 'operator' })).toBe('UNAUTHORIZED')
    expect(await err(pipe, { cmd: 'token', action: 'list' })).toBe('UNAUTHORIZED')
    await pipe.ok({ cmd: 'hello', token })
    const { tokens } = await pipe.ok<{ tokens: { token_id: number }[] }>({ cmd: 'token', action: 'list' })
    expect(await err(pipe, { cmd: 'token', action: 'revoke', token_id: tokens[0]?.token_id ?? 0 })).toBe(
      'CONFLICT',
    )
  })

  test('init answers the first operator’s token and those of its agents, once', async () => {
    const root = join(scratch, `root-${++repos}`)
    mkdirSync(join(root, '.swarm'), { recursive: true })
    writeFileSync(join(root, '.swarm', 'config.toml'), `repo = "init-${repos}"\nauth = "tokens"\n`)
    const env = { DATABASE_URL: url }
    const first = await runSwarm(['init', '--count', '2'], { env, cwd: root })
    const d = JSON.parse(first.stdout).d
    expect(d).toMatchObject({
      token: expect.stringMatching(/^swarm_/),
      agent_tokens: [{ agent_id: 1 }, { agent_id: 2 }],
    })
    expect((await runSwarm(['init'], { env, cwd: root })).code).toBe(12)
    const again = await runSwarm(['init', '--count', '2'], {
      env: { ...env, SWARM_TOKEN: d.token },
      cwd: root,
    })
    expect(again.envelopes[0]).toMatchObject({ ok: true, d: { changed: false } })
    expect(again.stdout).not.toContain('swarm_')
    expect((await runSwarm(['status'], { env, cwd: root })).code).toBe(12)
  })
})

describe('in the cooperative mode', () => {
  test('two agents may use the same operation key, and two processes of one agent share theirs', async () => {
    const repo = `open-${++repos}`
    const pipe = open(repo)
    await pipe.ok({ cmd: 'register', count: 2 })
    await pipe.ok({
      cmd: 'enqueue',
      beads: [
        { bead_id: 'a', title: 'A' },
        { bead_id: 'b', title: 'B' },
      ],
    })
    expect(await pipe.ok({ cmd: 'claim-next', agent_id: 1, idem: 'mine' })).toMatchObject({
      bead: { bead_id: 'a' },
    })
    expect(await pipe.ok({ cmd: 'claim-next', agent_id: 2, idem: 'mine' })).toMatchObject({
      bead: { bead_id: 'b' },
    })
    const resent = await open(repo).send({ cmd: 'claim-next', agent_id: 1, idem: 'mine' })
    expect(resent).toMatchObject({ ok: true, replayed: true, d: { bead: { bead_id: 'a' } } })

    // a request that names no agent is that of the process
    const event = { cmd: 'enqueue', beads: [{ title: 'made by whom?' }], idem: 'new' }
    const ids = []
    for (const id of ['1', '2', '1']) {
      const made = await open(repo, undefined, { SWARM_AGENT_ID: id }).ok<{ bead_ids: string[] }>(event)
      ids.push(made.bead_ids[0])
    }
    expect(new Set(ids).size).toBe(2)
    expect(ids[2]).toBe(ids[0])
  })

  test('register with count leaves the roles of agents that are there alone', async () => {
    const pipe = open(`open-${++repos}`)
    await pipe.ok({ cmd: 'register', name: 'ada', role: 'reviewer' })
    await pipe.ok({ cmd: 'register', count: 2, role: 'implementer' })
    const { agents } = await pipe.ok<{ agents: { role: string }[] }>({ cmd: 'agents' })
    expect(agents.map(({ role }) => role)).toEqual(['reviewer', 'implementer'])
  })

  test.each(['human', 'Operator', ' swarm', 'system', '12', 'swarm\u200b', '\uff53warm', '\uff11\uff12'])(
    'no agent is called %s',
    async (name) => {
      const pipe = open(`open-${++repos}`)
      expect(await pipe.send({ cmd: 'register', name })).toMatchObject({
        ok: false,
        err: { code: 'INVALID', ctx: { field: 'name' } },
      })
    },
  )
})
