import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import { linkLibraries, packageNative } from '../../src/embedded/binaries.ts'
import { freePort } from './free-port.ts'

/** A server of the test's own, to be killed and restarted at will. */
export interface ScratchServer {
  /** Over TCP, as the superuser. */
  readonly url: string
  /** Over its Unix socket. */
  readonly socketUrl: string
  readonly socketDir: string
  readonly port: number
  /** Starts it and resolves when it answers. */
  start(): Promise<void>
  /** Sends a signal to the postmaster and resolves when it has gone: SIGINT is a fast shutdown, SIGKILL a crash. */
  stop(signal: 'SIGINT' | 'SIGKILL'): Promise<void>
  /** SIGKILL for the postmaster and all of its processes at once, as when the machine itself goes down. */
  crash(): Promise<void>
  /** Ends it and removes its files. */
  close(): Promise<void>
}

export interface ScratchOptions {
  /** Lines that come first in pg_hba.conf. */
  readonly hba?: readonly string[]
  readonly settings?: Readonly<Record<string, string>>
}

/** Makes a cluster with the binaries of the embedded package, on a port of its own, and starts it. */
export async function scratchServer(options: ScratchOptions = {}): Promise<ScratchServer> {
  const native = packageNative()
  linkLibraries(native)
  const dir = mkdtempSync(join(tmpdir(), 'swarm-pg-'))
  const user = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}
  for (const path of [dir, join(dir, 'sock')]) {
    mkdirSync(path, { recursive: true })
    if (user.uid !== undefined) chownSync(path, user.uid, user.gid)
  }
  const data = join(dir, 'data')
  const locale = ['-E', 'UTF8', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C']
  execFileSync(
    join(native, 'bin', 'initdb'),
    ['-D', data, '-U', 'postgres', '-A', 'trust', '-N', ...locale],
    {
      stdio: 'ignore',
      cwd: '/',
      ...user,
    },
  )
  const hba = ['local all all trust', 'host all all all trust', 'host replication all all trust']
  writeFileSync(join(data, 'pg_hba.conf'), `${[...(options.hba ?? []), ...hba].join('\n')}\n`)
  const port = await freePort()
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: join(dir, 'sock'),
    port: String(port),
    shared_buffers: '32MB',
    // a crash of the server is tested, never of the machine
    fsync: 'off',
    ...options.settings,
  }
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`
  let child: ChildProcess | undefined

  async function start(): Promise<void> {
    const args = [
      '-D',
      data,
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ]
    const until = performance.now() + 30_000
    while (performance.now() < until) {
      const started = spawn(join(native, 'bin', 'postgres'), args, { stdio: 'ignore', cwd: '/', ...user })
      child = started
      // exits at once while backends of a crashed predecessor are still there
      while (started.exitCode === null && started.signalCode === null) {
        if (await answers(join(dir, 'sock'), port)) return
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
    throw new Error('the scratch server did not start')
  }

  async function stop(signal: 'SIGINT' | 'SIGKILL'): Promise<void> {
    const running = child
    child = undefined
    if (!running || running.exitCode !== null || running.signalCode !== null) return
    const gone = once(running, 'exit')
    running.kill(signal)
    await gone
  }

  async function crash(): Promise<void> {
    const running = child
    child = undefined
    if (running?.pid === undefined || running.exitCode !== null || running.signalCode !== null) return
    const gone = once(running, 'exit')
    for (const pid of [running.pid, ...childrenOf(running.pid)]) end(pid)
    await gone
  }

  await start()
  return {
    url,
    socketUrl: `postgres://postgres@${encodeURIComponent(join(dir, 'sock'))}:${port}/postgres`,
    socketDir: join(dir, 'sock'),
    port,
    start,
    stop,
    crash,
    async close() {
      await stop('SIGINT')
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

/** Over the socket as the superuser, so that tests of passwords can start it, too. */
async function answers(host: string, port: number): Promise<boolean> {
  const sql = postgres({
    host,
    port,
    user: 'postgres',
    database: 'postgres',
    max: 1,
    connect_timeout: 2,
    onnotice: () => {},
  })
  try {
    await sql`select 1`
    return true
  } catch {
    return false
  } finally {
    await sql.end({ timeout: 1 })
  }
}

/** From /proc; elsewhere the processes of a killed postmaster end by themselves a little later. */
function childrenOf(parent: number): number[] {
  if (process.platform !== 'linux') return []
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
        return Number(stat.slice(stat.lastIndexOf(')') + 4).split(' ')[0]) === parent
      } catch {
        return false
      }
    })
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // it has gone meanwhile
  }
}
