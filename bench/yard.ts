import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type ScratchRepository, scratchRepository } from '../test/support/git.ts'
import type { BenchServer } from './server.ts'
import { BIN } from './swarm.ts'

/** A scratch git repository with its configuration, and a repo in a database of its own. */
export interface Yard {
  readonly repo: string
  readonly scratch: ScratchRepository
  readonly sql: BenchServer['sql']
  /** Starts `swarm up`; its answer comes when it has ended. Throws when it failed. */
  up(...args: readonly string[]): { readonly child: ChildProcess; readonly ended: Promise<RunAnswer> }
  remove(): void
}

export interface RunAnswer {
  readonly status: string
  readonly landed: number
  readonly started_at: string
  readonly ended_at: string
}

/** `lines`: of the configuration, after the name of the repo. */
export async function makeYard(
  server: BenchServer,
  repo: string,
  lines: readonly string[],
  remote = false,
): Promise<Yard> {
  const scratch = scratchRepository({ remote })
  mkdirSync(join(scratch.root, '.swarm'))
  writeFileSync(
    join(scratch.root, '.swarm', 'config.toml'),
    [`repo = ${JSON.stringify(repo)}`, ...lines, ''].join('\n'),
  )
  const { PATH, HOME } = process.env
  const env = { PATH, HOME, DATABASE_URL: server.url, SWARM_TRUST: '1', SWARM_RESIDENT: '0' }
  const start = (args: readonly string[]) => {
    const child = spawn(process.execPath, [BIN, ...args], {
      cwd: scratch.root,
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let stdout = ''
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString()
    })
    const ended = once(child, 'close').then(() => {
      const envelope = JSON.parse(stdout.trim().split('\n').at(-1) || '{"ok":false}')
      if (!envelope.ok) throw new Error(`swarm ${args.join(' ')} answered ${stdout}`)
      return envelope.d as RunAnswer
    })
    return { child, ended }
  }
  await start(['init-db']).ended
  return {
    repo,
    scratch,
    sql: server.sql,
    up: (...args) => start(['up', ...args]),
    remove: scratch.remove,
  }
}
