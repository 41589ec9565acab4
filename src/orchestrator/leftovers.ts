import { endMarked, makerOf, markersInUse, standingOfProcess } from '../process/index.ts'
import { readFunction } from '../runtime/read.ts'
import { salvageRef } from '../workspaces/names.ts'
import { salvage, unlockWorkspace } from '../workspaces/workspace.ts'
import type { HostSettings } from './host-settings.ts'
import { removeSessionPaths } from './session-paths.ts'

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
  for (const one of sessions)
    if (one.over || standingOfProcess(makerOf(one.marker)) === 'gone') await endLeftover(host, one)
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
  await removeSessionPaths(session_id)
  await readFunction(ctx, 'session_swept', ctx.repo, session_id, {
    ended: swept.map(({ pid, name }) => ({ pid, name })),
    left: left.map(({ pid, name, why }) => ({ pid, name, why })),
    ...(typeof kept === 'string' ? { salvage: kept } : {}),
  })
}
