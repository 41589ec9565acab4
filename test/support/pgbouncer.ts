import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect as netConnect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.ts'

export interface Pooler {
  readonly port: number
  close(): Promise<void>
}

/** `PGBOUNCER`, else the program of that name where Debian puts it or on the path; undefined when there is none. */
export function findPgBouncer(): string | undefined {
  const places = [
    process.env.PGBOUNCER,
    '/usr/sbin/pgbouncer',
    '/usr/bin/pgbouncer',
    '/opt/homebrew/bin/pgbouncer',
  ]
  return places.find((path) => path !== undefined && existsSync(path))
}

/** Its version, like `1.18.0`. */
export function pgBouncerVersion(program: string): string {
  return /PgBouncer (\S+)/.exec(execFileSync(program, ['--version'], { encoding: 'utf8' }))?.[1] ?? 'unknown'
}

/** Puts a PgBouncer in transaction mode before the server on a port of this machine. */
export async function startPgBouncer(program: string, serverPort: number): Promise<Pooler> {
  const dir = mkdtempSync(join(tmpdir(), 'swarm-pgbouncer-'))
  chmodSync(dir, 0o755)
  const port = await freePort()
  const users = join(dir, 'users.txt')
  const config = join(dir, 'pgbouncer.ini')
  writeFileSync(users, '"postgres" ""\n')
  writeFileSync(
    config,
    [
      '[databases]',
      `* = host=127.0.0.1 port=${serverPort}`,
      '[pgbouncer]',
      'listen_addr = 127.0.0.1',
      `listen_port = ${port}`,
      'unix_socket_dir =',
      'auth_type = trust',
      `auth_file = ${users}`,
      'pool_mode = transaction',
      'max_client_conn = 300',
      // fewer than there are clients, so that sessions do change hands
      'default_pool_size = 4',
      'server_round_robin = 1',
    ].join('\n'),
  )
  const user = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}
  const child = spawn(program, ['-q', config], { stdio: ['ignore', 'ignore', 'pipe'], cwd: '/', ...user })
  let log = ''
  child.stderr.on('data', (chunk) => {
    log += chunk
  })
  const until = performance.now() + 10_000
  while (!(await listens(port))) {
    if (child.exitCode !== null || performance.now() > until)
      throw new Error(`pgbouncer did not start: ${log}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return {
    port,
    async close() {
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = netConnect({ port, host: '127.0.0.1' })
    const done = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('connect', () => done(true))
    socket.once('error', () => done(false))
  })
}
