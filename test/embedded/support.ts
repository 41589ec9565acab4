import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import postgres from 'postgres'
import { afterAll, afterEach } from 'vitest'
import { adoptEmbedded, type EmbeddedServer, resetEmbedded } from '../../src/embedded/index.ts'
import { isAlive, waitUntil } from '../../src/embedded/processes.ts'

export const isRoot = process.getuid?.() === 0
export const NODE_MODULES = realpathSync(join(__dirname, '..', '..', 'node_modules'))
const SOURCE = join(__dirname, '..', '..', 'src', 'embedded', 'index.ts')

/** An ordinary user of the machine: `nobody` for root, else ourselves. */
export const ordinary = isRoot ? { uid: 65_534, gid: 65_534 } : {}

/** Everything of this test file; removed at its end. */
export const scratch = mkdtempSync(join(realpathSync(tmpdir()), 'swarm-pg-'))
chmodSync(scratch, 0o755)

const places: { readonly dir: string; readonly swarmDir: string }[] = []

/** A new directory below `scratch`, and the path that its `.swarm/` will have. */
export function makeRoot(name = 'root-'): { readonly dir: string; readonly swarmDir: string } {
  const dir = mkdtempSync(join(scratch, name))
  chmodSync(dir, 0o755)
  return track(dir)
}

/** Has the server of `dir` stopped and deleted when the test is over. */
export function track(dir: string): { readonly dir: string; readonly swarmDir: string } {
  const place = { dir, swarmDir: join(dir, '.swarm') }
  places.push(place)
  return place
}

const lingering: ChildProcess[] = []

afterEach(async () => {
  for (const { pid } of lingering.splice(0)) if (pid !== undefined) endGroup(pid)
  const used = places.splice(0)
  // all servers first: one place may lie in another
  for (const { swarmDir } of used) await discard(swarmDir)
  for (const { dir } of used) rmSync(dir, { recursive: true, force: true })
})

/** Stops and deletes what a test has made, also what another user's record or none names. Links lead to what is deleted by itself. */
async function discard(swarmDir: string): Promise<void> {
  try {
    await resetEmbedded(swarmDir)
  } catch {
    if (lstatSync(swarmDir).isSymbolicLink()) return rmSync(swarmDir)
    const data = join(swarmDir, 'pg')
    if (lstatSync(data, { throwIfNoEntry: false })?.isSymbolicLink()) return rmSync(data)
    await adoptEmbedded(swarmDir, true)
    await resetEmbedded(swarmDir)
  }
}

/** A state directory for tools of another user, who cannot write to ours; undefined for our own. */
function stateHomeOf(user: RunOptions['user']): string | undefined {
  if (user?.uid === undefined || user.uid === process.getuid?.()) return process.env.XDG_STATE_HOME
  const dir = join(scratch, `state-${user.uid}`)
  if (!existsSync(dir)) {
    mkdirSync(dir, { mode: 0o700 })
    chownSync(dir, user.uid, user.gid ?? user.uid)
  }
  return dir
}

afterAll(() => rmSync(scratch, { recursive: true, force: true }))

/** A query on the embedded server through the driver; the connection is closed again. */
export async function query(server: EmbeddedServer, text: string): Promise<postgres.Row[]> {
  const sql = postgres({
    host: server.socketDir,
    port: server.port,
    user: server.user,
    database: server.database,
    max: 1,
    onnotice: () => {},
  })
  try {
    return await sql.unsafe(text)
  } finally {
    await sql.end()
  }
}

export interface Ran {
  readonly code: number | null
  readonly value: Record<string, unknown>
  readonly stderr: string
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly user?: { readonly uid?: number; readonly gid?: number }
  readonly bundle?: string
  /** Run it in a pid namespace of its own, with another view of the socket directories: what two containers have of each other. */
  readonly inContainer?: boolean
  /** Run it where the second directory is the first one. */
  readonly bound?: readonly [string, string]
  /** Hold the process open after it has answered, until it is signalled. */
  readonly linger?: boolean
}

/**
 * Bundles the module with a small command line, as the product is bundled. `nodeModules` is where the bundle finds the
 * platform package.
 */
export async function makeBundle(dir = join(scratch, 'bundle'), nodeModules = NODE_MODULES): Promise<string> {
  mkdirSync(dir, { recursive: true })
  const outfile = join(dir, 'tool.cjs')
  await build({
    stdin: { contents: TOOL, resolveDir: __dirname, loader: 'ts' },
    bundle: true,
    platform: 'node',
    format: 'cjs',
    outfile,
    logLevel: 'warning',
  })
  if (!existsSync(join(dir, 'node_modules'))) symlinkSync(nodeModules, join(dir, 'node_modules'))
  return outfile
}

const TOOL = `
import * as embedded from ${JSON.stringify(SOURCE)}
const [verb, dir, idle] = process.argv.slice(2)
const keeper = [process.execPath, [__filename, 'keep', dir]]
const verbs = {
  ensure: () => embedded.ensureEmbedded(dir, {
    keeper: idle ? keeper : null, idleStopMs: Number(idle ?? 0), log: (line) => console.error(line),
  }),
  stop: () => embedded.stopEmbedded(dir),
  reset: () => embedded.resetEmbedded(dir),
  status: () => embedded.embeddedStatus(dir),
  adopt: async () => ({ adopted: await embedded.adoptEmbedded(dir, idle === 'force') }),
  pointer: () => embedded.embeddedPointer(dir),
  keep: () => embedded.runKeeper(),
}
verbs[verb]().then(
  (value) => console.log(JSON.stringify(value ?? {})),
  (error) => { process.exitCode = 1; console.log(JSON.stringify({ code: error.code, message: error.message, ctx: error.ctx })) },
)
if (process.env.LINGER) setInterval(() => {}, 1000)
`

/** Ends with its first process, as a container does. */
const CONTAINER = [
  ...['unshare', '--pid', '--fork', '--kill-child', '--mount', '--mount-proc', 'sh', '-c'],
  'for dir in /tmp/swarm-[0-9]*; do [ -d "$dir" ] && mount -t tmpfs -o mode=700,uid=$(stat -c %u "$dir") none "$dir"; done; exec "$@"',
  'sh',
]

/** Sees one directory in the place of another. */
const BOUND = [...['unshare', '--mount', 'sh', '-c'], 'mount --bind "$1" "$2" && shift 2 && exec "$@"', 'sh']

/** True where the tests may make namespaces. */
export const canContain =
  isRoot && spawnSync('unshare', ['--pid', '--fork', '--mount', '--mount-proc', 'true']).status === 0

/** Starts the tool; `answer` resolves with its line, `done` when it has ended. */
export function startTool(bundle: string, args: readonly string[], options: RunOptions = {}) {
  const place = options.bound ? [...BOUND, ...options.bound] : options.inContainer ? CONTAINER : []
  const command = [...place, process.execPath, bundle, ...args]
  const child = spawn(command[0] ?? '', command.slice(1), {
    cwd: '/',
    detached: true,
    env: {
      PATH: process.env.PATH,
      XDG_STATE_HOME: stateHomeOf(options.user),
      ...(options.linger ? { LINGER: '1' } : {}),
      ...options.env,
    },
    ...options.user,
  })
  if (options.linger) lingering.push(child)
  let stdout = ''
  let stderr = ''
  const answer = new Promise<Record<string, unknown>>((resolve, reject) => {
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString('utf8')
      if (stdout.endsWith('\n')) resolve(JSON.parse(stdout))
    })
    child.on('close', () => reject(new Error(`no answer: ${stderr}`)))
  })
  answer.catch(() => {})
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString('utf8')
  })
  const done = once(child, 'close').then(
    async ([code]: (number | null)[]): Promise<Ran> => ({
      code: code ?? null,
      value: await answer,
      stderr,
    }),
  )
  done.catch(() => {})
  return { child, answer, done }
}

/** Runs the tool to its end. */
export function runTool(bundle: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return startTool(bundle, args, options).done
}

/** What the tool answered to `ensure`, as a server to connect to. */
export function serverOf(ran: Pick<Ran, 'value'>): EmbeddedServer & { readonly started: boolean } {
  if (typeof ran.value.socketDir !== 'string') throw new Error(`no server: ${JSON.stringify(ran.value)}`)
  // the tool prints exactly what ensureEmbedded resolved to
  return ran.value as unknown as EmbeddedServer & { readonly started: boolean }
}

/** Ends a tool and everything it has started in its group; one that has ended is fine. */
export function endGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // it has ended
  }
}

/** Waits until a process has ended; throws when it has not. */
export async function untilGone(pid: number | null | undefined, timeoutMs: number): Promise<void> {
  if (pid && !(await waitUntil(() => !isAlive(pid), timeoutMs))) throw new Error(`process ${pid} lives`)
}

export function mustPid(server: Pick<EmbeddedServer, 'pid'>): number {
  if (server.pid === null) throw new Error('the server has no process id')
  return server.pid
}

/** The session that a process belongs to: a terminal signals its own only. */
export function sessionOf(pid: number): number {
  const stat = spawnSync('ps', ['-o', 'sess=', '-p', String(pid)], { encoding: 'utf8' })
  return Number(stat.stdout.trim())
}

/** A home directory that only its owner may enter. */
export function makeClosedHome(owner: { readonly uid?: number; readonly gid?: number }): string {
  const home = mkdtempSync(join(scratch, 'home-'))
  chmodSync(home, 0o700)
  if (owner.uid !== undefined && owner.gid !== undefined) chownSync(home, owner.uid, owner.gid)
  const dir = join(home, 'repo')
  mkdirSync(dir)
  if (owner.uid !== undefined && owner.gid !== undefined) chownSync(dir, owner.uid, owner.gid)
  return dir
}

export function readText(file: string): string {
  return readFileSync(file, 'utf8')
}

/** Gives a directory and everything in it to a user. */
export function chownTree(dir: string, owner: { readonly uid: number; readonly gid: number }): void {
  lchownSync(dir, owner.uid, owner.gid)
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name)
    if (entry.isDirectory()) chownTree(path, owner)
    else lchownSync(path, owner.uid, owner.gid)
  }
}
