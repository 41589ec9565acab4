import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { catalog } from '../../src/commands/registry.ts'
import { type Envelope, renderLine, toEnvelope } from '../../src/contract/envelope.ts'
import { isJsonObject, type JsonObject } from '../../src/contract/json.ts'
import { createDispatcher } from '../../src/runtime/dispatch.ts'

/** Requests of one process in a directory. */
export interface Place {
  send(request: JsonObject): Promise<Envelope>
  /** `d` of a request that must succeed. */
  ask(request: JsonObject): Promise<JsonObject>
  /** The error of a request that must fail. */
  refused(request: JsonObject): Promise<Refusal>
}

export interface Refusal {
  readonly code: string
  readonly msg: string
  readonly ctx: JsonObject
  /** The request in `fix`. */
  readonly fix: JsonObject | undefined
}

/** What to undo when the test file is done; a hook that is registered inside of a test would not run. */
const cleanups: (() => unknown)[] = []
afterAll(async () => {
  for (const clean of cleanups.splice(0)) await clean()
})

/** A session whose directory and environment are its own, and that trusts what it finds there; closed when the test file is done. */
export function openAt(cwd: string, own: Readonly<Record<string, string>>): Place {
  const env = { SWARM_TRUST: '1', ...own }
  const dispatcher = createDispatcher({ catalog, env, cwd, render: renderLine, surface: 'pipe' })
  cleanups.push(() => dispatcher.close())
  const send = async (request: JsonObject): Promise<Envelope> => {
    const accepted = await dispatcher.accept(request)
    return toEnvelope(
      'ok' in accepted ? accepted : await dispatcher.run(accepted, async () => {}),
      renderLine,
    )
  }
  return {
    send,
    async ask(request) {
      const envelope = await send(request)
      if (!envelope.ok) throw new Error(`${JSON.stringify(request)} answered ${JSON.stringify(envelope)}`)
      if (!isJsonObject(envelope.d)) throw new Error(`${JSON.stringify(request)} answered no object`)
      return envelope.d
    },
    async refused(request) {
      const envelope = await send(request)
      if (envelope.ok) throw new Error(`${JSON.stringify(request)} answered ${JSON.stringify(envelope)}`)
      const { code, msg, ctx } = envelope.err
      return { code, msg, ctx: ctx ?? {}, fix: envelope.fix ? JSON.parse(envelope.fix) : undefined }
    },
  }
}

/** A directory of the test's own, removed when the test file is done. */
export function scratch(): string {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'swarm-setup-')))
  cleanups.push(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

/** A directory of this name in a scratch directory. */
export function scratchNamed(name: string): string {
  const dir = join(scratch(), name)
  mkdirSync(dir, { recursive: true })
  return dir
}

/** Runs git without the developer's own configuration. */
export function git(cwd: string, ...args: readonly string[]): void {
  const env = { PATH: process.env.PATH, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1', HOME: cwd }
  const identity = [
    '-c',
    'user.name=test',
    '-c',
    'user.email=test@example.com',
    '-c',
    'init.defaultBranch=main',
  ]
  execFileSync('git', [...identity, ...args], { cwd, env, stdio: 'ignore' })
}

/** The named list of an answer. */
export function listOf(d: JsonObject, name: string): JsonObject[] {
  const rows = d[name]
  if (!Array.isArray(rows)) throw new Error(`${name} is no list in ${JSON.stringify(d)}`)
  return rows.filter(isJsonObject)
}
