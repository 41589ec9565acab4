import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'smol-toml'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { runSwarm } from '../../support/swarm.ts'

const scratch = mkdtempSync(join(tmpdir(), 'swarm-install-'))
let home = ''
let project = ''
let places = 0

beforeEach(() => {
  home = join(scratch, `home-${++places}`)
  project = join(scratch, `project-${places}`)
  mkdirSync(home)
  mkdirSync(project)
})
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

async function install(...words: string[]) {
  const { code, envelopes } = await runSwarm(['mcp', '--install', ...words], {
    env: { HOME: home },
    cwd: project,
  })
  const [envelope] = envelopes
  return { code, envelope }
}

/** Where each client reads, and what it reads there about swarm. */
const PLACES = [
  { client: 'claude', path: () => join(project, '.mcp.json'), at: ['mcpServers', 'swarm'] },
  { client: 'codex', path: () => join(home, '.codex', 'config.toml'), at: ['mcp_servers', 'swarm'] },
  { client: 'opencode', path: () => join(project, 'opencode.json'), at: ['mcp', 'swarm'] },
  { client: 'gemini', path: () => join(project, '.gemini', 'settings.json'), at: ['mcpServers', 'swarm'] },
]

function entry(client: string, text: string, at: readonly string[]): unknown {
  const whole: unknown = client === 'codex' ? parse(text) : JSON.parse(text)
  return at.reduce((value: unknown, key) => (value as Record<string, unknown>)[key], whole)
}

test('hands on by name what Codex and Gemini CLI keep from servers, and no value of it', async () => {
  const of = async (client: string, at: readonly string[]) => {
    const { envelopes } = await runSwarm(['mcp', '--install', client], {
      env: { HOME: home, DATABASE_URL: 'postgres://me:hush@db/x', SWARM_TOKEN: 'hush' },
      cwd: project,
    })
    const content = String(JSON.parse(JSON.stringify(envelopes[0])).d.content)
    expect(content).not.toContain('hush')
    return entry(client, content, at)
  }
  expect(await of('gemini', ['mcpServers', 'swarm'])).toMatchObject({
    // biome-ignore lint/suspicious/noTemplateCurlyInString: as Gemini CLI writes it
    env: { DATABASE_URL: '${DATABASE_URL:-}', SWARM_TOKEN: '${SWARM_TOKEN:-}' },
  })
  expect(await of('codex', ['mcp_servers', 'swarm'])).toMatchObject({
    env_vars: expect.arrayContaining(['DATABASE_URL', 'SWARM_TOKEN']),
  })
})

describe.each(PLACES)('the configuration of $client', ({ client, path, at }) => {
  test('is printed, and written where it is asked for, once', async () => {
    const printed = await install(client, '--agent', '3')
    expect(printed).toMatchObject({
      code: 0,
      envelope: { ok: true, d: { client, path: path(), written: false } },
    })
    expect(existsSync(path())).toBe(false)

    expect((await install(client, '--agent', '3', '--write')).envelope).toMatchObject({
      d: { written: true },
    })
    const text = readFileSync(path(), 'utf8')
    expect(JSON.stringify(entry(client, text, at))).toMatch(/swarm","(?:args":\[")?mcp","--agent","3"/)
    const before = statSync(path()).mtimeMs
    expect((await install(client, '--agent', '3', '--write')).envelope).toMatchObject({
      d: { written: false },
    })
    expect(statSync(path()).mtimeMs).toBe(before)
  })

  test('leaves other entries, what is no configuration, and links alone', async () => {
    mkdirSync(join(path(), '..'), { recursive: true })
    const other =
      client === 'codex'
        ? '# mine\nmodel = "x"\n[mcp_servers.other]\ncommand = "other"\n'
        : JSON.stringify({ mine: [1], [at[0] ?? '']: { other: { command: 'other' } } })
    writeFileSync(path(), other, { mode: 0o600 })
    expect((await install(client, '--write')).code).toBe(0)
    const text = readFileSync(path(), 'utf8')
    expect(entry(client, text, [at[0] ?? '', 'other'])).toEqual({ command: 'other' })
    expect(text).toContain('mine')
    expect(entry(client, text, at)).toBeDefined()
    expect(statSync(path()).mode & 0o777).toBe(0o600)

    const foreign =
      client === 'codex'
        ? '[mcp_servers.swarm]\ncommand = "other"\n'
        : JSON.stringify({ [at[0] ?? '']: { swarm: { command: 'other' } } })
    writeFileSync(path(), foreign)
    expect((await install(client, '--write')).envelope).toMatchObject({ ok: false, err: { code: 'EXISTS' } })
    expect(readFileSync(path(), 'utf8')).toBe(foreign)

    if (client !== 'codex') {
      writeFileSync(path(), '{ // a comment\n}')
      expect((await install(client, '--write')).envelope).toMatchObject({
        ok: false,
        err: { code: 'INVALID' },
      })
      expect(readFileSync(path(), 'utf8')).toBe('{ // a comment\n}')
    }

    rmSync(path())
    const target = join(scratch, `target-${places}`)
    writeFileSync(target, '')
    symlinkSync(target, path())
    expect((await install(client, '--write')).envelope).toMatchObject({ ok: false, err: { code: 'INVALID' } })
    expect(readFileSync(target, 'utf8')).toBe('')
  })
})

test.each([
  [['--install', 'emacs'], 1],
  [['--agent', 'x'], 1],
  [['--write'], 1],
  [['--nonsense'], 1],
  [['word'], 1],
  [['--token-file', '/no/such/file'], 2],
])('%j is refused with an envelope and its exit code', async (words, code) => {
  const finished = await runSwarm(['mcp', ...words], { env: { HOME: home }, cwd: project })
  expect(finished.code).toBe(code)
  expect(finished.envelopes).toMatchObject([
    { ok: false, err: { code: code === 1 ? 'CLI_ERROR' : 'INVALID' } },
  ])
})

test('the help says how it is called', async () => {
  const { code, envelopes } = await runSwarm(['mcp', '--help'], { cwd: project })
  expect(code).toBe(0)
  expect(JSON.stringify(envelopes)).toMatch(/--token-file FILE/)
})
