import type { CommandContext } from '../contract/command.ts'
import { endMarked, findMarked, makerOf, markersInUse, standingOfProcess } from '../process/index.ts'
import { readFunction } from '../runtime/read.ts'
import { salvageRef } from '../workspaces/names.ts'
import { salvage, unlockWorkspace } from '../workspaces/workspace.ts'
import type { HostSettings } from './host-settings.ts'
import { removeSessionPaths, sessionsWithPaths } from './session-paths.ts'

interface MarkedSession {
  readonly session_id: string
  readonly marker: string
  readonly bead_id: string
  readonly attempt: number
  readonly workspace: string | null
  readonly over: boolean
}

/**
 * Ends what sessions have left running on this machine: programs of sessions that are over, and of those whose worker is gone, as a worker
 * that was killed ends nothing. The workspace is salvaged before. Markers that the repo's sessions do not know are left alone.
 */
export async function sweepLeftovers(host: HostSettings): Promise<void> {
  const markers = markersInUse()
  if (markers.length === 0) return
  const { ctx } = host
  const { sessions } = await readFunction<{ readonly sessions: readonly MarkedSession[] }>(
    ctx,
    'marked_sessions',
    ctx.repo,
    { markers: [...markers] },
  )
  const left = sessions.filter(({ over, marker }) => over || standingOfProcess(makerOf(marker)) === 'gone')
  for (const one of left) await endLeftover(host, one)
  if (left.length > 0) await sweepPaths(ctx)
}

async function endLeftover(host: HostSettings, one: MarkedSession): Promise<void> {
  const { ctx, repository, onFault } = host
  const { session_id, marker, bead_id, attempt, workspace } = one
  const kept =
    repository && workspace !== null
      ? await salvage(
          repository,
          workspace,
          salvageRef(bead_id, attempt, session_id),
          `what session ${session_id} left of ${bead_id}`,
        ).catch(onFault)
      : undefined
  const { swept, left } = await endMarked(marker)
  if (left.length > 0)
    onFault(
      new Error(
        `of session ${session_id} still run: ${left.map(({ pid, name, why }) => `${name} ${pid} (${why})`).join(', ')}`,
      ),
    )
  else if (repository && workspace !== null) await unlockWorkspace(workspace).catch(onFault)
  await readFunction(ctx, 'session_swept', ctx.repo, session_id, {
    ended: swept.map(({ pid, name }) => ({ pid, name })),
    left: left.map(({ pid, name, why }) => ({ pid, name, why })),
    ...(typeof kept === 'string' ? { salvage: kept } : {}),
  })
}

/** Sessions of this repo that are over, whose directories are still here and of which no process runs. */
export async function orphanedPaths(ctx: CommandContext): Promise<readonly string[]> {
  const found = await sessionsWithPaths()
  if (found.length === 0) return []
  const { sessions } = await readFunction<{
    readonly sessions: readonly { readonly session_id: string; readonly marker: string | null }[]
  }>(ctx, 'ended_sessions', ctx.repo, { sessions: [...found] })
  return sessions
    .filter(({ marker }) => marker === null || (findMarked(marker) ?? []).length === 0)
    .map(({ session_id }) => session_id)
}

/** Removes the directories of sessions whose worker was killed before it could. */
export async function sweepPaths(ctx: CommandContext): Promise<void> {
  for (const session of await orphanedPaths(ctx)) await removeSessionPaths(session)
}
