import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loaders } from '../../src/commands/registry.ts'
import { configSchema } from '../../src/contract/config.ts'
import { gateHash } from '../../src/contract/gates.ts'
import { knownSchema } from '../../src/db/schema.ts'
import { parseConfig } from '../../src/root/config.ts'
import { configText } from '../../src/root/files.ts'
import { testDatabase } from '../support/database.ts'
import { plainClient, withDatabase } from '../support/template.ts'
import { matches, openSession } from './look-support.ts'
import { git, listOf, openAt, scratch, scratchNamed } from './setup-support.ts'

const { url, sql } = await testDatabase()
const env = { DATABASE_URL: url }
const read = (root: string, name: string) => readFileSync(join(root, name), 'utf8')

describe.each([
  'assign',
  'start-stage',
  'update',
  'cancel',
  'reopen',
  'batch',
  'init-db',
  'export',
  'doctor',
])('%s', (verb) => {
  it('answers its examples', async () => {
    const command = await loaders[verb]?.()
    expect(command?.examples.length).toBeGreaterThan(0)
    for (const [at, example] of (command?.examples ?? []).entries()) {
      const session = openSession(url, `example-${verb}-${at}`)
      for (const given of example.given ?? []) await session.ask(given)
      const d = await session.ask(example.in)
      expect(matches(d, example.out), `${JSON.stringify(d)} is not ${JSON.stringify(example.out)}`).toBe(true)
    }
  })
})

describe('bootstrap', () => {
  it('makes a root that git ignores, once', async () => {
    const root = scratchNamed('my project')
    const place = openAt(root, {})
    expect(await place.ask({ cmd: 'bootstrap' })).toEqual({
      root,
      repo: 'my-project',
      written: ['.swarm/.gitignore', '.swarm/config.toml'],
      kept: [],
      changed: true,
    })
    expect(read(root, '.swarm/.gitignore')).toBe('*\n')
    expect(parseConfig(read(root, '.swarm/config.toml'), 'config.toml')).toEqual({ repo: 'my-project' })
    expect(await place.ask({ cmd: 'bootstrap' })).toMatchObject({ written: [], changed: false })
  })

  it('explains every key, with values that work', () => {
    const text = configText('x')
    for (const key of Object.keys(configSchema.shape)) {
      expect(text, `config.toml says nothing about ${key}`).toMatch(
        new RegExp(`^(# )?\\[{0,2}${key}\\b`, 'm'),
      )
    }
    const settings = text.replace(/^# (?=\w+ = |\[|stages|\]| {2}\{)/gm, '')
    const config = parseConfig(settings, 'config.toml')
    expect(Object.keys(config).sort()).toEqual(Object.keys(configSchema.shape).sort())
  })

  it('leaves a configuration alone, but for the id when it is asked for', async () => {
    const root = scratch()
    mkdirSync(join(root, '.swarm'))
    const source =
      '# mine\nrepo = "old" # why\nmax_hold_ms = 5000\n[workflows.w]\nstages = [{ name = "a" }]\n'
    writeFileSync(join(root, '.swarm/config.toml'), source)
    const place = openAt(root, {})
    expect(await place.ask({ cmd: 'bootstrap' })).toMatchObject({ repo: 'old', kept: ['.swarm/config.toml'] })
    expect(read(root, '.swarm/config.toml')).toBe(source)
    expect(await place.ask({ cmd: 'bootstrap', repo: 'new' })).toMatchObject({ repo: 'new', changed: true })
    expect(read(root, '.swarm/config.toml')).toBe(source.replace('repo = "old" # why', 'repo = "new"'))
    writeFileSync(join(root, '.swarm/config.toml'), '[workflows.w]\nstages = [{ name = "a" }]\n')
    await place.ask({ cmd: 'bootstrap', repo: 'new' })
    expect(parseConfig(read(root, '.swarm/config.toml'), 'c').repo).toBe('new')
  })

  it('finds the root above, and the main working copy of a worktree', async () => {
    const root = scratch()
    mkdirSync(join(root, 'a/b'), { recursive: true })
    await openAt(root, {}).ask({ cmd: 'bootstrap' })
    expect(await openAt(join(root, 'a/b'), {}).ask({ cmd: 'bootstrap' })).toMatchObject({
      root,
      changed: false,
    })

    const main = scratchNamed('main')
    const linked = join(scratch(), 'linked')
    git(main, 'init')
    git(main, 'commit', '--allow-empty', '-m', 'first')
    git(main, 'worktree', 'add', linked)
    expect(await openAt(linked, {}).ask({ cmd: 'bootstrap' })).toMatchObject({ root: main })
    expect(existsSync(join(linked, '.swarm'))).toBe(false)
    // a repository inside a root is a root of its own
    mkdirSync(join(root, 'own'))
    git(join(root, 'own'), 'init')
    expect(await openAt(join(root, 'own'), {}).ask({ cmd: 'bootstrap' })).toMatchObject({
      root: join(root, 'own'),
    })
  })

  it('says what is wrong with a configuration', async () => {
    const root = scratch()
    mkdirSync(join(root, '.swarm'))
    writeFileSync(join(root, '.swarm/config.toml'), 'rep = "x"\n')
    const { code, ctx } = await openAt(root, {}).refused({ cmd: 'bootstrap' })
    expect([code, ctx.kind, ctx.field]).toEqual(['INVALID', 'UnknownField', 'rep'])
  })

  it('says what a dry run would write', async () => {
    const root = scratch()
    const d = await openAt(root, {}).ask({ cmd: 'bootstrap', dry: true })
    expect(d.would_do).toHaveLength(2)
    expect(existsSync(join(root, '.swarm'))).toBe(false)
  })
})

describe('init', () => {
  it('sets up everything, and the second time nothing', async () => {
    const root = scratchNamed('whole')
    writeFileSync(join(root, 'AGENTS.md'), '# Ours')
    const place = openAt(root, env)
    const request = { cmd: 'init', agents_md: true }
    expect(await place.ask(request)).toMatchObject({
      root,
      repo: 'whole',
      written: ['.swarm/.gitignore', '.swarm/config.toml'],
      schema: 'kept',
      agent_ids: [1, 2, 3, 4],
      agents_md: 'added',
      changed: true,
    })
    const text = read(root, 'AGENTS.md')
    expect(text).toMatch(/^# Ours\n\n<!-- swarm:begin -->\n[\s\S]*claim-next[\s\S]*<!-- swarm:end -->\n$/)
    const again = await place.ask(request)
    expect(again).toMatchObject({
      written: [],
      agents_md: 'unchanged',
      agent_ids: [1, 2, 3, 4],
      changed: false,
    })
    expect(read(root, 'AGENTS.md')).toBe(text)
    expect(await place.ask({ cmd: 'init', count: 6 })).toMatchObject({
      agent_ids: [1, 2, 3, 4, 5, 6],
      changed: true,
    })
    // the same process goes on in the new root
    expect(await place.ask({ cmd: 'status' })).toMatchObject({ repo: 'whole' })
  })

  it('does not mix two directories of one name, unless asked to', async () => {
    const [mine, other, third] = [scratchNamed('app'), scratchNamed('app'), scratchNamed('app')]
    await openAt(mine, env).ask({ cmd: 'init' })
    const place = openAt(other, env)
    const refusal = await place.refused({ cmd: 'init' })
    expect(refusal).toMatchObject({ code: 'EXISTS', ctx: { field: 'repo', path: mine, here: other } })
    expect(await place.ask(refusal.fix ?? {})).toMatchObject({
      repo: expect.stringMatching(/^app-[0-9a-f]{8}$/),
    })
    expect(parseConfig(read(other, '.swarm/config.toml'), 'c').repo).toMatch(/^app-/)
    expect(await openAt(third, env).ask({ cmd: 'init', join: true })).toMatchObject({ repo: 'app' })
    const [row] = await sql`select path from swarm.repos where repo_id = 'app'`
    expect(row?.path).toBe(mine)
  })

  it('says what a dry run would do', async () => {
    const root = scratch()
    const d = await openAt(root, env).ask({ cmd: 'init', dry: true, agents_md: true })
    expect(d.would_do).toHaveLength(5)
    expect(existsSync(join(root, '.swarm'))).toBe(false)
  })
})

describe('init-db', () => {
  const configure = (root: string, ...stages: readonly string[]) => {
    const text = `repo = "flows"\n[workflows.w]\nstages = [${stages.join(', ')}]\n`
    writeFileSync(join(root, '.swarm/config.toml'), text)
  }

  it('keeps the workflows of the configuration as rows', async () => {
    const root = scratch()
    await openAt(root, env).ask({ cmd: 'bootstrap' })
    const init = async () => (await openAt(root, env).ask({ cmd: 'init-db' })).workflows
    configure(root, '{ name = "a", roles = ["x"] }', '{ name = "b", gate = ["true"], on_fail = "a" }')
    expect(await init()).toEqual({ added: ['w'], updated: [], unchanged: [] })
    expect(await init()).toEqual({ added: [], updated: [], unchanged: ['w'] })
    const stages = () =>
      sql`select stage, role, gate, gate_hash, timeout_ms, on_fail, max_attempts from swarm.workflow_stages
          where repo_id = 'flows' and name = 'w' order by position`
    expect([...(await stages())]).toEqual([
      {
        stage: 'a',
        role: ['x'],
        gate: null,
        gate_hash: null,
        timeout_ms: 3_000,
        on_fail: null,
        max_attempts: null,
      },
      {
        stage: 'b',
        role: null,
        gate: 'true',
        gate_hash: gateHash(['true']),
        timeout_ms: 3_000,
        on_fail: 'a',
        max_attempts: null,
      },
    ])
    configure(root, '{ name = "b", timeout_ms = 7, max_attempts = 9 }', '{ name = "a" }', '{ name = "c" }')
    expect(await init()).toEqual({ added: [], updated: ['w'], unchanged: [] })
    expect((await stages()).map((row) => [row.stage, row.timeout_ms])).toEqual([
      ['b', 7],
      ['a', 3_000],
      ['c', 3_000],
    ])
    // the built-in one is untouched
    const rest =
      await sql`select count(*)::int as n from swarm.workflow_stages where repo_id = 'flows' and name = 'default'`
    expect(rest[0]?.n).toBe(4)
  })

  it('does not drop a stage that an open bead is at', async () => {
    const root = scratch()
    await openAt(root, env).ask({ cmd: 'bootstrap' })
    // it belongs to this directory from here on
    await sql`update swarm.repos set path = ${root} where repo_id = 'flows'`
    configure(root, '{ name = "a" }', '{ name = "b" }')
    const place = openAt(root, env)
    await place.ask({ cmd: 'init-db', join: true })
    await place.ask({ cmd: 'enqueue', beads: [{ bead_id: 'stuck', title: 'x', workflow: 'w' }] })
    configure(root, '{ name = "b" }')
    const refusal = await openAt(root, env).refused({ cmd: 'init-db', join: true })
    expect(refusal).toMatchObject({ code: 'CONFLICT', ctx: { stage: 'a', bead_id: 'stuck', beads: 1 } })
    await place.ask({ cmd: 'cancel', bead_id: 'stuck' })
    expect(await openAt(root, env).ask({ cmd: 'init-db', join: true })).toMatchObject({
      workflows: { updated: ['w'] },
    })
  })

  it.each([
    ['stages = []', 'workflows.w.stages'],
    ['stages = [{ name = "done" }]', 'workflows.w.stages.0.name'],
    ['stages = [{ name = "a" }, { name = "a" }]', 'workflows.w.stages.1.name'],
    ['stages = [{ name = "a", on_pass = "b" }]', 'workflows.w.stages.0.on_pass'],
    ['stages = [{ name = "a", on_fail = "done" }]', 'workflows.w.stages.0.on_fail'],
  ])('refuses the workflow %s', async (stages, field) => {
    const root = scratch()
    mkdirSync(join(root, '.swarm'))
    writeFileSync(join(root, '.swarm/config.toml'), `[workflows.w]\n${stages}\n`)
    // without a database of its own the root's configuration counts
    expect(await openAt(root, {}).refused({ cmd: 'init-db' })).toMatchObject({
      code: 'INVALID',
      ctx: { field },
    })
  })

  it('makes the tables, also when several do it at once, and refuses those of a newer swarm', async () => {
    const name = 't_setup_empty'
    await sql.unsafe(`drop database if exists ${name} with (force)`)
    await sql.unsafe(`create database ${name} template template0 encoding 'UTF8'`)
    try {
      const empty = { DATABASE_URL: withDatabase(url, name), SWARM_REPO: 'r' }
      const before = await openAt(scratch(), empty).refused({ cmd: 'status' })
      expect(before).toMatchObject({ code: 'DEPENDENCY', fix: { cmd: 'init-db' } })
      const places = Array.from({ length: 4 }, () => openAt(scratch(), empty))
      const all = await Promise.all(places.map((place) => place.ask({ cmd: 'init-db' })))
      expect(all.filter((d) => d.schema === 'created').length).toBeGreaterThan(0)
      const place = openAt(scratch(), empty)
      expect(await place.ask({ cmd: 'init-db' })).toEqual({
        repo: 'r',
        schema: 'kept',
        schema_version: knownSchema().version,
        workflows: { added: [], updated: [], unchanged: [] },
        changed: false,
      })
      await place.ask({ cmd: 'status' })
      const client = plainClient(empty.DATABASE_URL)
      const [row] = await client`select schema_version from swarm.swarm_config`
      expect(row?.schema_version).toBe(knownSchema().version)
      await client`update swarm.swarm_config set schema_version = 999`
      await client.end()
      expect(await place.refused({ cmd: 'init-db' })).toMatchObject({
        code: 'DEPENDENCY',
        ctx: { version: 999 },
      })
    } finally {
      await sql.unsafe(`drop database if exists ${name} with (force)`)
    }
  })
})

describe('doctor', () => {
  const rows = async (request: Record<string, string | boolean> = {}, root = '/', extra = {}) => {
    const d = await openAt(root, { ...env, ...extra }).ask({ cmd: 'doctor', ...request })
    return { d, checks: new Map(listOf(d, 'checks').map((check) => [check.name, check])) }
  }

  it('finds nothing wrong where nothing is', async () => {
    const root = scratchNamed('fine')
    await openAt(root, env).ask({ cmd: 'init' })
    const { d, checks } = await rows({}, root)
    expect(d.healthy, JSON.stringify(d)).toBe(true)
    expect([...checks.keys()]).toEqual([
      ...[
        'node',
        'root',
        'owner',
        'config',
        'git',
        'resident',
        'database',
        'server',
        'encoding',
        'clock',
        'schema',
        'repo',
      ],
      ...['blockers', 'leases', 'agents'],
    ])
  })

  it('finds counts, leases and agents that are wrong', async () => {
    const session = openSession(url, 'ill')
    await session.ask({ cmd: 'register', count: 2 })
    await session.ask({
      cmd: 'enqueue',
      beads: ['a', 'b', 'c'].map((bead_id) => ({ bead_id, title: bead_id })),
    })
    await session.ask({ cmd: 'claim-next', agent_id: 1 })
    const healthy = await rows({ repo: 'ill' })
    const names = ['blockers', 'leases', 'agents']
    expect(names.map((name) => healthy.checks.get(name)?.ok)).toEqual([true, true, true])
    await sql`update swarm.bead_backlog set open_blockers = 3 where repo_id = 'ill' and bead_id = 'b'`
    await sql`update swarm.bead_claims set lease_expires_at = now() - interval '1 s' where repo_id = 'ill'`
    await sql`update swarm.agent_state set bead_id = 'c' where repo_id = 'ill' and agent_id = 2`
    const { d, checks } = await rows({ repo: 'ill' })
    expect(d.healthy).toBe(false)
    expect(names.map((name) => checks.get(name)?.ok)).toEqual([false, false, false])
    expect(checks.get('blockers')).toMatchObject({
      detail: expect.stringContaining('b'),
      fix: '{"cmd":"doctor","repo":"ill","recount":true}',
    })
    expect(checks.get('leases')?.detail).toContain('a')
    expect(checks.get('agents')?.detail).toContain('agent 2')

    const mended = await rows({ repo: 'ill', recount: true })
    expect(mended.d.recounted).toEqual(['b'])
    expect(mended.checks.get('blockers')?.ok).toBe(true)
  })

  it('tells of an unknown repo, a root that is missing, and a database that is away', async () => {
    expect((await rows({ repo: 'nobody' })).checks.get('repo')).toMatchObject({
      ok: false,
      fix: '{"cmd":"init-db"}',
    })
    const away = { DATABASE_URL: 'postgres://me:geheim@127.0.0.1:1/x' }
    const { d, checks } = await rows({}, '/', away)
    expect(d.healthy).toBe(false)
    expect(checks.get('root')).toMatchObject({ ok: false, fix: '{"cmd":"init"}' })
    expect(checks.get('database')).toMatchObject({ ok: false })
    expect(JSON.stringify(d)).not.toContain('geheim')
    const broken = scratch()
    mkdirSync(join(broken, '.swarm'))
    writeFileSync(join(broken, '.swarm/config.toml'), 'nonsense')
    git(broken, 'init')
    const ill = await rows({}, broken)
    expect(ill.checks.get('config')).toMatchObject({ ok: false })
    expect(ill.checks.get('git')).toMatchObject({ ok: false, fix: '{"cmd":"bootstrap"}' })
  })

  it('renames the log when told to: an old cursor is refused then', async () => {
    const session = openSession(url, 'logs')
    await session.ask({ cmd: 'register', count: 1 })
    const { cursor } = await session.ask({ cmd: 'events' })
    await session.ask({ cmd: 'events', after: cursor })
    const { d } = await rows({ new_log: true })
    expect(d.log_id).toMatch(/^[0-9a-f]{8}$/)
    const { err } = await session.refused({ cmd: 'events', after: cursor })
    expect(err).toMatchObject({ code: 'CONFLICT', ctx: { log_id: d.log_id } })
  })
})

describe('the steering verbs', () => {
  it('name the verb that sets a status which update does not', async () => {
    const session = openSession(url, 'steer')
    await session.ask({ cmd: 'enqueue', beads: [{ bead_id: 'a', title: 'a' }] })
    const message = async (status: string) =>
      (await session.refused({ cmd: 'update', bead_id: 'a', status })).err.msg
    expect(await message('completed')).toContain('complete-stage')
    expect(await message('in_progress')).toContain('claim-next')
    expect(await message('lost')).toContain('pending, blocked, deferred, failed, cancelled')
    await session.ask({ cmd: 'update', bead_id: 'a', status: 'failed' })
    expect(await session.ask({ cmd: 'reopen', bead_id: 'a' })).toMatchObject({
      was: 'failed',
      stage: 'contract',
    })
  })

  it('give a bead to an agent, whose process picks it up under a higher fence', async () => {
    const session = openSession(url, 'assigned')
    await session.ask({ cmd: 'register', count: 1 })
    await session.ask({
      cmd: 'enqueue',
      beads: [
        { bead_id: 'a', title: 'a' },
        { bead_id: 'b', title: 'b', depends_on: ['a'] },
      ],
    })
    expect((await session.refused({ cmd: 'assign', agent_id: 1, bead_id: 'b' })).err.code).toBe('CONFLICT')
    const { fence } = await session.ask({ cmd: 'assign', agent_id: 1, bead_id: 'a' })
    const claim = await session.ask({ cmd: 'claim-next', agent_id: 1 })
    expect(claim).toMatchObject({ bead: { bead_id: 'a' }, held: true, fence: Number(fence) + 1 })
    expect((await session.refused({ cmd: 'start-stage', agent_id: 1, stage: 'qa' })).err.code).toBe(
      'CONFLICT',
    )
    await session.ask({ cmd: 'cancel', bead_id: 'a' })
    // nothing waits for a cancelled bead, and its holder has lost it
    expect(await session.ask({ cmd: 'claim-next', agent_id: 1 })).toMatchObject({ bead: { bead_id: 'b' } })
  })
})
