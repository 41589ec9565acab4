import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The directories of one session alone, outside of the repository. */
export interface SessionPaths {
  readonly home: string
  readonly tmp: string
  remove(): Promise<void>
}

/** Makes them, readable by their owner only. */
export async function sessionPaths(sessionId: string): Promise<SessionPaths> {
  const base = await mkdtemp(join(tmpdir(), `swarm-${sessionId}-`))
  return {
    home: join(base, 'home'),
    tmp: join(base, 'tmp'),
    remove: () => rm(base, { recursive: true, force: true }),
  }
}
