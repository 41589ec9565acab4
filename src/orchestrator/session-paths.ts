import { lstat, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The directories of one session alone, outside of the repository. */
export interface SessionPaths {
  readonly home: string
  readonly tmp: string
  remove(): Promise<void>
  /** Keeps what the program knows of its conversation, for the session that goes on with it. */
  keepHome(): Promise<void>
}

const prefixOf = (sessionId: string): string => `swarm-${sessionId}-`

/** Makes them, readable by their owner only. */
export async function sessionPaths(sessionId: string): Promise<SessionPaths> {
  return pathsIn(await mkdtemp(join(tmpdir(), prefixOf(sessionId))))
}

/** Those that were kept of the session that has begun a conversation; undefined when they are not on this machine. */
export async function keptPaths(begunBy: string): Promise<SessionPaths | undefined> {
  for (const name of await named(begunBy)) {
    const base = join(tmpdir(), name)
    const found = await lstat(base)
    // in a place that others write to as well: what is not ours is not taken for ours
    if (found.isDirectory() && found.uid === process.getuid?.()) return pathsIn(base)
  }
  return undefined
}

function pathsIn(base: string): SessionPaths {
  const [home, tmp] = [join(base, 'home'), join(base, 'tmp')]
  return {
    home,
    tmp,
    remove: () => rm(base, { recursive: true, force: true }),
    keepHome: () => rm(tmp, { recursive: true, force: true }),
  }
}

/** Sessions that have a directory in this machine's place for temporary files, perhaps of another repo. */
export async function sessionsWithPaths(): Promise<readonly string[]> {
  const names = await readdir(tmpdir())
  return [...new Set(names.flatMap((name) => /^swarm-(s-[0-9a-z-]+)-[A-Za-z0-9]{6}$/.exec(name)?.[1] ?? []))]
}

/** Removes the directories of a session whose own process cannot do it any more. */
export async function removeSessionPaths(sessionId: string): Promise<void> {
  for (const name of await named(sessionId)) await rm(join(tmpdir(), name), { recursive: true, force: true })
}

async function named(sessionId: string): Promise<readonly string[]> {
  const prefix = prefixOf(sessionId)
  return (await readdir(tmpdir())).filter((name) => name.startsWith(prefix))
}
