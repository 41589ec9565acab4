import { accessSync, constants, existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, isAbsolute, join } from 'node:path'
import { drain, endSession, newMarker, startProgram, within } from '../process/index.ts'
import type { Probe, ProbeOrders } from './adapter.ts'

const VERSION_MS = 60_000

/** Where the program of an argv is; undefined when it is not installed or may not be executed. */
export function findProgram(name: string, path: string): string | undefined {
  const candidates = name.includes('/')
    ? [isAbsolute(name) ? name : join(process.cwd(), name)]
    : path.split(delimiter).map((dir) => join(dir, name))
  return candidates.find((file) => {
    try {
      accessSync(file, constants.X_OK)
      return statSync(file).isFile()
    } catch {
      return false
    }
  })
}

/** What an adapter wants of its program. */
export interface Wanted {
  readonly program: string
  /** Smallest version that is known to behave as the adapter expects. */
  readonly minVersion: string
  /** Any of these variables is a login. */
  readonly loginVariables: readonly string[]
  /** Any of these files in the operator's HOME is one. */
  readonly loginFiles: readonly string[]
  /** What none of them means: some programs work without, or keep it where we cannot look. */
  readonly withoutLogin: 'no' | 'unknown'
}

/** Looks for the program, asks it for its version and looks for a login; asks nothing of the network. */
export async function probeProgram(
  { settings, path, operatorEnv }: ProbeOrders,
  wanted: Wanted,
): Promise<Probe> {
  const [name = wanted.program, ...args] = settings.command ?? [wanted.program]
  const program = findProgram(name, path)
  if (!program) {
    return { usable: false, why: 'not_installed', detail: `${name} is not installed or not on the PATH` }
  }
  const said = await askVersion([program, ...args, '--version'], path)
  const version = /\d+(?:\.\d+)+/.exec(said.text)?.[0]
  if (said.exitCode !== 0 || version === undefined) {
    return {
      usable: false,
      why: 'broken',
      detail: `${name} --version said: ${said.text.trim().slice(0, 300)}`,
    }
  }
  if (compareVersions(version, wanted.minVersion) < 0) {
    return { usable: false, why: 'too_old', detail: `${name} is ${version}; ${wanted.minVersion} is needed` }
  }
  const variables = { ...pick(operatorEnv, settings.pass_env ?? []), ...settings.env }
  const home = settings.login === 'none' ? undefined : operatorEnv.HOME
  const isLoggedIn =
    wanted.loginVariables.some((key) => Boolean(variables[key])) ||
    (home !== undefined && wanted.loginFiles.some((file) => existsSync(join(home, file))))
  return { usable: true, program, version, login: isLoggedIn ? 'yes' : wanted.withoutLogin }
}

/** Less than 0, 0, or more, as versions are ordered by their numbers. */
export function compareVersions(one: string, other: string): number {
  const [a, b] = [one, other].map((version) => version.split('.').map(Number))
  for (let at = 0; at < Math.max(a?.length ?? 0, b?.length ?? 0); at++) {
    const difference = (a?.[at] ?? 0) - (b?.[at] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

function pick(from: Readonly<Record<string, string | undefined>>, names: readonly string[]) {
  return Object.fromEntries(names.map((name) => [name, from[name]]))
}

/** Runs a program for its version in a HOME of its own, and leaves nothing of it. */
async function askVersion(
  argv: readonly string[],
  path: string,
): Promise<{ readonly exitCode: number | null; readonly text: string }> {
  const home = mkdtempSync(join(tmpdir(), 'swarm-probe-'))
  const marker = newMarker()
  try {
    const env = { PATH: path, HOME: home, TMPDIR: home, LANG: 'C.UTF-8', TERM: 'dumb' }
    const { pid, stdin, stdout, stderr, exited } = await startProgram({ argv, cwd: home, env, marker })
    stdin.end()
    let text = ''
    for (const pipe of [stdout, stderr]) {
      pipe.on('data', (chunk: Buffer) => {
        if (text.length < 10_000) text += chunk.toString()
      })
    }
    const closed = Promise.all(
      [stdout, stderr].map((pipe) => new Promise((done) => pipe.once('close', done))),
    )
    await within(exited, VERSION_MS)
    await endSession({ pid, marker, exited, graceMs: 500 })
    await drain(closed, 500, () => text.length)
    const isGone = await within(exited, 0)
    return { exitCode: isGone ? (await exited).exitCode : null, text }
  } catch (error) {
    return { exitCode: null, text: error instanceof Error ? error.message : String(error) }
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
}
