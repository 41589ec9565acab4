import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { BIN, cleanEnv, parseLines } from '../support/swarm.ts'

let scratch = ''
beforeEach(() => {
  // the scratch root of the demo, and the user’s own settings, which it must leave alone
  scratch = mkdtempSync(join(tmpdir(), 'swarm-demo-test-'))
})
afterEach(() => rmSync(scratch, { recursive: true, force: true }))

interface Running {
  readonly stderr: () => string
  readonly kill: (signal: NodeJS.Signals) => void
  readonly ended: Promise<{ code: number | null; stdout: string; stderr: string }>
}

function startDemo(args: readonly string[] = []): Running {
  const env = cleanEnv({
    TMPDIR: scratch,
    DATABASE_URL: 'postgres://nobody:hunter2@127.0.0.1:1/none',
    SWARM_AGENT_ID: '77',
    SWARM_REPO: 'mine',
  })
  const child = spawn(process.execPath, [BIN, 'demo', ...args], {
    cwd: scratch,
    env,
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
  return {
    stderr: () => stderr,
    kill: (signal) => child.kill(signal),
    ended: once(child, 'close').then(([code]: (number | null)[]) => ({ code: code ?? null, stdout, stderr })),
  }
}

/** Processes that work in the demo's directory: agents, their swarms, the operator's. */
function left(): string[] {
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid))
    .filter((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/cwd`).startsWith(scratch)
      } catch {
        return false
      }
    })
}
const rootsLeft = () => readdirSync(scratch).filter((name) => name.startsWith('swarm-demo-'))

test('four agents finish the example, one is killed, and nothing is lost or left behind', async () => {
  const { code, stdout, stderr } = await startDemo().ended
  const envelopes = parseLines(stdout)
  expect(stdout.split('\n')).toHaveLength(2)
  expect(envelopes).toMatchObject([
    {
      ok: true,
      d: {
        beads: 17,
        completed: 17,
        blocked: 0,
        left: 0,
        invariants: { lost: 0, doubled: 0, leases: 0, miscounted: 0 },
        killed: { fence: 1, new_fence: 2, late_write: 'CONFLICT', replaced_by: 5 },
      },
    },
  ])
  expect(code).toBe(0)
  expect(stderr).toMatch(/qa failed, "/)
  expect(stderr).toMatch(/SIGKILL for agent \d and its swarm; it held [\w-]+, fence 1/)
  expect(stderr).toMatch(/the lease of agent \d has ended: [\w-]+ is back/)
  expect(stderr).toMatch(/agent \d takes [\w-]+ over: fence 1 is now 2/)
  expect(stderr).toMatch(/a late write of agent \d under fence 1 is refused: CONFLICT/)
  expect(stderr).toContain('0 lost, 0 doubled, 0 leases left')
  expect(stderr).toContain('swarm init')
  expect(stderr).not.toContain('hunter2')
  expect(stderr.split('\n').length).toBeLessThan(60)
  expect(left()).toEqual([])
  expect(rootsLeft()).toEqual([])
}, 60_000)

test('a file of one’s own, with finished beads opened again; what waits for deferred ones is left', async () => {
  const file = join(scratch, 'issues.jsonl')
  const bead = (id: string, status: string, needs: readonly string[] = []) =>
    JSON.stringify({
      id,
      title: id,
      status,
      priority: 2,
      issue_type: 'task',
      dependencies: needs.map((other) => ({ issue_id: id, depends_on_id: other, type: 'blocks' })),
    })
  writeFileSync(
    file,
    [bead('a', 'closed'), bead('b', 'open', ['a']), bead('c', 'deferred'), bead('d', 'open', ['c'])].join(
      '\n',
    ),
  )
  const { code, stdout, stderr } = await startDemo(['issues.jsonl']).ended
  expect(parseLines(stdout)).toMatchObject([{ ok: true, d: { beads: 4, completed: 2, left: 1 } }])
  expect(stderr).toContain('1 beads are left: they wait for beads that are blocked or deferred')
  expect(code).toBe(0)
}, 60_000)

test('a file that is not there is named, and what was started is stopped', async () => {
  const { code, stdout } = await startDemo(['no-such-file.jsonl']).ended
  expect(parseLines(stdout)).toMatchObject([
    { ok: false, err: { code: 'INVALID', ctx: { got: 'no-such-file.jsonl' } } },
  ])
  expect(code).toBe(8)
  expect(left()).toEqual([])
  expect(rootsLeft()).toEqual([])
}, 60_000)

test.each(['SIGINT', 'SIGTERM'] as const)(
  '%s half-way stops all that was started',
  async (signal) => {
    const demo = startDemo()
    while (!demo.stderr().includes(' is done')) await new Promise((resolve) => setTimeout(resolve, 50))
    expect(left().length).toBeGreaterThanOrEqual(9)
    demo.kill(signal)
    const { code, stdout, stderr } = await demo.ended
    expect(parseLines(stdout)).toMatchObject([{ ok: true, d: { reason: 'shutdown' } }])
    expect(stderr).toContain('stopping the agents and the server')
    expect(code).toBe(0)
    expect(left()).toEqual([])
    expect(rootsLeft()).toEqual([])
  },
  60_000,
)
