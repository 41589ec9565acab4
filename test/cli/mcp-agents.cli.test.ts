import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { acpAdapter } from '../../src/agents/acp/adapter.ts'
import { claudeAdapter } from '../../src/agents/claude/adapter.ts'
import { codexAdapter } from '../../src/agents/codex/adapter.ts'
import { opencodeAdapter } from '../../src/agents/opencode/adapter.ts'
import { findMarked } from '../../src/process/index.ts'
import { testDatabase } from '../support/database.ts'
import type { Scenario } from '../support/stub-model/scenario.ts'
import { runSwarm } from '../support/swarm.ts'
import { claudeSettings, codexSettings, geminiSettings, opencodeSettings } from './settings.ts'
import { type Bench, describeProgram, type RealProgram } from './support.ts'

type Client = 'claude' | 'codex' | 'opencode' | 'gemini'

const database = await testDatabase()
/** The loop of an agent: claims, works, says how it went, looks for words. */
const LOOP: Scenario = {
  turns: [
    { say: 'I look for work.', call: { tool: 'claim-next', input: {} } },
    { shell: 'echo hello > out.txt' },
    { call: { tool: 'complete-stage', input: { outcome: 'passed' } } },
    { call: { tool: 'claim-next', input: {} } },
    { say: 'Nothing is left.' },
  ],
}

/** A project with a backlog, whose file for the client `swarm mcp --install` has written; answers how the program is started in it. */
async function project(bench: Bench, client: Client) {
  const { scratch } = bench
  const home = join(scratch.dir, 'home')
  mkdirSync(home)
  mkdirSync(join(scratch.repo, '.swarm'))
  const stage = '[[workflows.default.stages]]\nname = "implement"\n'
  writeFileSync(join(scratch.repo, '.swarm', 'config.toml'), `repo = "mcp-${client}"\n${stage}`)
  const env = { HOME: home, DATABASE_URL: database.url }
  const swarm = async (...args: readonly string[]) => {
    const { envelopes, stdout, stderr } = await runSwarm(args, { env, cwd: scratch.repo })
    if (envelopes.at(-1)?.ok !== true) throw new Error(`swarm ${args.join(' ')}: ${stdout} ${stderr}`)
    return envelopes.at(-1)
  }
  await swarm('init-db')
  await swarm('register', '--count', '2')
  await swarm('enqueue', '--beads', '[{"bead_id":"api","title":"Write the API"}]')
  await swarm('send', '--agent-id', '2', '--to', '1', '--body', 'unknown ids are 404')
  const written = await runSwarm(['mcp', '--install', client, '--agent', '1', '--write'], {
    env,
    cwd: scratch.repo,
  })
  expect(written).toMatchObject({ code: 0 })
  return { swarm, home, env: { ...bench.settings().env, DATABASE_URL: database.url } }
}

/** Runs the loop, of which `tool` is the first call, and holds what the database says against what the model was told. */
async function runsTheLoop(
  bench: Bench,
  client: Client,
  tool: object,
  args: readonly string[] = [],
): Promise<void> {
  const { start, stub, written } = bench
  const { swarm, home, env } = await project(bench, client)
  const before = stub.seen.length
  const one = await start(LOOP, { home }, { env, args: [...(bench.settings().args ?? []), ...args] })
  expect(await one.result()).toMatchObject({ ok: true, detail: 'Nothing is left.' })
  expect(one.events).toContainEqual(expect.objectContaining({ kind: 'tool_started', ...tool }))
  expect(written()).toBe('hello')
  const work = stub.seen.slice(before).filter(({ purpose }) => purpose === 'work')
  // the message rode along with the answer to the claim, and the next claim found nothing
  expect(JSON.stringify(work[1]?.body)).toContain('unknown ids are 404')
  expect(JSON.stringify(work[1]?.body)).toContain('Write the API')
  expect(JSON.stringify(work.at(-1)?.body)).toContain('empty')
  expect(await swarm('show', 'api')).toMatchObject({ d: { bead: { status: 'completed' } } })
  expect(await swarm('inbox', '--agent-id', '1')).toMatchObject({ d: { messages: [] } })
  await one.session.end()
  expect(findMarked(one.session.marker)).toEqual([])
}

const claude: RealProgram = { name: 'claude', adapter: claudeAdapter, settings: claudeSettings }
const codex: RealProgram = { name: 'codex', adapter: codexAdapter, settings: codexSettings }
const opencode: RealProgram = {
  name: 'opencode',
  adapter: opencodeAdapter,
  settings: opencodeSettings('opencode'),
}
const gemini: RealProgram = { name: 'gemini', adapter: acpAdapter, settings: geminiSettings }

describeProgram(claude, (bench) => {
  it('claims, completes and reads a message through swarm mcp', async () => {
    const file = join(bench().scratch.repo, '.mcp.json')
    // in a terminal it asks once whether the file of the project is to be used; without one it is told so
    await runsTheLoop(bench(), 'claude', { name: 'mcp__swarm__claim-next' }, [
      '--mcp-config',
      file,
      '--strict-mcp-config',
    ])
    expect(JSON.parse(readFileSync(file, 'utf8')).mcpServers).toHaveProperty('swarm')
  })
})

describeProgram(codex, (bench) => {
  it('claims, completes and reads a message through swarm mcp', async () => {
    await runsTheLoop(bench(), 'codex', { name: 'mcp__swarm__claim-next' })
  })
})

describeProgram(opencode, (bench) => {
  it('claims, completes and reads a message through swarm mcp', async () => {
    await runsTheLoop(bench(), 'opencode', { name: 'swarm_claim-next' })
  })
})

describeProgram(gemini, (bench) => {
  it('claims, completes and reads a message through swarm mcp', async () => {
    await runsTheLoop(bench(), 'gemini', { input: 'claim-next (swarm MCP Server)' })
  })
})
