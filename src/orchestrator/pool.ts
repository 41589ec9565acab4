import type { CommandContext } from '../contract/command.ts'
import { SwarmError } from '../contract/errors.ts'

const DEFAULT_AGENTS: Readonly<Record<string, number>> = {
  planner: 1,
  test_writer: 1,
  implementer: 2,
  reviewer: 2,
}

interface StageRow {
  readonly workflow: string
  readonly stage: string
  /** Null: any role. */
  readonly roles: readonly string[] | null
}

/**
 * The agents of a run, by role: those that were asked for, else a few for each role that the workflows name. INVALID when a role was asked for
 * that no stage knows, or when nobody of the run may do a stage of a workflow that open beads have: they would wait for ever. A role with 0
 * says that others do its stages.
 */
export async function agentsFor(
  ctx: CommandContext,
  agents: Readonly<Record<string, number>> | undefined,
): Promise<Readonly<Record<string, number>>> {
  const stages = await ctx.db.read<StageRow & { readonly used: boolean }>(
    `select s.name as workflow, s.stage, to_jsonb(s.role) as roles,
        exists (select from swarm.bead_backlog b where b.repo_id = $1 and b.workflow = s.name and b.status in ('pending', 'in_progress')) as used
      from swarm.workflow_stages s where s.repo_id = $1 and s.stage <> 'land' order by s.name, s.position`,
    [ctx.repo],
  )
  if (stages.length === 0) return agents ?? DEFAULT_AGENTS
  if (!agents) return defaultsFor(stages)
  const named = new Set(stages.flatMap(({ roles }) => roles ?? []))
  const isOpen = stages.some(({ roles }) => roles === null)
  for (const [role, count] of Object.entries(agents)) {
    if (role === 'swarm') throw invalid(`the role swarm is swarm's own: it lands beads`, role, [...named])
    if (count > 0 && !isOpen && !named.has(role))
      throw invalid(`no stage of a workflow has the role ${role}: its agents would do nothing`, role, [
        ...named,
      ])
  }
  // a rule may give beads another workflow than the one that they have now
  const moves = (ctx.root?.config.rules ?? []).some(({ workflow }) => workflow !== undefined)
  const undone = stages.find(
    ({ used, roles }) =>
      !moves && used && roles !== null && !roles.some((role) => Object.hasOwn(agents, role)),
  )
  if (undone) {
    const [role = ''] = undone.roles ?? []
    throw invalid(
      `nobody of the run may do the stage ${undone.stage} of workflow ${undone.workflow} (${undone.roles?.join(', ')}): add ${role}=1, or ${role}=0 when agents outside of the run do it`,
      Object.entries(agents)
        .map(([name, count]) => `${name}=${count}`)
        .join(','),
      [...named],
    )
  }
  return agents
}

/** A few for each role that a stage names, and somebody for stages whose roles have no such number. */
function defaultsFor(stages: readonly StageRow[]): Readonly<Record<string, number>> {
  const named = new Set(stages.flatMap(({ roles }) => roles ?? []))
  const isOpen = stages.some(({ roles }) => roles === null)
  const known = Object.entries(DEFAULT_AGENTS).filter(
    ([role]) => named.has(role) || (isOpen && role === 'implementer'),
  )
  const agents: Record<string, number> = Object.fromEntries(known)
  for (const { roles } of stages) {
    const [first] = roles ?? []
    if (first !== undefined && !roles?.some((role) => role in agents)) agents[first] = 1
  }
  return agents
}

function invalid(message: string, got: string, roles: readonly string[]): SwarmError {
  return new SwarmError('INVALID', message, {
    ctx: {
      kind: 'InvalidValue',
      field: 'agents',
      got: got.slice(0, 200),
      expected: `roles: ${roles.join(', ')}`,
    },
  })
}
