import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { makeYard, type Running, until, type Yard, type YardOptions } from './support.ts'

const database = await testDatabase()
const yards: Yard[] = []
const runs: Running[] = []
afterAll(async () => {
  for (const { child } of runs) child.kill('SIGKILL')
  await Promise.all(runs.map(({ ended }) => ended))
  for (const { scratch } of yards) scratch.remove()
})

const FORGE = join(__dirname, '..', 'support', 'forge', 'forge.mjs')
const AGENTS = 'implementer=2'

interface Pull {
  readonly url: string
  readonly branch: string
  readonly title: string
  readonly body: string
  readonly state: string
  readonly headRefOid: string
}

/** A yard that lands by pull requests of a forge that is a script; with `byGh` by the commands that are there by default. */
async function forgeYard(options: YardOptions & { readonly byGh?: boolean }) {
  const yard = await makeYard(database, { oneStage: true, ...options })
  yards.push(yard)
  const { root, remote = '' } = yard.scratch
  const home = dirname(root)
  const file = join(home, 'forge.json')
  const words = [process.execPath, FORGE, file, remote]
  const config = join(root, '.swarm', 'config.toml')
  const commands =
    options.byGh !== true
      ? [
          `open = ${JSON.stringify([...words, 'open', '{branch}', '{target}', '{title}'])}`,
          `state = ${JSON.stringify([...words, 'state', '{branch}'])}`,
        ]
      : []
  writeFileSync(
    config,
    `${readFileSync(config, 'utf8').replace('remote = "origin"', 'remote = "origin"\nmode = "pull_request"')}\n[landing.pull_request]\npoll_ms = 200\n${commands.join('\n')}\n`,
  )
  const pulls = (): readonly Pull[] => (existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).pulls : [])
  return {
    ...yard,
    words,
    start(...args: readonly string[]): Running {
      const run = yard.start(...args)
      runs.push(run)
      return run
    },
    pulls,
    /** Resolves with the pull request of a bead when the bead knows it. */
    async pull(bead: string): Promise<Pull> {
      let found: Pull | undefined
      await until(async () => {
        const [row] = await database.sql<{ pr_url: string | null }[]>`
          select pr_url from swarm.bead_backlog where repo_id = ${options.repo} and bead_id = ${bead}`
        found = pulls().find(({ url, state }) => url === row?.pr_url && state === 'OPEN')
        return found !== undefined
      })
      if (!found) throw new Error('no pull request')
      return found
    },
    /** What a person does on the page of the forge. */
    forge: (...args: readonly string[]) =>
      execFileSync(words[0] ?? '', [...words.slice(1), ...args], { encoding: 'utf8' }),
    status: async (bead: string) => {
      const [row] = await database.sql<{ status: string }[]>`
        select status from swarm.bead_backlog where repo_id = ${options.repo} and bead_id = ${bead}`
      return row?.status
    },
  }
}

const enqueue = (ask: Yard['ask'], beads: readonly object[]) =>
  ask('enqueue', '--json', JSON.stringify({ beads }))
const answer = (stdout: string) => JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}')

describe('landing by pull requests', () => {
  test('has landed when it is merged, by merge or squash; what waits for it waits; what was merged is what was tested', async () => {
    const yard = await forgeYard({ repo: 'pulls' })
    const { ask, start, forge, pull, status, scratch, landed, leftovers } = yard
    await enqueue(ask, [
      { bead_id: 'b1', title: '--web\n$(touch /tmp/x) "One"', description: 'closes #1 @everybody' },
      { bead_id: 'b2', title: 'Two', depends_on: ['b1'] },
      { bead_id: 'b3', title: 'Three' },
    ])
    const run = start('up', '--agents', AGENTS)
    const [one, three] = [await pull('b1'), await pull('b3')]
    expect(one.title).toBe('--web $(touch /tmp/x) "One"')
    expect(one.body).toContain('```text\ncloses #1 @everybody\n```')
    expect(await ask('explain', 'b1')).toMatchObject({
      status: 'pending',
      waits_for: `pull request ${one.url}`,
    })
    expect(await status('b2')).toBe('pending')
    expect(landed()).toEqual([])
    forge('merge', one.url, 'squash')
    await until(async () => (await status('b1')) === 'completed')
    // the other one is put on top of it and tested again, in the same pull request
    await until(async () => {
      const files = scratch.git(['ls-tree', '-r', '--name-only', three.branch], scratch.remote)
      return files.includes('demo/b1.txt')
    })
    forge('merge', (await pull('b3')).url, 'merge')
    forge('merge', (await pull('b2')).url, 'merge')
    const { code, stdout } = await run.ended
    expect(answer(stdout).d).toMatchObject({ status: 'completed', landed: 3 })
    expect(code).toBe(0)
    expect(landed()).toEqual(['demo/b1.txt', 'demo/b2.txt', 'demo/b3.txt'])
    expect(yard.pulls()).toHaveLength(3)
    expect(scratch.git(['rev-parse', 'main'])).toBe(scratch.git(['rev-parse', 'main'], scratch.remote))
    expect(scratch.git(['for-each-ref', '--format=%(refname)', 'refs/heads/'], scratch.remote)).toBe(
      'refs/heads/main',
    )
    expect(scratch.git(['for-each-ref', 'refs/swarm/pull/'])).toBe('')
    expect(await leftovers()).toEqual([])
    const trees = await database.sql<{ tree: string; tested: string | null; commit_hash: string }[]>`
      select l.tree, l.evidence -> 0 ->> 'tree' as tested, b.commit_hash from swarm.landings l
      join swarm.bead_backlog b on b.repo_id = l.repo_id and b.bead_id = l.bead_id
      where l.repo_id = 'pulls' and l.status = 'landed'`
    expect(trees).toHaveLength(3)
    for (const { tree, tested, commit_hash } of trees) {
      expect(tested).toBe(tree)
      scratch.git(['merge-base', '--is-ancestor', commit_hash, 'main'])
    }
  }, 240_000)

  test('opens none twice when its leader is killed; one that is closed sends the bead back, with what was said', async () => {
    const yard = await forgeYard({ repo: 'closed' })
    const { ask, start, forge, pull, pulls, landed } = yard
    await enqueue(ask, [{ bead_id: 'b1', title: 'One' }])
    const first = start('up', '--agents', AGENTS)
    const { url } = await pull('b1')
    first.child.kill('SIGKILL')
    await first.ended
    // as if it had been killed before it could say that it had opened one
    await database.sql`update swarm.bead_backlog set pr_url = null where repo_id = 'closed'`
    const [row] = await database.sql<
      { run_id: string }[]
    >`select run_id from swarm.swarm_runs where repo_id = 'closed'`
    const second = start('up', '--resume', row?.run_id ?? '')
    expect((await pull('b1')).url).toBe(url)
    expect(pulls()).toHaveLength(1)
    forge('close', url, 'please use tabs')
    const next = await pull('b1')
    const [told] = await database.sql<{ feedback: string }[]>`
      select feedback from swarm.stage_history where repo_id = 'closed' and stage = 'land' and status = 'failed'`
    expect(told?.feedback).toContain(`${url} was closed and not merged:\nplease use tabs`)
    forge('merge', next.url, 'merge')
    expect(answer((await second.ended).stdout).d).toMatchObject({ status: 'completed', landed: 1 })
    expect(landed()).toEqual(['demo/b1.txt'])
  }, 240_000)

  test('lands nothing on a tree that was merged by others and is red: the run is paused until that is mended', async () => {
    const gate = ['sh', '-c', 'test ! -e demo/b1.txt || test ! -e demo/b2.txt || test -e mended.txt']
    const { ask, start, forge, pull, status, scratch } = await forgeYard({ repo: 'merged-red', gate })
    await enqueue(ask, [
      { bead_id: 'b1', title: 'One' },
      { bead_id: 'b2', title: 'Two' },
    ])
    const run = start('up', '--agents', AGENTS)
    const [one, two] = [await pull('b1'), await pull('b2')]
    // both are green by themselves, and both are merged before it looks again
    run.child.kill('SIGSTOP')
    forge('merge', one.url, 'merge')
    forge('merge', two.url, 'merge')
    run.child.kill('SIGCONT')
    const paused = async () => {
      const [row] = await database.sql<{ status: string; pause_reason: string | null }[]>`
        select status, pause_reason from swarm.swarm_runs where repo_id = 'merged-red'`
      return row
    }
    await until(async () => (await paused())?.status === 'paused')
    expect((await paused())?.pause_reason).toContain('the gates fail on main itself')
    expect([await status('b1'), await status('b2')]).toEqual(['pending', 'pending'])
    scratch.git(['fetch', '--quiet', 'origin'])
    scratch.git(['checkout', '--quiet', '--detach', 'origin/main'])
    scratch.commit('mended.txt', 'by a person\n')
    scratch.git(['push', '--quiet', 'origin', 'HEAD:main'])
    await ask('unpause')
    expect(answer((await run.ended).stdout).d).toMatchObject({ status: 'completed', landed: 2 })
  }, 240_000)

  test('is done with gh where nothing else is named; what is missing is said before it starts, or pauses it', async () => {
    const bin = mkdtempSync(join(tmpdir(), 'swarm-gh-'))
    try {
      const env = { PATH: `${bin}:${process.env.PATH}` }
      const yard = await forgeYard({ repo: 'by-gh', byGh: true, env })
      const { ask, start, forge, pull, words, scratch } = yard
      await enqueue(ask, [{ bead_id: 'b1', title: 'One' }])
      const said = async () => answer((await start('up', '--agents', AGENTS).ended).stdout)
      const refused = (msg: string) => ({
        ok: false,
        err: { code: 'DEPENDENCY', msg: expect.stringContaining(msg) },
      })
      // a machine that has one of its own keeps it
      const hasGh = process.env.PATH?.split(':').some((dir) => existsSync(join(dir, 'gh')))
      if (!hasGh) expect(await said()).toMatchObject(refused('gh is not on the operator’s PATH'))
      const login = `test -e '${bin}/login' || { echo 'You are not logged into any GitHub hosts' >&2; exit 1; }`
      const script = `exec ${words.map((word) => `'${word}'`).join(' ')} "$@"`
      writeFileSync(join(bin, 'gh'), `#!/bin/sh\n${login}\n${script}\n`, { mode: 0o755 })
      expect(await said()).toMatchObject(refused('You are not logged into any GitHub hosts'))
      writeFileSync(join(bin, 'login'), '')
      scratch.git(['remote', 'set-url', 'origin', '/nowhere'])
      expect(await said()).toMatchObject(refused('origin takes no push from here'))
      scratch.git(['remote', 'set-url', 'origin', scratch.remote ?? ''])
      expect(await ask('runs')).toMatchObject({ runs: [] })
      const hook = join(scratch.remote ?? '', 'hooks', 'pre-receive')
      writeFileSync(hook, '#!/bin/sh\necho no branches on fridays\nexit 1\n', { mode: 0o755 })
      const run = start('up', '--agents', AGENTS)
      await until(async () => {
        const rows = await database.sql`
          select 1 from swarm.swarm_runs where repo_id = 'by-gh' and status = 'paused' and pause_reason like '%no branches on fridays%'`
        return rows.length > 0
      })
      rmSync(hook)
      await ask('unpause')
      forge('merge', (await pull('b1')).url, 'squash')
      expect(answer((await run.ended).stdout).d).toMatchObject({ status: 'completed', landed: 1 })
    } finally {
      rmSync(bin, { recursive: true, force: true })
    }
  }, 240_000)
})
