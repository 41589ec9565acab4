import type { CommandContext } from '../contract/command.ts'
import type { Repository } from '../workspaces/repository.ts'
import type { Vigil } from './vigil.ts'

/** What all sessions of a host share. */
export interface HostSettings {
  readonly hostId: string
  readonly ctx: CommandContext
  /** Undefined when sessions work in the root itself. */
  readonly repository: Repository | undefined
  readonly root: string
  readonly adapter: string | undefined
  readonly path: string
  /** Whether other hosts of the repo work in other clones: then commits are handed on through the remote. */
  readonly elsewhere: () => boolean
  /** Knows whether the database is still there. */
  readonly vigil: Vigil
  readonly onFault: (error: unknown) => void
}
