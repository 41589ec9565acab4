import type { CommandContext } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'
import { probeAdapters } from './host.ts'
import { settingsOf } from './settings.ts'

/**
 * Says before a run begins that a role's program is missing, too old or not logged in, where no host that is there has it either. Checked again
 * by every host; a run whose programs all go missing later pauses.
 */
export async function mustHavePrograms(
  ctx: CommandContext,
  agents: Readonly<Record<string, number>>,
  adapter: string | undefined,
): Promise<void> {
  const config = ctx.root?.config ?? {}
  const capacity = Object.fromEntries(Object.entries(agents).filter(([, count]) => count > 0))
  const here = await probeAdapters({ ctx, path: ctx.env.PATH ?? '', adapter, capacity })
  for (const role of Object.keys(capacity)) {
    const { adapter: wanted } = settingsOf(config, role, adapter)
    const missing = here[wanted]?.missing
    if (missing === undefined) continue
    const others = await ctx.db.read(
      `select 1 as there from swarm.hosts where repo_id = $1 and heartbeat_at > clock_timestamp() - interval '15 seconds'
        and adapters -> $2 ? 'version' limit 1`,
      [ctx.repo, wanted],
    )
    if (others.length > 0) continue
    throw new SwarmError('DEPENDENCY', `role ${role} is run by ${wanted}, which cannot be used: ${missing}`, {
      ctx: { dependency: wanted, role, missing },
      retryable: false,
    })
  }
}
