import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { type Serving, startServe } from '../support/serve.ts'
import { openPipe, type RunOptions, runSwarm } from '../support/swarm.ts'

const { name: database, url, sql } = await testDatabase()
const scratch = mkdtempSync(join(tmpdir(), 'swarm-resident-'))
const open: Serving[] = []
let roots = 0

afterAll(async () => {
  for (const serving of open) await serving.kill()
  rmSync(scratch, { recursive: true, force: true })
})

/** A root with two agents, and how to call swarm in it. */
async function newRoot() {
  const repo = `resident-${++roots}`
  const cwd = join(scratch, repo)
  mkdirSync(join(cwd, '.swarm'), { recursive: true })
  writeFileSync(join(cwd, '.swarm', 'config.toml'), `repo = "${repo}"\n`)
  const env = { DATABASE_URL: url }
  const pipe = openPipe(env, cwd)
  await pipe.ok({ cmd: 'register', count: 2 })
  await pipe.close()
  const run = (args: readonly string[], more: RunOptions = {}) =>
    runSwarm(args, { cwd, ...more, env: { ...env, ...more.env } })
  return { repo, cwd, env, run, socket: join(cwd, '.swarm', 'run', 'resident.sock') }
}

/** The same with a server that is there anyway. */
async function inhabited() {
  const root = await newRoot()
  const serving = await startServe(root.env, { cwd: root.cwd })
  open.push(serving)
  await expect.poll(() => existsSync(root.socket)).toBe(true)
  return { ...root, serving }
}

/** Connections that anybody has made to this database so far, but for those that the counting itself makes. */
async function sessions(): Promise<number> {
  await sql`select pg_stat_clear_snapshot(), pg_stat_force_next_flush()`
  const [row] = await sql<{ sessions: number }[]>`
    select sessions::float8 as sessions from pg_stat_database where datname = ${database}`
  return row?.sessions ?? 0
}

const messagesOf = async (repo: string) =>
  (await sql`select body from swarm.agent_messages where from_repo_id = ${repo}`).map(({ body }) => body)

describe('one-shot calls beside a process that is there anyway', () => {
  it('are answered by it, over connections that they share', async () => {
    const { run, socket } = await inhabited()
    const { stdout } = await run(['doctor'])
    expect(stdout).toContain(`one-shot calls are answered at ${socket}`)
    await run(['status'])
    const before = await sessions()
    const all = await Promise.all(
      Array.from({ length: 24 }, (_, at) =>
        run(['send', '--agent-id', '1', '--to', '2', '--body', `m${at}`]),
      ),
    )
    expect(all.map(({ code }) => code)).toEqual(Array.from({ length: 24 }, () => 0))
    expect((await sessions()) - before).toBeLessThan(12)
    expect((await run(['inbox', '--agent-id', '2'])).envelopes[0]).toMatchObject({
      ok: true,
      d: { unread: expect.any(Number) },
    })
  })

  it('say the same as calls that run by themselves', async () => {
    const { run } = await inhabited()
    const lines = [
      ['status'],
      ['claim-next', '--agent-id', '1'],
      ['show', 'nothing'],
      ['send', '--agent-id', '9', '--to', '1', '--body', 'x'],
      ['clam-next', '--agent-id', '1'],
      ['status', '--format', 'table'],
      ['help'],
      ['beads', '--status', 'odd'],
    ]
    for (const line of lines) {
      const [here, alone] = [await run(line), await run(line, { env: { SWARM_RESIDENT: '0' } })]
      const plain = (text: string) => text.replace(/"(?:t|ms|events_last_minute)":\d+,?/g, '')
      expect([line, here.code, plain(here.stdout)]).toEqual([line, alone.code, plain(alone.stdout)])
    }
  })

  it('speak for whom their own environment says', async () => {
    const { run } = await inhabited()
    await run(['enqueue', '--beads', '[{"bead_id":"a","title":"A"}]'])
    const claimed = await run(['claim-next'], { env: { SWARM_AGENT_ID: '2' } })
    expect(claimed.envelopes[0]).toMatchObject({ ok: true, d: { bead: { bead_id: 'a' } } })
    expect((await run(['show', 'a'])).stdout).toContain('"agent_id":2')
    expect((await run(['status'], { env: { SWARM_REPO: 'elsewhere' } })).envelopes[0]).toMatchObject({
      d: { repo: 'elsewhere' },
    })
  })

  it('run by themselves where the other process is of another database, or asked not to be used', async () => {
    const { run, repo } = await inhabited()
    const before = await sessions()
    for (const env of [
      { SWARM_RESIDENT: '0' },
      { PGAPPNAME: 'other' },
      { DATABASE_URL: `${url}?application_name=x` },
    ])
      expect((await run(['status'], { env })).envelopes[0]).toMatchObject({ ok: true, d: { repo } })
    expect((await sessions()) - before).toBeGreaterThanOrEqual(3)
  })

  it('are in time when it is frozen, and a write is made once', async () => {
    const { run, repo, serving } = await inhabited()
    process.kill(serving.pid, 'SIGSTOP')
    const sent = await run(['send', '--agent-id', '1', '--to', '2', '--body', 'frozen'])
    expect(sent).toMatchObject({ code: 0 })
    process.kill(serving.pid, 'SIGCONT')
    // what lay in its socket is read now
    expect((await run(['status'])).code).toBe(0)
    expect(await messagesOf(repo)).toEqual(['frozen'])
  })

  it('make a write once when it dies while it makes it', async () => {
    const { run, repo, serving } = await inhabited()
    let sent: ReturnType<typeof run> | undefined
    await sql.begin(async (held) => {
      await held`lock table swarm.agent_messages in access exclusive mode`
      sent = run(['send', '--agent-id', '1', '--to', '2', '--body', 'once'])
      const waiting = () =>
        sql`select pid from pg_stat_activity where datname = ${database} and wait_event_type = 'Lock'`
      await expect.poll(async () => (await waiting()).length).toBe(1)
      await serving.kill()
      await expect.poll(async () => (await waiting()).length).toBeGreaterThan(1)
    })
    expect(await sent).toMatchObject({ code: 0 })
    expect(await messagesOf(repo)).toEqual(['once'])
  })

  it('find it again where it ended without a word, and nothing where it ended well', async () => {
    const { run, cwd, env, socket, serving } = await inhabited()
    await serving.kill()
    expect(existsSync(socket)).toBe(true)
    expect((await run(['status'])).code).toBe(0)
    const again = await startServe(env, { cwd })
    const before = await sessions()
    await expect
      .poll(async () => {
        const from = await sessions()
        await run(['status'])
        return (await sessions()) - from
      })
      .toBe(0)
    expect(before).toBeGreaterThan(0)
    await again.stop()
    expect(existsSync(socket)).toBe(false)
  })
})

describe('a socket that somebody else made', () => {
  it.each([
    ['behind a link', (dir: string, away: string) => symlinkSync(away, dir)],
    [
      'in a directory that others may enter',
      (dir: string, away: string) => {
        renameSync(away, dir)
        chmodSync(dir, 0o755)
      },
    ],
  ])('%s is never asked', async (_where, place) => {
    const { run, cwd } = await newRoot()
    const away = join(scratch, `away-${roots}`)
    mkdirSync(away, { mode: 0o700 })
    let asked = 0
    const server = createServer((socket) => {
      asked += 1
      socket.destroy()
    })
    await new Promise<void>((resolve) => server.listen(join(away, 'resident.sock'), resolve))
    place(join(cwd, '.swarm', 'run'), away)
    expect((await run(['status'])).code).toBe(0)
    expect(asked).toBe(0)
    await new Promise<void>((resolve) => server.close(() => resolve()))
  })

  it('and a directory that others may enter is closed before anything listens in it', async () => {
    const root = await newRoot()
    mkdirSync(join(root.cwd, '.swarm', 'run'), { mode: 0o777 })
    const serving = await startServe(root.env, { cwd: root.cwd })
    open.push(serving)
    await expect.poll(() => existsSync(root.socket)).toBe(true)
    expect(statSync(join(root.cwd, '.swarm', 'run')).mode & 0o777).toBe(0o700)
    expect(statSync(root.socket).mode & 0o777).toBe(0o600)
  })
})
