import type { CommandContext } from '../contract/command.ts'
import type { SwarmConfig } from '../contract/config.ts'
import { SwarmError } from '../contract/errors.ts'
import { ruleName } from '../core/translate.ts'
import { landingGates } from './settings.ts'

interface Stage {
  readonly name: string
  readonly roles: readonly string[] | null
}

/**
 * Refuses rules that could not do what they say, before a run begins: a workflow that is not there or that nothing would check, a role
 * that the run has no agent for or that may do nothing. INVALID with the field, like `rules.1.workflow` (from 0), and what would work.
 */
export async function checkRules(
  ctx: CommandContext,
  agents: Readonly<Record<string, number>>,
  adapter: string | undefined,
): Promise<void> {
  const config = ctx.root?.config ?? {}
  const { rules = [] } = config
  if (rules.length === 0) return
  const stages = await ctx.db.read<Stage>(
    'select name, to_jsonb(role) as roles from swarm.workflow_stages where repo_id = $1 order by name, position',
    [ctx.repo],
  )
  const mayBeUngated = config.orchestrator?.allow_ungated === true || adapter === 'demo'
  for (const [at, { name, workflow, role }] of rules.entries()) {
    const called = ruleName({ number: at + 1, ...(name === undefined ? {} : { name }) })
    const refuse = (key: string, got: string, problem: string) =>
      new SwarmError('INVALID', `${called} of .swarm/config.toml ${problem}`, {
        area: 'configuration',
        ctx: { kind: 'InvalidValue', field: `rules.${at}.${key}`, got },
      })
    if (workflow !== undefined) {
      const problem = wrongWorkflow(config, workflow, stages, mayBeUngated)
      if (problem) throw refuse('workflow', workflow, problem)
    }
    if (role !== undefined) {
      const problem = wrongRole(role, workflow, stages, agents)
      if (problem) throw refuse('role', role, problem)
    }
  }
}

function wrongWorkflow(
  config: SwarmConfig,
  workflow: string,
  stages: readonly Stage[],
  mayBeUngated: boolean,
): string | undefined {
  const known = [...new Set(stages.map(({ name }) => name))]
  if (!known.includes(workflow))
    return Object.hasOwn(config.workflows ?? {}, workflow)
      ? `names the workflow ${workflow}, which is in the configuration and not yet in the database: run \`swarm init-db\``
      : `names the workflow ${workflow}, which is not there: the workflows are ${known.join(', ') || 'none yet'}`
  if (mayBeUngated || landingGates(config, workflow).length > 0) return undefined
  return `names the workflow ${workflow}, which has no gate: nothing would check what lands. Give one of its stages a gate, or set allow_ungated = true under [orchestrator]`
}

function wrongRole(
  role: string,
  workflow: string | undefined,
  stages: readonly Stage[],
  agents: Readonly<Record<string, number>>,
): string | undefined {
  if ((agents[role] ?? 0) < 1) {
    const told = Object.entries({ ...agents, [role]: 1 }).map(([name, count]) => `${name}=${count}`)
    return `is for the role ${role}, of which this run has no agent: add it, like --agents ${told.join(',')}`
  }
  const own = stages.filter(({ name }) => workflow === undefined || name === workflow)
  if (own.some(({ roles }) => roles === null || roles.includes(role))) return undefined
  const where = workflow === undefined ? 'of any workflow' : `of the workflow ${workflow}`
  return `is for the role ${role}, which may do no stage ${where}: add it to the roles of one`
}
