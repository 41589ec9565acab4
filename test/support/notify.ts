import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, afterEach } from 'vitest'
import { BIN, cleanEnv } from './swarm.ts'

/** A root with targets, in a repo of its own, and the environment with their secrets. */
export interface Place {
  readonly cwd: string
  readonly repo: string
  readonly env: Readonly<Record<string, string>>
}

/** Makes roots under a directory that goes with the test file, and ends what it has started. */
export function notifyPlaces(database: string, secrets: Readonly<Record<string, string>>) {
  const scratch = mkdtempSync(join(tmpdir(), 'swarm-notify-'))
  const running: ChildProcess[] = []
  let roots = 0
  afterEach(() => {
    for (const child of running.splice(0)) if (child.exitCode === null) child.kill('SIGKILL')
  })
  afterAll(() => rmSync(scratch, { recursive: true, force: true }))
  return {
    /** `targets` are tables of `config.toml`: name → its lines. */
    place(targets: Readonly<Record<string, string>>): Place {
      roots += 1
      const cwd = join(scratch, `root-${roots}`)
      const repo = `notify-${roots}`
      const tables = Object.entries(targets).map(([name, lines]) => `[notify.${name}]\n${lines}\n`)
      mkdirSync(join(cwd, '.swarm'), { recursive: true })
      writeFileSync(join(cwd, '.swarm', 'config.toml'), `repo = "${repo}"\n${tables.join('')}`)
      return { cwd, repo, env: { DATABASE_URL: database, SWARM_TRUST: '1', ...secrets } }
    },
    /** `swarm notify run`, once all that is named in `wait` has been said. */
    async start({ cwd, env }: Place, wait: readonly RegExp[] = [/"ready"/]): Promise<Notify> {
      const child = spawn(process.execPath, [BIN, 'notify', 'run'], {
        ...{ cwd, env: cleanEnv(env), stdio: 'pipe' },
      })
      running.push(child)
      const lines: string[] = []
      const waiting: (() => void)[] = []
      for (const stream of [child.stdout, child.stderr])
        createInterface({ input: stream }).on('line', (line) => {
          lines.push(line)
          for (const wake of waiting.splice(0)) wake()
        })
      const said = async (pattern: RegExp): Promise<string> => {
        for (;;) {
          const found = lines.find((line) => pattern.test(line))
          if (found) return found
          await new Promise<void>((resolve) => waiting.push(resolve))
        }
      }
      for (const pattern of wait) await said(pattern)
      return {
        said,
        lines,
        signal: (signal) => void child.kill(signal),
        async end(signal) {
          if (child.exitCode === null && child.signalCode === null) {
            child.kill(signal)
            await once(child, 'close')
          }
          return child.exitCode
        },
      }
    },
  }
}

export interface Notify {
  /** The first line that says so, as soon as there is one. */
  said(pattern: RegExp): Promise<string>
  readonly lines: readonly string[]
  signal(signal: NodeJS.Signals): void
  end(signal: NodeJS.Signals): Promise<number | null>
}
