import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { checkGit, checkLeft } from '../../src/demo/checks.ts'
import { scratchRepository } from '../support/git.ts'
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

test('an agent and the leader are killed; all lands, and rows, gates and git agree', async () => {
  const { code, stdout, stderr } = await startDemo().ended
  expect(stdout.split('\n')).toHaveLength(2)
  expect(parseLines(stdout)).toMatchObject([
    {
      ok: true,
      d: {
        beads: 7,
        landed: 7,
        blocked: 0,
        left: 0,
        checks: ['database', 'git', 'gates', 'left over'].map((name) => ({ name, ok: true })),
        killed: { agent: { reason: 'crashed' }, leader: { term: expect.any(Number) } },
      },
    },
  ])
  // sooner than the lease of the killed leader ends
  const [, seconds] = /the stand-by leads now \(term \d+\), (\d+\.\d) s later/.exec(stderr) ?? []
  expect(Number(seconds)).toBeLessThan(4.5)
  expect(code).toBe(0)
  expect(stderr).toMatch(/agent \d was killed \(SIGKILL, pid \d+\) at [\w-]+/)
  expect(stderr).toMatch(/the leader was killed \(SIGKILL, pid \d+, term \d+\)/)
  expect(stderr).toMatch(/the stand-by leads now \(term \d+\)/)
  expect(stderr).toContain('0 lost, 0 doubled, 0 leases left')
  expect(stderr).toContain('swarm init')
  expect(stderr).not.toContain('hunter2')
  expect(stderr.split('\n').length).toBeLessThan(50)
  expect(left()).toEqual([])
  expect(rootsLeft()).toEqual([])
}, 120_000)

describe('the check of git', () => {
  test('finds a commit that no landing brought, a tree that no gate ran on, and a bead whose commit is missing', async () => {
    const repository = scratchRepository({ remote: true })
    try {
      const { git, root, remote = '' } = repository
      const first = git(['rev-parse', 'HEAD'])
      const head = repository.commit('one.txt', 'one\n')
      git(['push', '--quiet', 'origin', 'main'])
      const tree = git(['rev-parse', 'HEAD^{tree}'])
      const landing = { base: first, head, tree, gated: true }
      const completed = [{ bead_id: 'a', commit_hash: head }]
      const place = { root, remote, first }
      const look = async (landings: readonly (typeof landing)[], beads = completed) =>
        (await checkGit({ completed: beads, landings }, place)).map(({ ok }) => ok)
      expect(await look([landing])).toEqual([true, true])
      expect(await look([])).toEqual([false, true])
      expect(await look([{ ...landing, tree: first }])).toEqual([true, false])
      expect(await look([{ ...landing, gated: false }])).toEqual([true, false])
      expect(await look([landing], [{ bead_id: 'a', commit_hash: tree }])).toEqual([false, true])
    } finally {
      repository.remove()
    }
  })

  test('what is left is counted', async () => {
    const repository = scratchRepository()
    try {
      const place = { root: repository.root, tmp: scratch }
      expect((await checkLeft({ markers: [] }, place, 0)).ok).toBe(true)
      repository.git(['branch', 'swarm/a'])
      expect(await checkLeft({ markers: [] }, place, 1)).toMatchObject({
        ok: false,
        told: expect.stringContaining('1 processes, 0 worktrees, 1 branches'),
      })
    } finally {
      repository.remove()
    }
  })
})

test('what a demo that was killed has left is removed by the next', async () => {
  const demo = startDemo()
  while (!demo.stderr().includes('has landed')) await new Promise((resolve) => setTimeout(resolve, 50))
  demo.kill('SIGKILL')
  await demo.ended
  expect(rootsLeft()).toHaveLength(1)
  const { code } = await startDemo(['no-such-file.jsonl']).ended
  expect(code).toBe(8)
  expect(rootsLeft()).toEqual([])
  // the watchdogs of its processes need a moment
  while (left().length > 0) await new Promise((resolve) => setTimeout(resolve, 50))
}, 120_000)

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
  expect(parseLines(stdout)).toMatchObject([{ ok: true, d: { beads: 4, landed: 2, left: 1 } }])
  expect(stderr).toContain('1 beads are left: they wait for beads that are blocked or deferred')
  expect(code).toBe(0)
}, 120_000)

test('a file that is not there is named, and what was started is stopped', async () => {
  const { code, stdout } = await startDemo(['no-such-file.jsonl']).ended
  expect(parseLines(stdout)).toMatchObject([
    { ok: false, err: { code: 'INVALID', ctx: { got: 'no-such-file.jsonl' } } },
  ])
  expect(code).toBe(8)
  expect(left()).toEqual([])
  expect(rootsLeft()).toEqual([])
}, 120_000)

test.each(['SIGINT', 'SIGTERM'] as const)(
  '%s half-way stops all that was started',
  async (signal) => {
    const demo = startDemo()
    while (!demo.stderr().includes(' has landed')) await new Promise((resolve) => setTimeout(resolve, 50))
    expect(left().length).toBeGreaterThanOrEqual(3)
    demo.kill(signal)
    const { code, stdout, stderr } = await demo.ended
    expect(parseLines(stdout)).toMatchObject([{ ok: true, d: { reason: 'shutdown' } }])
    expect(stderr).toContain('stopping the agents and the server')
    expect(code).toBe(0)
    expect(left()).toEqual([])
    expect(rootsLeft()).toEqual([])
  },
  120_000,
)
