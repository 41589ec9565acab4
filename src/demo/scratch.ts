import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type OpenDatabase, openDatabase } from '../db/database.ts'
import { ensureEmbedded, resetEmbedded } from '../embedded/index.ts'
import { embeddedTarget } from '../embedded/target.ts'
import { type Environment, processesWithin, standingOfProcess, thisProcess } from '../process/index.ts'
import { git } from '../workspaces/git.ts'

/** The tenant of the demo. */
export const DEMO_REPO = 'demo'
/** The branch that the demo lands on. */
export const TARGET = 'main'
/** Should the demo itself be killed, its server stops after this long without a client. */
const IDLE_STOP_MS = 60_000
/** More than watchdogs take. */
const LEAVING_MS = 10_000
const PREFIX = 'swarm-demo-'
/** Names the process that made a scratch directory. */
const MAKER = 'maker'

/** A git repository with a bare remote and a Postgres, all of the demo's own and far from the user's. */
export interface Scratch {
  readonly root: string
  readonly remote: string
  /** Directory for temporary files of everything that the demo starts. */
  readonly tmp: string
  /** The commit that the target branch begins with. */
  readonly first: string
  /** What the processes of the demo get: nothing of the user's own settings. */
  readonly env: Environment
  /** For the checks; the processes have connections of their own. */
  readonly db: OpenDatabase
  /** Stops the server and deletes everything. */
  remove(): Promise<void>
}

/** Makes the scratch directory and starts its server, after removing what a demo that was killed has left. */
export async function createScratch(script: object): Promise<Scratch> {
  await removeFormer()
  const base = mkdtempSync(join(tmpdir(), PREFIX))
  writeFileSync(join(base, MAKER), thisProcess())
  const [root, remote, tmp] = [join(base, 'work'), join(base, 'remote.git'), join(base, 'tmp')]
  const swarmDir = join(root, '.swarm')
  try {
    mkdirSync(tmp)
    const first = await makeRepository(base, root, remote)
    mkdirSync(swarmDir, { mode: 0o700 })
    writeFileSync(join(swarmDir, 'config.toml'), configuration(script))
    await ensureEmbedded(swarmDir, { idleStopMs: IDLE_STOP_MS })
    const db = openDatabase(() => embeddedTarget(swarmDir, IDLE_STOP_MS), {
      connectTimeoutMs: 3_000,
      holder: 'demo',
      max: 2,
    })
    return {
      root,
      remote,
      tmp,
      first,
      env: { ...withoutOurs(), SWARM_ROOT: root, SWARM_TRUST: '1', TMPDIR: tmp },
      db,
      async remove() {
        await db.close()
        await removeBase(base)
      },
    }
  } catch (error) {
    await removeBase(base)
    throw error
  }
}

async function removeBase(base: string): Promise<void> {
  try {
    await resetEmbedded(join(base, 'work', '.swarm'))
  } finally {
    rmSync(base, { recursive: true, force: true })
  }
}

/**
 * Resolves when nothing works below a directory any more, but in `except`, where its server is; after ten seconds in any case. The watchdogs of a
 * demo that was killed end what it has started: until then that may write there.
 */
async function emptied(base: string, except: string): Promise<void> {
  const until = performance.now() + LEAVING_MS
  const works = () => processesWithin(base).length > processesWithin(except).length
  while (works() && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 50))
}

/** Removes the directories of demos whose process is gone. Those of others, and what is not surely a demo's, stay. */
async function removeFormer(): Promise<void> {
  for (const name of readdirSync(tmpdir())) {
    if (!name.startsWith(PREFIX)) continue
    const base = join(tmpdir(), name)
    try {
      const mine = statSync(base).uid === process.getuid?.()
      if (!mine || standingOfProcess(readFileSync(join(base, MAKER), 'utf8')) !== 'gone') continue
      await emptied(base, join(base, 'work', '.swarm', 'pg'))
      await removeBase(base)
    } catch {
      // it is not a demo's, or goes just now
    }
  }
}

async function makeRepository(base: string, root: string, remote: string): Promise<string> {
  await git(['init', '--quiet', `--initial-branch=${TARGET}`, root], { cwd: base })
  await git(['init', '--quiet', '--bare', `--initial-branch=${TARGET}`, remote], { cwd: base })
  writeFileSync(join(root, '.gitignore'), '.swarm/\n')
  writeFileSync(join(root, 'README.md'), 'The scratch repository of `swarm demo`.\n')
  await git(['add', '--all'], { cwd: root })
  await git(['commit', '--quiet', '--message', 'Begin'], { cwd: root })
  await git(['remote', 'add', 'origin', remote], { cwd: root })
  await git(['push', '--quiet', 'origin', TARGET], { cwd: root })
  return git(['rev-parse', 'HEAD'], { cwd: root })
}

/** What a repository with real agents would have: stages, a gate, where work lands, which program the agents are. */
function configuration(script: object): string {
  return [
    `repo = "${DEMO_REPO}"`,
    `idle_stop_ms = ${IDLE_STOP_MS}`,
    '[[workflows.default.stages]]',
    'name = "implement"',
    'roles = ["implementer"]',
    'gate = ["git", "diff", "--check", "HEAD~1", "HEAD"]',
    'timeout_ms = 20000',
    '[[workflows.default.stages]]',
    'name = "qa"',
    'roles = ["reviewer"]',
    'on_fail = "implement"',
    '[landing]',
    `target = "${TARGET}"`,
    'remote = "origin"',
    '[agents.default]',
    'adapter = "demo"',
    `args = [${JSON.stringify(JSON.stringify(script))}]`,
    '',
  ].join('\n')
}

/** Settings that would lead the demo's processes to the user's own swarm are taken out. */
function withoutOurs(): Environment {
  const ours = Object.keys(process.env).filter(
    (name) => name.startsWith('SWARM_') || name === 'DATABASE_URL' || name.startsWith('GIT_'),
  )
  return Object.fromEntries(ours.map((name) => [name, undefined]))
}
