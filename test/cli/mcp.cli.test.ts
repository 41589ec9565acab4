import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Serving, startServe } from '../support/serve.ts'
import { BIN, runSwarm } from '../support/swarm.ts'
import { EXPECTED_2025, EXPECTED_2026, type Expected } from './conformance-expected.ts'
import { programOf } from './support.ts'

const NAMES = ['inspector', 'conformance', 'conformance-2026'] as const
const isAsked = NAMES.some((name) => !programOf(name).missing)

describe.skipIf(!isAsked)('what checks servers of MCP', () => {
  let scratch: string
  let serving: Serving
  /** Of all that runs here: servers that a client starts find in it what they know of their root. */
  const home = () => ({ HOME: scratch, XDG_STATE_HOME: undefined })

  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'swarm-mcp-suites-'))
    const root = join(scratch, 'root')
    mkdirSync(root)
    const swarm = async (...args: string[]) => {
      const { code, stdout } = await runSwarm(args, { cwd: root, env: home() })
      if (code !== 0) throw new Error(`swarm ${args.join(' ')} ended with ${code}: ${stdout}`)
    }
    await swarm('init', '--count', '2')
    await swarm('enqueue', '--beads', JSON.stringify([{ bead_id: 'a', title: 'A' }]))
    serving = await startServe(home(), { cwd: root })
  })

  afterAll(async () => {
    await serving.stop()
    await runSwarm(['db', 'stop'], { cwd: join(scratch, 'root'), env: home() })
    rmSync(scratch, { recursive: true, force: true })
  })

  /** Runs one of them to its end, in an environment with nothing of this machine's settings. */
  async function run(name: (typeof NAMES)[number], args: readonly string[]) {
    const [file = '', ...first] = programOf(name).argv
    const child = spawn(file, [...first, ...args], {
      cwd: join(scratch, 'root'),
      env: { PATH: process.env.PATH, HOME: scratch, TMPDIR: scratch, SWARM_TRUST: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString('utf8')
    })
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString('utf8')
    })
    const [code]: (number | null)[] = await once(child, 'close')
    return { code, stdout, stderr }
  }

  const inspector = programOf('inspector')
  describe.skipIf(inspector.missing !== undefined)(`the inspector (${inspector.missing ?? 'runs'})`, () => {
    test.each(['stdin and stdout', 'HTTP'])('speaks with it over %s', async (way) => {
      const target = () => (way === 'HTTP' ? [`${serving.url}/mcp?agent=1`] : [process.execPath, BIN, 'mcp'])
      const ask = async (...args: string[]) => {
        const { code, stdout, stderr } = await run('inspector', ['--cli', ...target(), ...args])
        if (code !== 0) throw new Error(`the inspector ended with ${code}: ${stderr}${stdout}`)
        return JSON.parse(stdout)
      }
      const { tools } = await ask('--method', 'tools/list', '--strict')
      expect(tools.map((tool: { name: string }) => tool.name)).toContain('claim-next')
      const result = await ask('--method', 'tools/call', '--tool-name', 'show', '--tool-arg', 'bead_id=a')
      expect(JSON.parse(result.content[0].text)).toMatchObject({ ok: true, d: { bead: { bead_id: 'a' } } })
      const { resourceTemplates } = await ask('--method', 'resources/templates/list')
      expect(resourceTemplates).toHaveLength(3)
      const { contents } = await ask('--method', 'resources/read', '--uri', 'swarm://bead/a')
      expect(JSON.parse(contents[0].text)).toMatchObject({ bead: { bead_id: 'a' } })
      expect(await ask('--method', 'prompts/list')).toMatchObject({ prompts: [{ name: 'work' }] })
    })
  })

  /** Runs the suite; the checks that failed, as `scenario/check`, and how many there were. */
  async function conform(name: (typeof NAMES)[number], args: readonly string[]) {
    const results = mkdtempSync(join(scratch, 'results-'))
    const target = ['server', '--url', `${serving.url}/mcp`, '--output-dir', results]
    const { stderr } = await run(name, [...target, ...args])
    const failed = new Set<string>()
    const statuses: string[] = []
    const folders = readdirSync(results)
    for (const folder of folders) {
      const scenario = folder.replace(/^server-/, '').replace(/-\d{4}-\d\d-\d\dT[\d-]+Z$/, '')
      const checks: { id: string; status: string }[] = JSON.parse(
        readFileSync(join(results, folder, 'checks.json'), 'utf8'),
      )
      for (const { id, status } of checks) {
        statuses.push(status)
        if (status === 'FAILURE') failed.add(`${scenario}/${id}`)
      }
    }
    if (folders.length === 0) throw new Error(`the suite has run nothing: ${stderr}`)
    const count = (status: string) => statuses.filter((one) => one === status).length
    process.stderr.write(
      `${name} ${args.join(' ')}: ${folders.length} scenarios, ${count('SUCCESS')} checks passed, ${count('FAILURE')} failed\n`,
    )
    return [...failed].sort()
  }

  const all = (expected: readonly Expected[]) => expected.flatMap(({ checks }) => checks).sort()
  describe.each([
    ['conformance', ['--suite', 'all'], EXPECTED_2025],
    ['conformance-2026', ['--requirements', '2026-07-28'], EXPECTED_2026],
  ] as const)('the suite %s', (name, args, expected) => {
    const { missing } = programOf(name)
    test.skipIf(missing !== undefined)(
      `fails what is expected to, and nothing else (${missing ?? 'runs'})`,
      async () => {
        expect(await conform(name, args)).toEqual(all(expected))
      },
    )
  })
})
