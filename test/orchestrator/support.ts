import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findMarked } from '../../src/process/index.ts'
import type { TestDatabase } from '../support/database.ts'
import { type ScratchRepository, scratchRepository } from '../support/git.ts'
import { BIN, cleanEnv, runSwarm } from '../support/swarm.ts'

/** A scratch repository with a bare remote, its configuration, and a repo in the test's database. */
export interface Yard {
  readonly repo: string
  readonly scratch: ScratchRepository
  readonly env: Readonly<Record<string, string>>
  /** `d` of a one-shot; throws when it failed. */
  ask<D>(...args: readonly string[]): Promise<D>
  /** Starts `swarm up` or another verb that stays. */
  start(...args: readonly string[]): Running
  /** Files on the target branch of the remote. */
  landed(): readonly string[]
  /** Sessions that left a process or cannot be looked for, worktrees and branches that are still there. */
  leftovers(): Promise<readonly string[]>
}

export interface Running {
  readonly child: ChildProcess
  readonly ended: Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>
}

export interface YardOptions {
  readonly repo: string
  readonly script?: object
  /** Gate of the stage `implement`, also on the tree that lands. */
  readonly gate?: readonly string[]
  readonly more?: string
  /** Without a stage `qa` after `implement`. */
  readonly oneStage?: boolean
  /** More variables for every process. */
  readonly env?: Readonly<Record<string, string>>
}

/** The demo agent's script is the one argument of its program. */
export async function makeYard(database: TestDatabase, options: YardOptions): Promise<Yard> {
  const { repo, script = {}, gate = ['git', 'diff', '--check', 'HEAD'], more = '' } = options
  const scratch = scratchRepository({ remote: true })
  // as on a machine where git was never set up
  const env = {
    GIT_CONFIG_GLOBAL: '/dev/null',
    DATABASE_URL: database.url,
    SWARM_REPO: repo,
    ...options.env,
  }
  mkdirSync(join(scratch.root, '.swarm'))
  writeFileSync(join(scratch.root, '.swarm', '.gitignore'), '*\n')
  writeFileSync(
    join(scratch.root, '.swarm', 'config.toml'),
    [
      `repo = ${JSON.stringify(repo)}`,
      '[[workflows.default.stages]]',
      'name = "implement"',
      'roles = ["implementer"]',
      `gate = ${JSON.stringify(gate)}`,
      'timeout_ms = 20000',
      ...(options.oneStage
        ? []
        : ['[[workflows.default.stages]]', 'name = "qa"', 'roles = ["reviewer"]', 'on_fail = "implement"']),
      '[landing]',
      'target = "main"',
      'remote = "origin"',
      '[agents.default]',
      'adapter = "demo"',
      `args = [${JSON.stringify(JSON.stringify(script))}]`,
      more,
    ].join('\n'),
  )
  const run = { env, cwd: scratch.root }
  const ask: Yard['ask'] = async (...args) => {
    const { stdout, stderr } = await runSwarm(args, run)
    const envelope = JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}')
    if (!envelope.ok) throw new Error(`swarm ${args.join(' ')} answered ${stdout} ${stderr}`)
    return envelope.d
  }
  await ask('init-db')
  return {
    repo,
    scratch,
    env,
    ask,
    start: (...args) => startIn(scratch.root, env, ...args),
    landed: () =>
      scratch
        .git(['ls-tree', '-r', '--name-only', 'main'], scratch.remote)
        .split('\n')
        .filter((name) => name.startsWith('demo/')),
    async leftovers() {
      const rows = await database.sql<{ session_id: string; marker: string | null }[]>`
        select session_id, marker from swarm.agent_sessions where repo_id = ${repo} and started_at is not null`
      const alive = rows.flatMap(({ session_id, marker }) => {
        if (marker === null) return [`${session_id}, whose processes nobody could find`]
        return (findMarked(marker)?.length ?? 0) > 0 ? [`processes of ${session_id}`] : []
      })
      const trees = scratch
        .git(['worktree', 'list', '--porcelain'])
        .split('\n')
        .filter((line) => line.startsWith('worktree '))
      const branches = scratch
        .git(['for-each-ref', '--format=%(refname)', 'refs/heads/swarm/'])
        .split('\n')
        .filter(Boolean)
      return [...alive, ...trees.slice(1), ...branches]
    },
  }
}

/** Starts `swarm up` or another verb that stays, in a directory. */
export function startIn(
  cwd: string,
  env: Readonly<Record<string, string>>,
  ...args: readonly string[]
): Running {
  const child = spawn(process.execPath, [BIN, ...args], { env: cleanEnv(env), cwd })
  child.stdin.end()
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  const ended = new Promise<Awaited<Running['ended']>>((resolve) => {
    child.once('close', (code) => resolve({ code, stdout, stderr }))
  })
  return { child, ended }
}

/** Waits until `holds` says so; bounded by the test's own time. */
export async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((done) => setTimeout(done, 50))
}

/** Gives the demo agent another script, for the sessions of processes that start from now on. */
export function rewriteScript(root: string, script: object): void {
  const file = join(root, '.swarm', 'config.toml')
  const line = `args = [${JSON.stringify(JSON.stringify(script))}]`
  writeFileSync(
    file,
    readFileSync(file, 'utf8').replace(/^args = .*$/m, () => line),
  )
}
