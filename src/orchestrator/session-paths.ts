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

/** Removes the directories of a session whose own process cannot do it any more. */
export async function removeSessionPaths(sessionId: string): Promise<void> {
  const prefix = prefixOf(sessionId)
  for (const name of await readdir(tmpdir()))
    if (name.startsWith(prefix)) await rm(join(tmpdir(), name), { recursive: true, force: true })
}
