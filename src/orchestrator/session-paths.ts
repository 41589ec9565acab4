import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The directories of one session alone, outside of the repository. */
export interface SessionPaths {
  readonly home: string
  readonly tmp: string
  remove(): Promise<void>
}

const prefixOf = (sessionId: string): string => `swarm-${sessionId}-`

/** Makes them, readable by their owner only. */
export async function sessionPaths(sessionId: string): Promise<SessionPaths> {
  const base = await mkdtemp(join(tmpdir(), prefixOf(sessionId)))
  return {
    home: join(base, 'home'),
    tmp: join(base, 'tmp'),
    remove: () => rm(base, { recursive: true, force: true }),
  }
}

/** Sessions that have a directory in this machine's place for temporary files, perhaps of another repo. */
export async function sessionsWithPaths(): Promise<readonly string[]> {
  const names = await readdir(tmpdir())
  return [...new Set(names.flatMap((name) => /^swarm-(s-[0-9a-z-]+)-[A-Za-z0-9]{6}$/.exec(name)?.[1] ?? []))]
}

/** Removes the directories of a session whose own process cannot do it any more. */
export async function removeSessionPaths(sessionId: string): Promise<void> {
  const prefix = prefixOf(sessionId)
  for (const name of await readdir(tmpdir()))
    if (name.startsWith(prefix)) await rm(join(tmpdir(), name), { recursive: true, force: true })
}
