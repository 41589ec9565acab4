import type { CommandContext } from '../contract/command.ts'
import { readFunction } from '../runtime/read.ts'
import { withdraw } from '../workspaces/exchange.ts'
import type { Repository } from '../workspaces/repository.ts'
import { listWorkspaces, removeWorkspace } from '../workspaces/workspace.ts'

/** Beads that have a worktree or a branch here. Names that were shortened are known by the sessions that have worked there. */
export function beadsHere(ctx: CommandContext, repository: Repository): Promise<readonly string[]> {
  return listWorkspaces(repository, (names) =>
    readFunction<readonly string[]>(ctx, 'beads_in', ctx.repo, { names: [...names] }),
  )
}

/** Removes the workspaces of this clone whose beads have landed: in other clones than the leader's nobody else does. */
export async function tidyLanded(ctx: CommandContext, repository: Repository): Promise<void> {
  const beads = await beadsHere(ctx, repository)
  if (beads.length === 0) return
  const { landed } = await readFunction<{
    readonly landed: readonly { readonly bead_id: string; readonly candidate: string }[]
  }>(ctx, 'landed_of', ctx.repo, { beads: [...beads] })
  for (const { bead_id, candidate } of landed) await removeWorkspace(repository, bead_id, candidate)
}

/** Takes back from the remote what hosts have handed on of beads that are done. */
export async function withdrawDone(
  ctx: CommandContext,
  repository: Repository,
  remote: string,
): Promise<void> {
  await withdraw(repository, remote, async (ids) => {
    if (ids.length === 0) return new Set()
    const { beads } = await readFunction<{
      readonly beads: Readonly<Record<string, { readonly status: string }>>
    }>(ctx, 'gc_facts', ctx.repo, { beads: [...ids], sessions: [] })
    return new Set(ids.filter((id) => ['completed', 'cancelled'].includes(beads[id]?.status ?? '')))
  })
}
