import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { agentPrompt, MAX_PROMPT_BYTES } from '../../src/agents/prompt.ts'
import { renderLine } from '../../src/contract/envelope.ts'
import { isJsonObject, type JsonObject } from '../../src/contract/json.ts'
import { runCommand } from '../../src/process/index.ts'
import { renderShell } from '../../src/surface/cli/render.ts'
import { testDatabase } from '../support/database.ts'
import { BIN, cleanEnv, openPipe } from '../support/swarm.ts'
import { openSession, rowsOf, type Session } from './look-support.ts'

const { url } = await testDatabase()
const scratch = mkdtempSync(join(tmpdir(), 'swarm-prompt-'))
afterAll(() => rmSync(scratch, { recursive: true }))

/** The requests of a prompt for a pipe, as they stand in it. */
function linesOf(prompt: string): JsonObject[] {
  return (prompt.match(/\{"cmd":.*\}$/gm) ?? []).map((line) => JSON.parse(line))
}

/** The commands of a prompt for a shell, as they stand in it. */
function commandsOf(prompt: string): string[] {
  return prompt.match(/\bswarm [a-z]+(-[a-z]+)* --.*$|\bswarm register$/gm) ?? []
}

const CMDS = [
  'inbox',
  'claim-next',
  'claim-next',
  'heartbeat',
  'complete-stage',
  'complete-stage',
  'release',
  'enqueue',
  'send',
  'broadcast',
]

async function backlog(session: Session, count: number) {
  const beads = Array.from({ length: count }, (_, at) => ({ bead_id: `b${at}`, title: `bead ${at}` }))
  await session.ask({ cmd: 'enqueue', beads })
}

describe('the prompt', () => {
  it('is at most 1,500 bytes for any agent, role, repo and way in', () => {
    const roles = [undefined, 'implementer', 'ü'.repeat(64), '角'.repeat(64), '"'.repeat(64), "it's\n`x`"]
    for (const render of [renderLine, renderShell]) {
      for (const agentId of [undefined, 1, 3, 12_345, 2_147_483_647]) {
        for (const role of roles) {
          for (const repo of [undefined, 'web', 'r'.repeat(128)]) {
            const bytes = Buffer.byteLength(agentPrompt({ agentId, role, repo, render }))
            expect(bytes, `agent ${agentId} ${role} ${repo}`).toBeLessThanOrEqual(MAX_PROMPT_BYTES)
          }
        }
      }
    }
  })

  it('holds the whole loop for every agent with a usual role', () => {
    for (const role of [undefined, 'planner', 'test_writer', 'implementer', 'reviewer']) {
      const options = { agentId: 2_147_483_647, role, repo: 'web' }
      const lines = linesOf(agentPrompt({ ...options, render: renderLine }))
      expect(lines.map((line) => line.cmd)).toEqual(CMDS)
      const own = lines.filter(({ cmd }) => cmd !== 'enqueue')
      expect(own.every(({ agent_id }) => agent_id === 2_147_483_647)).toBe(true)
      const commands = commandsOf(agentPrompt({ ...options, render: renderShell }))
      expect(commands.map((command) => command.split(' ')[1])).toEqual(CMDS)
    }
  })

  it('names role and repo, and knows the agent from the environment', async () => {
    const session = openSession(url, 'named', { SWARM_AGENT_ID: '4' })
    const { prompt } = await session.ask({ cmd: 'prompt', role: 'reviewer' })
    expect(prompt).toMatch(/^You are agent 4 \(reviewer\) .*Set SWARM_REPO=named\./)
  })

  it('works line by line in a pipe, in order', async () => {
    const env = { DATABASE_URL: url, SWARM_REPO: 'piped' }
    const operator = openSession(url, 'piped')
    await operator.ask({ cmd: 'register', count: 3 })
    await backlog(operator, 2)
    const { prompt } = await operator.ask({ cmd: 'prompt', agent_id: 3 })
    const pipe = openPipe(env, scratch)
    for (const line of linesOf(String(prompt))) {
      expect(await pipe.send(line), JSON.stringify(line)).toMatchObject({ ok: true })
    }
    expect(await pipe.close()).toBe(0)
    expect(await operator.ask({ cmd: 'show', bead_id: 'b0' })).toMatchObject({
      bead: { status: 'blocked', stage: 'implement', feedback: 'why' },
      attempts: [{ status: 'passed' }, { status: 'failed', feedback: 'why' }, { status: 'error' }],
    })
  })

  it('works in a shell, from registering on, when every fix is sent as it says', async () => {
    symlinkSync(BIN, join(scratch, 'swarm'))
    const env = cleanEnv({
      DATABASE_URL: url,
      SWARM_REPO: 'shelled',
      PATH: `${scratch}${delimiter}${process.env.PATH}`,
    })
    await backlog(openSession(url, 'shelled'), 1)
    const shell = async (command: string) => {
      const { stdout } = await runCommand({
        argv: ['sh', '-c', command],
        cwd: scratch,
        timeoutMs: 30_000,
        env,
      })
      const envelope: unknown = JSON.parse(stdout.text)
      return isJsonObject(envelope) ? envelope : {}
    }
    const { d } = await shell('swarm prompt')
    const prompt = isJsonObject(d) ? String(d.prompt) : ''
    expect(prompt).toMatch(/^You are an agent of a swarm/)
    const commands = commandsOf(prompt)
    expect(commands.map((command) => command.split(' ')[1])).toEqual(['register', ...CMDS])
    for (const command of commands) {
      const first = await shell(command)
      if (first.ok) continue
      // the only one that may need another: it tells an agent that is not there yet
      expect(first, command).toMatchObject({
        err: { code: 'NOTFOUND' },
        fix: expect.stringMatching(/^swarm register/),
      })
      expect(await shell(String(first.fix))).toMatchObject({ ok: true })
      expect(await shell(command), command).toMatchObject({ ok: true })
    }
  })

  it('is all that agents need to finish a backlog, with failures on the way', async () => {
    const env = { DATABASE_URL: url, SWARM_REPO: 'all' }
    const operator = openSession(url, 'all')
    const { prompts, register } = await operator.ask({
      cmd: 'spawn-prompts',
      count: 4,
      roles: ['planner', 'implementer', 'reviewer', 'test_writer'],
    })
    for (const line of Array.isArray(register) ? register : []) await operator.ask(JSON.parse(String(line)))
    await backlog(operator, 6)
    const agents = rowsOf({ prompts }, 'prompts').map((row) => workAs(String(row.prompt), env))
    const handled = await Promise.all(agents)
    expect(handled.reduce((sum, count) => sum + count, 0)).toBe(6 * 6)
    expect(await operator.ask({ cmd: 'status' })).toMatchObject({
      beads: { completed: 6 },
      claims: 0,
      agents: { idle: 4 },
    })
  })
})

/** An agent that knows only its prompt. It fails the first qa of every bead. Resolves with the number of stages it did. */
async function workAs(prompt: string, env: Readonly<Record<string, string>>): Promise<number> {
  const lines = linesOf(prompt)
  const line = (cmd: string, field?: string, value?: string) => {
    const found = lines.find(
      (each) =>
        each.cmd === cmd &&
        (field ? each[field] !== undefined : true) &&
        (value ? each.outcome === value : true),
    )
    if (!found) throw new Error(`the prompt has no ${cmd} ${field ?? ''}`)
    return found
  }
  const pipe = openPipe(env, scratch)
  const failed = new Set<string>()
  let done = 0
  for (;;) {
    await pipe.ok(line('inbox'))
    let claim: JsonObject = await pipe.ok(line('claim-next'))
    // a shorter wait than the prompt's: at the end of the backlog nobody is woken
    if (claim.bead === null && claim.reason !== 'empty')
      claim = await pipe.ok({ ...line('claim-next', 'wait_ms'), wait_ms: 1_000 })
    if (claim.reason === 'empty') break
    expect(claim.reason).not.toBe('blocked')
    if (!isJsonObject(claim.bead)) continue
    const id = String(claim.bead.bead_id)
    await pipe.ok(line('heartbeat'))
    for (let { stage } = claim, kept = true; kept; ) {
      const fails = stage === 'qa' && !failed.has(id)
      if (fails) failed.add(id)
      const next: JsonObject = await pipe.ok(line('complete-stage', 'outcome', fails ? 'failed' : 'passed'))
      done += 1
      kept = next.kept === true
      stage = next.stage
    }
  }
  expect(await pipe.close()).toBe(0)
  return done
}

describe('spawn-prompts', () => {
  it('gives each agent its own, and the requests that register them', async () => {
    const session = openSession(url, 'spawned')
    const d = await session.ask({
      cmd: 'spawn-prompts',
      count: 5,
      roles: ['implementer', 'implementer', 'reviewer'],
    })
    expect(d.register).toEqual([
      '{"cmd":"register","count":2,"role":"implementer"}',
      '{"cmd":"register","count":3,"role":"reviewer"}',
      '{"cmd":"register","count":5,"role":"implementer"}',
    ])
    expect(rowsOf(await session.ask({ cmd: 'agents' }), 'agents')).toEqual([])
    for (const line of Array.isArray(d.register) ? d.register : [])
      await session.ask(JSON.parse(String(line)))
    const agents = rowsOf(await session.ask({ cmd: 'agents' }), 'agents')
    const prompts = rowsOf(d, 'prompts')
    expect(agents.map(({ agent_id, role }) => ({ agent_id, role }))).toEqual(
      prompts.map(({ agent_id, role }) => ({ agent_id, role })),
    )
    for (const { agent_id, role, prompt } of prompts) {
      expect(await session.ask({ cmd: 'prompt', agent_id: agent_id ?? 0, role: role ?? '' })).toMatchObject({
        prompt,
      })
    }
  })

  it('writes files, or says that it cannot', async () => {
    const session = openSession(url, 'spawned')
    const out_dir = join(scratch, 'deep', 'er')
    expect(await session.ask({ cmd: 'spawn-prompts', count: 2, out_dir, dry: true })).toEqual({
      dry: true,
      would_do: [`write ${out_dir}/prompt-1.md`, `write ${out_dir}/prompt-2.md`],
    })
    expect(existsSync(out_dir)).toBe(false)
    const d = await session.ask({ cmd: 'spawn-prompts', count: 2, out_dir })
    const [, second] = rowsOf(d, 'prompts')
    expect(second).toEqual({ agent_id: 2, file: `${out_dir}/prompt-2.md` })
    expect(readFileSync(String(second?.file), 'utf8')).toMatch(/^You are agent 2 /)
    const refused = await session.refused({
      cmd: 'spawn-prompts',
      count: 1,
      out_dir: join(out_dir, 'prompt-1.md'),
    })
    expect(refused.err).toMatchObject({ code: 'INVALID', ctx: { field: 'out_dir' } })
  })

  it('writes over nothing without force, and never through a link', async () => {
    const session = openSession(url, 'spawned')
    const out_dir = join(scratch, 'theirs')
    const victim = join(scratch, 'victim')
    mkdirSync(out_dir)
    writeFileSync(victim, 'mine')
    symlinkSync(victim, join(out_dir, 'prompt-1.md'))
    const request = { cmd: 'spawn-prompts', count: 1, out_dir }
    const refused = await session.refused(request)
    expect(refused.err).toMatchObject({ code: 'EXISTS', ctx: { got: join(out_dir, 'prompt-1.md') } })
    expect(refused.fix ?? {}).not.toHaveProperty('force')
    await session.ask({ ...request, force: true })
    expect(readFileSync(victim, 'utf8')).toBe('mine')
    expect(readFileSync(join(out_dir, 'prompt-1.md'), 'utf8')).toMatch(/^You are agent 1 /)
  })
})
